"""The user's code: where it lives, what it is, how a worker loads it."""
