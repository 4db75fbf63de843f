"""A frame that travels by reference and may be opened as one of another library."""

import asyncio
import importlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from volant.model.errors import ArgumentError, BlobMissingError, NotSupportedError
from volant.model.payloads import Blob
from volant.values.composing import INSTALL_FRAMES
from volant.values.files import File
from volant.values.hashing import HashMethod, hash_of
from volant.values.stored import STORES, Stored
from volant.values.wire import Unencodable, found

S = TypeVar("S")
T = TypeVar("T")


class DataFrame(Stored, Generic[S]):
    """A frame in the blob store, as Parquet. `DataFrame[S]` says its schema, for people and type checkers.

    A pandas, polars or Arrow frame under its own annotation needs none of this and comes back exactly; this is for
    frames that one task makes with one library and the next reads with another, or in pieces.
    """

    kind = "DataFrame"
    named_by = "Parquet file"

    def __init__(self, *, frame: Any = None, hash: str | None = None, blob: Blob | None = None, uri: str = "") -> None:
        self._frame = frame
        self._hash = hash
        self._blob = blob
        self._uri = uri

    @classmethod
    def from_df(cls, df: Any, *, hash_method: HashMethod = None) -> Self:
        """A frame of pandas, polars or Arrow; it is stored when it leaves the task.

        Raises:
            ArgumentError: it is none of these.
        """
        _parquet().check_frame(df)
        return cls(frame=df, hash=hash_of(hash_method, df))

    @classmethod
    def from_existing_remote(cls, uri: str, *, hash: str | None = None) -> Self:
        """A Parquet file that stays where it is. Since it may change, *hash* says by what it is recognised."""
        return cls(uri=uri, hash=hash)

    def open(self, kind: type[T]) -> "Reader[T]":
        """It as a `pandas.DataFrame`, `polars.DataFrame` or `pyarrow.Table`: at once or in pieces.

        Raises:
            ArgumentError: *kind* is none of these.
        """
        return Reader(self, kind)

    @property
    def hash(self) -> str | None:
        """What it is recognised by instead of its content, if that was given."""
        return self._hash

    @property
    def is_external(self) -> bool:
        """Whether it stays where it is."""
        return bool(self._uri)

    @property
    def uri(self) -> str:
        """Where its content is: `blob:` and its digest, or the URI of one that stays where it is; empty before that."""
        return self._uri or (f"blob:{self._blob.digest}" if self._blob is not None else "")

    @property
    def frame(self) -> Any:
        """The frame that it was made of, in the process that made it; else None."""
        return self._frame

    def as_file(self) -> File[Any]:
        """The Parquet file."""
        file: File[Any]
        if self._uri:
            file = File[Any].from_existing_remote(self._uri, format="parquet")
            return file
        if self._blob is None and self._frame is None:
            raise BlobMissingError(f"{self!r} has no content")
        file = File(name="frame.parquet", format="parquet", blob=self.contents()[0][1])
        file.source_store = self.source_store
        return file

    def facts(self) -> tuple[Any, ...]:
        """Format, hash and URI."""
        return "parquet", self._hash, self._uri

    def contents(self) -> Sequence[tuple[str, Blob]]:
        """Its Parquet file, which is written when it is first asked for."""
        if self._uri:
            return []
        if self._blob is None:
            if self._frame is None:
                raise Unencodable(f"found {self!r}, which has no content; make it with DataFrame.from_df")
            with tempfile.TemporaryDirectory(prefix="volant-") as folder:
                path = Path(folder) / "frame.parquet"
                _parquet().write(self._frame, path)
                self._blob = STORES.open().put_file(path)
        return [("", self._blob)]

    @classmethod
    def at_path(cls, path: str) -> Self:
        """The rows of the Parquet file at *path*."""
        return cls(blob=STORES.open().put_file(Path(path)))

    @classmethod
    def remade(cls, facts: tuple[Any, ...], contents: Sequence[tuple[str, Blob]]) -> Self:
        """The same frame, to be opened."""
        _, hash, uri = facts
        return cls(hash=hash, uri=uri, blob=contents[0][1] if contents else None)

    def __repr__(self) -> str:
        return f"DataFrame({self.uri or found(self._frame)})"


class Reader(Generic[T]):
    """A frame being opened as one of a library."""

    def __init__(self, frame: DataFrame[Any], kind: type[T]) -> None:
        _parquet().check_kind(kind)
        self._source = frame
        self._kind = kind

    async def all(self) -> T:
        """All rows."""
        return await asyncio.to_thread(self.all_sync)

    def all_sync(self) -> T:
        """As `all`."""
        parquet = _parquet()
        if self._source.frame is not None:
            made: T = parquet.convert(self._source.frame, self._kind)
            return made
        with self._source.as_file().open_sync() as file:
            return parquet.read(file, self._kind)  # type: ignore[no-any-return]

    async def iter(self, rows: int = 65_536) -> AsyncIterator[T]:
        """So many rows at a time."""
        pieces = self.iter_sync(rows)
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece
        finally:
            await asyncio.to_thread(pieces.close)  # type: ignore[attr-defined]

    def iter_sync(self, rows: int = 65_536) -> Iterator[T]:
        """As `iter`."""
        if rows < 1:
            raise ArgumentError(f"DataFrame.open(...).iter: found {rows} rows, wanted at least 1")
        with self._source.as_file().open_sync() as file:
            yield from _parquet().pieces(file, self._kind, rows)


def _parquet() -> Any:
    try:
        return importlib.import_module("volant.values.foreign.parquet")
    except ImportError as error:
        raise NotSupportedError(f"volant.io.DataFrame takes pyarrow: {error}", hint=INSTALL_FRAMES) from error
