"""Why an action waits, in words."""

from datetime import UTC, datetime
from typing import assert_never

from volant.kit.quantities import format_bytes, format_cpu
from volant.model.waits import Lack, Scarce, Wait, WaitKind


def describe_wait(wait: Wait, *, now: datetime | None = None) -> str:
    """A clause such as "waits for 2 CPU, 1 free"; instants are in the user's time zone."""
    match wait.kind:
        case WaitKind.PLACE:
            return _place(wait)
        case WaitKind.BACKOFF:
            return f"backs off until {_clock(wait.until, now)}" if wait.until is not None else "backs off"
        case WaitKind.TIMER:
            return f"sleeps until {_clock(wait.until, now)}" if wait.until is not None else "sleeps"
        case WaitKind.PAUSED:
            until = "" if wait.until is None else f" until {_clock(wait.until, now)}"
            return f"put away{until}, waits for {_children(wait.calls)}"
        case WaitKind.PROCESS:
            return "waits for its process"
        case WaitKind.CHILDREN:
            return f"waits for {_children(wait.calls)}"
        case WaitKind.EVENT:
            return "waits for something of its own"
        case WaitKind.ENDING:
            return f"is being ended: {wait.reason}" if wait.reason else "waits for the end of its process"
        case _:
            assert_never(wait.kind)


def _children(calls: int) -> str:
    return "a child" if calls == 1 else f"{calls:,} children"


def _place(wait: Wait) -> str:
    lacks = "waits for " + " and ".join(_lack(each) for each in wait.lacks) if wait.lacks else ""
    if not wait.ahead:
        return lacks or "is next in line"
    behind = f"queued behind {wait.ahead:,}"
    return f"{behind}, {lacks}" if lacks else behind


def _lack(lack: Lack) -> str:
    match lack.what:
        case Scarce.CPU:
            return f"{format_cpu(lack.wanted)} CPU, {format_cpu(lack.free)} free"
        case Scarce.MEMORY:
            return f"{format_bytes(lack.wanted)} of memory, {format_bytes(lack.free)} free"
        case Scarce.GPU:
            return f"{lack.wanted} GPU, {lack.free} free"
        case Scarce.PROCESSES:
            return "a process, as many as may live do"
        case Scarce.MACHINE:
            return "the end of one that runs alone"
        case _:
            assert_never(lack.what)


def _clock(when: datetime, now: datetime | None) -> str:
    """The time of day, with the date where that is another one."""
    local = when.astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")
