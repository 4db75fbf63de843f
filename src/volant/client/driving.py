"""The sync face of async methods: one implementation, called from plain code.

A sync call drives an event loop of its own in the calling thread until the method is done. It leaves no thread and
no loop behind, and it works in any thread, also beside a loop that runs in another one. Under a loop that runs in
the *same* thread it would stop that loop, so it refuses and names `.aio`, except in an interactive session (a
notebook), where a running loop is nothing the user asked for: there a helper thread drives.
"""

import asyncio
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from volant.model.errors import CallError

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


class both(Generic[S, P, R]):
    """Makes an async method callable both ways: `run.wait()` blocks, `await run.wait.aio()` does not."""

    def __init__(
        self,
        method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
        *,
        is_known: Callable[[S], bool] | None = None,
    ) -> None:
        """*is_known* tells of an object whether the method has its answer without waiting for anything."""
        self._method = method
        self._is_known = is_known
        self.__doc__ = method.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "both[S, P, R]": ...
    @overload
    def __get__(self, instance: S, owner: type) -> "BothWays[P, R]": ...
    def __get__(self, instance: S | None, owner: type) -> "both[S, P, R] | BothWays[P, R]":
        if instance is None:
            return self
        method = self._method

        def bound(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
            return method(instance, *args, **kwargs)

        is_known = self._is_known is not None and self._is_known(instance)
        return BothWays(bound, f"{type(instance).__name__}.{self._name}", self.__doc__, is_known=is_known)


def both_when(
    is_known: Callable[[S], bool],
) -> Callable[[Callable[Concatenate[S, P], Coroutine[Any, Any, R]]], both[S, P, R]]:
    """As `both`; where *is_known*, the plain call works under a running loop too, since it waits for nothing."""

    def decorate(method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]]) -> both[S, P, R]:
        return both(method, is_known=is_known)

    return decorate


class BothWays(Generic[P, R]):
    """An async function with a sync face: call it to block, call `.aio` to await."""

    def __init__(
        self, function: Callable[P, Coroutine[Any, Any, R]], name: str, doc: str | None, *, is_known: bool = False
    ) -> None:
        self._function = function
        self._name = name
        self._is_known = is_known
        self.__doc__ = doc

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Block until it is done."""
        if self._is_known:
            return _finish_at_once(self._function(*args, **kwargs))
        return drive(lambda: self._function(*args, **kwargs), name=self._name)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Await it."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self._name}, {self._name}.aio>"


def _finish_at_once(coroutine: Coroutine[Any, Any, R]) -> R:
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("R", stop.value)
    coroutine.close()
    msg = f"{coroutine!r} waited, though its answer was said to be known"
    raise RuntimeError(msg)


def drive(main: Callable[[], Coroutine[Any, Any, R]], *, name: str, anywhere: bool = False) -> R:
    """Run *main* to its end on a loop of its own.

    Ctrl-C cancels it, and raises `KeyboardInterrupt` when it has cleaned up; a second one does not wait for that.
    *anywhere* is for short questions: they may block a loop that runs in this thread.

    Raises:
        CallError: a loop runs in this thread and the session is not interactive.
    """
    if not _has_running_loop():
        return _run(main)
    if anywhere or is_interactive():
        return _run_in_thread(main)
    msg = f"{name}() was called where an event loop is running, which it would stop"
    raise CallError(msg, hint=f"use 'await {name}.aio(...)' there")


def is_interactive() -> bool:
    """Whether a person types the statements: a REPL or a notebook."""
    if hasattr(sys, "ps1"):
        return True
    # Programs import parts of IPython that are no notebook; only in one is there a shell.
    get_ipython: Callable[[], object] | None = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and get_ipython() is not None


def _has_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(main: Callable[[], Coroutine[Any, Any, R]]) -> R:
    # With a factory of its own the runner leaves the thread's current loop, which is the user's, as it is.
    try:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(main())
    except KeyboardInterrupt as interrupt:
        # Where our own code was interrupted helps nobody.
        raise interrupt.with_traceback(None) from None


class _Driven(Generic[R]):
    """What a helper thread hands back."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[Any] | None = None
        self.result: list[R] = []
        self.error: BaseException | None = None

    def interrupt(self) -> None:
        if self.loop is not None and self.task is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended, and its loop with it
                self.loop.call_soon_threadsafe(self.task.cancel)


def _run_in_thread(main: Callable[[], Coroutine[Any, Any, R]]) -> R:
    driven: _Driven[R] = _Driven()

    async def supervised() -> None:
        driven.loop = asyncio.get_running_loop()
        driven.task = asyncio.current_task()
        driven.result.append(await main())

    def work() -> None:
        try:
            _run(supervised)
        except BaseException as error:  # noqa: BLE001 - it is raised in the calling thread
            driven.error = error

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="volant-sync", daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        driven.interrupt()
        thread.join()
        raise
    if driven.error is not None:
        try:
            raise driven.error
        finally:
            driven.error = None
    return driven.result[0]
