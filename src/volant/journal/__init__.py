"""The durable record of runs, actions and attempts."""
