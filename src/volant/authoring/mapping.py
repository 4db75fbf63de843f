"""`volant.map`: one task over many inputs, results in the order of the inputs.

Sync callers get a blocking iterator, async callers `map.aio`. Both start calls ahead of the result
that is waited for, at most `concurrency` of them when it is not 0, and cancel what is left when the
iterator is closed.
"""

import functools
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol, Required, TypedDict, TypeVar, Unpack, overload

from volant.authoring.calling_ahead import in_order, in_order_aio, plan_of, without_run
from volant.authoring.task import in_running_loop
from volant.authoring.validation import known_keywords
from volant.model.errors import SyncTaskCallInAsyncContextError

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
A_contra = TypeVar("A_contra", contravariant=True)
B_contra = TypeVar("B_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)


PartialOfAsync = functools.partial[Coroutine[object, None, R]]


class OfOne(Protocol[A_contra, R_co]):
    """A task that can be called with one input."""

    def aio(self, a: A_contra, /) -> Coroutine[object, None, R_co]: ...


class OfTwo(Protocol[A_contra, B_contra, R_co]):
    """A task that can be called with two inputs."""

    def aio(self, a: A_contra, b: B_contra, /) -> Coroutine[object, None, R_co]: ...


class OfThree(Protocol[A_contra, B_contra, C_contra, R_co]):
    """A task that can be called with three inputs."""

    def aio(self, a: A_contra, b: B_contra, c: C_contra, /) -> Coroutine[object, None, R_co]: ...


class MapOptions(TypedDict, total=False):
    """What `volant.map` accepts beside the task and its inputs."""

    group_name: str | None
    """Shows the calls together under this name."""
    concurrency: int
    """How many calls may be under way at once; 0 is no bound."""
    return_exceptions: bool
    """Whether a failed call yields its exception (the default) instead of raising it."""


class RaisingMapOptions(TypedDict, total=False):
    """The same where failed calls raise."""

    group_name: str | None
    concurrency: int
    return_exceptions: Required[Literal[False]]


class Map:
    """The type of `volant.map`."""

    @overload
    def __call__(self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[RaisingMapOptions]) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[RaisingMapOptions]
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[RaisingMapOptions],
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[MapOptions],
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    def __call__(self, task: Any, /, *inputs: Iterable[Any], **options: Any) -> Iterator[Any]:
        """Call *task* once for each set of inputs, and yield the results in order.

        Like the builtin `map` it ends with the shortest of the inputs. Nothing is started before the first
        result is asked for; closing the iterator aborts the calls that are still under way.

        Args:
            task: a task, or a `functools.partial` of one.
            inputs: one iterable for each argument.
            options: see `MapOptions`.

        Raises:
            ArgumentError: not a task, no inputs, or inputs that do not bind to its parameters.
            SyncTaskCallInAsyncContextError: called from async code; `map.aio` is the way.
        """
        plan = plan_of(task, inputs, options)
        blocks = plan.session is not None or plan.task.interface.is_async
        if blocks and in_running_loop():
            message = f"volant.map of {plan.task.name!r} is called from async code, where it would block the event loop"
            raise SyncTaskCallInAsyncContextError(message, hint="use `async for ... in volant.map.aio(...)` instead")
        return without_run(plan) if plan.session is None else in_order(plan, plan.session)

    @overload
    def aio(self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[RaisingMapOptions]) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[RaisingMapOptions]
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[RaisingMapOptions],
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[MapOptions],
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    def aio(self, task: Any, /, *inputs: Iterable[Any], **options: Any) -> AsyncIterator[Any]:
        """The same for async code: `async for result in volant.map.aio(task, items)`."""
        return in_order_aio(plan_of(task, inputs, options))


if not TYPE_CHECKING:
    # What is missing is said in our words; a type checker keeps the overloads.
    Map.__call__ = known_keywords("volant.map")(Map.__call__)
    Map.aio = known_keywords("volant.map.aio")(Map.aio)

map = Map()
