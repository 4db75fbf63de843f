"""Keeping what this process prints while a run goes on; it is printed all the same."""

import contextlib
import sys
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TextIO


class Printing:
    """Copies of standard output and error. Runs may overlap: each of them gets what was printed meanwhile."""

    def __init__(self) -> None:
        self._listeners: list[list[str]] = []
        self._replaced: list[tuple[str, TextIO, _Copied]] = []

    @contextlib.contextmanager
    def copied(self) -> Generator[list[str]]:
        """The pieces that are printed within it, in order."""
        parts: list[str] = []
        if not self._listeners:
            self._replace()
        self._listeners.append(parts)
        try:
            yield parts
        finally:
            # By identity: two lists of the same pieces are equal.
            self._listeners[:] = [each for each in self._listeners if each is not parts]
            if not self._listeners:
                self._put_back()

    def _replace(self) -> None:
        for name in ("stdout", "stderr"):
            stream: TextIO | None = getattr(sys, name)
            if stream is not None:
                copied = _Copied(stream, self._listeners)
                self._replaced.append((name, stream, copied))
                setattr(sys, name, copied)

    def _put_back(self) -> None:
        for name, stream, copied in self._replaced:
            # Somebody else may have put another stream there meanwhile.
            if getattr(sys, name) is copied:
                setattr(sys, name, stream)
        self._replaced.clear()


class _Copied:
    """A text stream; what is written to it goes to the listeners too."""

    def __init__(self, stream: TextIO, listeners: list[list[str]]) -> None:
        self._stream = stream
        self._listeners = listeners

    def write(self, text: str) -> int:
        for parts in self._listeners:
            parts.append(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
