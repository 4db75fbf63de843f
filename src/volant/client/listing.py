"""Lists that are read page by page, from sync and from async code."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from volant.client.driving import drive

P = ParamSpec("P")
T = TypeVar("T")


class Pages(Generic[T]):
    """Things that are fetched as they are asked for; can be gone through any number of times."""

    def __init__(
        self,
        fetch: Callable[[Any, int], Coroutine[Any, Any, tuple[Sequence[T], Any]]],
        *,
        first: Any,
        limit: int | None,
    ) -> None:
        """*fetch* gives the things after a cursor, at most so many, and the next cursor, None when there are no more;
        *first* is the first cursor."""
        self._fetch = fetch
        self._first = first
        self._limit = limit

    def sync(self, name: str) -> Iterator[T]:
        """From plain code."""
        cursor, left = self._first, self._limit
        while cursor is not None and (left is None or left > 0):
            size = _PAGE if left is None else min(left, _PAGE)
            found, cursor = drive(partial(self._fetch, cursor, size), name=name)
            left = None if left is None else left - len(found)
            yield from found

    async def aio(self) -> AsyncIterator[T]:
        """From async code."""
        cursor, left = self._first, self._limit
        while cursor is not None and (left is None or left > 0):
            found, cursor = await self._fetch(cursor, _PAGE if left is None else min(left, _PAGE))
            left = None if left is None else left - len(found)
            for each in found:
                yield each


class Listing(Generic[P, T]):
    """A function that lists things: call it for an iterator, call `.aio` for an asynchronous one."""

    def __init__(self, function: Callable[P, Pages[T]], name: str, doc: str | None) -> None:
        self._function = function
        self._name = name
        self.__doc__ = doc

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """Go through them; each page is a question to the engine."""
        return self._function(*args, **kwargs).sync(self._name)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """The same for `async for`."""
        return self._function(*args, **kwargs).aio()

    def __repr__(self) -> str:
        return f"<{self._name}, {self._name}.aio>"


_PAGE = 500
