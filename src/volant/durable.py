"""Time, chance and sleep that are recorded: an action that is executed again sees what it saw before.

Sync code calls them, async code awaits their `.aio`: `await volant.durable.sleep.aio(60)`.
"""

from volant.authoring.durable import now, random, sleep, time, uuid4

__all__ = ["now", "random", "sleep", "time", "uuid4"]
