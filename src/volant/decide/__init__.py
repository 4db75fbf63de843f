"""Pure rules: events in, commands out. No clock, no I/O."""
