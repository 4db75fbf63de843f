"""Why an action does not run, or does not get on: told to whoever asks, and never stored."""

from datetime import datetime
from enum import StrEnum

import msgspec


class WaitKind(StrEnum):
    """What an action waits for."""

    PLACE = "place"
    """The line in front of it, or what the machine has not free."""
    BACKOFF = "backoff"
    """The time of its next attempt."""
    TIMER = "timer"
    """The time at which it ends: a durable sleep."""
    PROCESS = "process"
    """It has its place; its environment is being imported or its process started."""
    PAUSED = "paused"
    """What it called, without a process: it was put away, and is executed again when something has ended."""
    CHILDREN = "children"
    """Calls of its own that have no answer yet."""
    EVENT = "event"
    """Something that it awaits itself: a timer, a network."""
    ENDING = "ending"
    """The end of its processes."""


class Scarce(StrEnum):
    """What a place needs."""

    CPU = "cpu"
    """Thousandths of a core."""
    MEMORY = "memory"
    """Bytes."""
    GPU = "gpu"
    PROCESSES = "processes"
    """Live attempts."""
    MACHINE = "machine"
    """All of it, which one that runs alone has now."""


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is asked for and is not free."""

    what: Scarce
    wanted: int
    free: int


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an action waits."""

    kind: WaitKind
    ahead: int = 0
    """Actions of the same run that are in line before it."""
    lacks: tuple[Lack, ...] = ()
    """What the machine has not free for it; none while it only waits for its turn."""
    until: datetime | None = None
    """Of a backoff, or of a timer; of what was put away, the end of its first timer."""
    calls: int = 0
    """Calls without an answer."""
    reason: str = ""
    """Why it is being ended, where somebody wanted that."""
