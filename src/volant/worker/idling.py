"""Whether anything of its own can wake a process that waits: only one that nothing can may be put away."""

import asyncio
import sys
import threading
from typing import Any

from volant.kit.processes import has_children


def flush_output() -> None:
    """Write what the streams hold back; user code may have closed or replaced them."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def is_alone(loop: asyncio.AbstractEventLoop | None, *, ours: int) -> bool:
    """Whether this thread is the only one, and this process has no others.

    Threads of *loop*'s default executor that have nothing to do do not count, nor do *ours*.
    """
    threads = len(threading._active) - 1 - ours  # type: ignore[attr-defined]
    if threads > 0 and loop is not None:
        threads -= _idle_threads(getattr(loop, "_default_executor", None))
    return threads <= 0 and not has_children()


def _idle_threads(executor: Any) -> int:
    """Of a pool: all or none, since one that works may wake whoever waits."""
    threads = getattr(executor, "_threads", ())
    idle = getattr(getattr(executor, "_idle_semaphore", None), "_value", -1)
    queue = getattr(executor, "_work_queue", None)
    return len(threads) if queue is not None and queue.empty() and idle >= len(threads) else 0
