"""What scripts call: run, init, map; sync and async."""
