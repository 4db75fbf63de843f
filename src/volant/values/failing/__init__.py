"""Exceptions taken apart, carried to another process and put together again; the door is `volant.values.failures`."""
