"""What a caller of `commit` holds until its batch is durable."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar, cast

from volant.model.errors import JournalError

T = TypeVar("T")


class Receipt(Generic[T]):
    """An awaitable that is done when the work behind it is durable, or refused.

    Unlike a future it can be awaited by several tasks, and cancelling one of them touches neither the work nor
    the others. One that nobody awaits costs nothing and complains about nothing.
    """

    __slots__ = ("_callbacks", "_done", "_error", "_loop", "_result", "_waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done = False
        self._result: T | None = None
        self._error: JournalError | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._callbacks: list[Callable[[Receipt[T]], object]] | None = None

    @property
    def done(self) -> bool:
        """Whether the work is durable or refused."""
        return self._done

    @property
    def error(self) -> JournalError | None:
        """Why the work was refused; None while it is under way and when it is durable."""
        return self._error

    def add_done_callback(self, callback: Callable[["Receipt[T]"], object]) -> None:
        """Call *callback* with this receipt, from the loop, once it is done; cheaper than a task that awaits it."""
        if self._done:
            self._loop.call_soon(callback, self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def __await__(self) -> Generator[Any, None, T]:
        if not self._done:
            waiter: asyncio.Future[None] = self._loop.create_future()
            if self._waiters is None:
                self._waiters = [waiter]
            else:
                self._waiters.append(waiter)
            yield from waiter
        if self._error is not None:
            # A fresh instance for every awaiting task: each adds its own traceback to what it catches.
            raise type(self._error)(*self._error.args, hint=self._error.hint) from self._error.__cause__
        return cast(T, self._result)

    def succeed(self, result: T) -> None:
        """Tell everybody who waits that the work is durable."""
        self._result = result
        self._finish()

    def fail(self, error: JournalError) -> None:
        """Tell everybody who waits that the work was refused."""
        self._error = error
        self._finish()

    def _finish(self) -> None:
        self._done = True
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        for callback in self._callbacks or ():
            self._loop.call_soon(callback, self)
        self._waiters = self._callbacks = None
