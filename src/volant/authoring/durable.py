"""What `volant.durable` gives: time, chance and sleep that are recorded, so that a replay sees the same."""

import asyncio
import math
import random as chance
import time as clock
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar, cast

from volant.authoring.session import current_group, current_session
from volant.authoring.task import in_running_loop
from volant.authoring.tracing import TracedFunction, call, call_blocking, refuse_in_loop
from volant.authoring.validation import shown
from volant.model.errors import ArgumentError, SyncTaskCallInAsyncContextError

R = TypeVar("R")

_LONGEST: Final = timedelta(days=36_500)


class Recorded(Generic[R]):
    """A function without arguments whose answers are recorded; outside a run it is the plain function."""

    def __init__(
        self, name: str, function: Callable[[], R], doc: str, *, of_time: Callable[[datetime], R] | None = None
    ) -> None:
        """*of_time* gives the answer from the time by the engine's clock, by which sleeps go too."""
        self._name = name
        self._function = function
        self._traced = TracedFunction(
            of_time or function, name=f"volant.durable.{name}", needs_time=of_time is not None
        )
        self.__doc__ = doc

    def __call__(self) -> R:
        session = current_session()
        if session is None:
            return self._function()
        refuse_in_loop(self._traced, f"await volant.durable.{self._name}.aio() instead")
        return cast("R", call_blocking(self._traced, session, (), {}))

    async def aio(self) -> R:
        """The same for async code."""
        session = current_session()
        return self._function() if session is None else cast("R", await call(self._traced, session, (), {}))

    def __repr__(self) -> str:
        return f"<function volant.durable.{self._name}>"


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _seconds_of(at: datetime) -> float:
    return at.timestamp()


def _same(at: datetime) -> datetime:
    return at


now = Recorded("now", _utc_now, "The time as an aware UTC `datetime`; a replay gets the same.", of_time=_same)
time = Recorded(
    "time", clock.time, "Seconds since 1970, as `time.time()`; a replay gets the same.", of_time=_seconds_of
)
random = Recorded("random", chance.random, "A number from 0 up to 1, as `random.random()`; a replay gets the same.")
uuid4 = Recorded("uuid4", uuid.uuid4, "A random `uuid.UUID`; a replay gets the same. Fit for idempotency keys.")


class _Sleep:
    """Sleep for a time that survives whatever happens meanwhile.

    The engine keeps the time at which it ends. An action that is executed again, after a crash or in a run that was
    resumed, sleeps for what is left; one that had slept does not sleep again. Outside a run it is the plain sleep.

    Args:
        duration: seconds, or a `timedelta`; at least 0, at most 100 years.

    Raises:
        ArgumentError: the duration is none of these.
        SyncTaskCallInAsyncContextError: async code awaits `volant.durable.sleep.aio(...)`.
    """

    def __call__(self, duration: float | timedelta) -> None:
        seconds = _seconds(duration)
        session = current_session()
        if session is None:
            clock.sleep(seconds)
            return
        if in_running_loop():
            message = "volant.durable.sleep is called from async code, where it would block the event loop"
            raise SyncTaskCallInAsyncContextError(message, hint="await volant.durable.sleep.aio(...) instead")
        session.sleep_blocking(seconds, group=current_group())

    async def aio(self, duration: float | timedelta) -> None:
        """The same for async code."""
        seconds = _seconds(duration)
        session = current_session()
        await (asyncio.sleep(seconds) if session is None else session.sleep(seconds, group=current_group()))

    def __repr__(self) -> str:
        return "<function volant.durable.sleep>"


sleep = _Sleep()


def _seconds(duration: object) -> float:
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        seconds = float(duration) if math.isfinite(duration) else -1.0
    else:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST.total_seconds():
        message = f"volant.durable.sleep: found {shown(duration)}, expected seconds or a timedelta"
        raise ArgumentError(f"{message}, at least 0 and at most {_LONGEST.days:,} days")
    return seconds
