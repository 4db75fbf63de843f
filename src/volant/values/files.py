"""A file whose content is in the blob store, by what is in it: whatever becomes of the original, it is there."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import IO, Any, Generic, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from volant.kit.cloning import copy_file
from volant.model.errors import ArgumentError, BlobMissingError, NotSupportedError
from volant.model.payloads import Blob
from volant.values.asyncfiles import AsyncFile
from volant.values.hashing import HashMethod, hash_of
from volant.values.stored import STORES, Stored
from volant.values.wire import Unencodable

F = TypeVar("F")

Mode = Literal["r", "rb", "w", "wb"]


class File(Stored, Generic[F]):
    """A file that travels by reference. `File[F]` says its format, for people and type checkers.

    Methods are awaited; the ones that end in `_sync` block.
    """

    kind = "File"
    named_by = "file"

    def __init__(
        self, *, name: str = "", format: str = "", hash: str | None = None, blob: Blob | None = None, uri: str = ""
    ) -> None:
        self.name = name
        """What the file was called."""
        self.format = format
        """Whatever its maker says about it, such as `csv`."""
        self._hash = hash
        self._blob = blob
        self._uri = uri

    # Making one

    @classmethod
    async def from_local(
        cls, path: str | os.PathLike[str], *, name: str | None = None, format: str = "", hash_method: HashMethod = None
    ) -> Self:
        """Put a file of this machine into the store; the original may change or go.

        Raises:
            FileNotFoundError: it is not there.
        """
        return await asyncio.to_thread(cls.from_local_sync, path, name=name, format=format, hash_method=hash_method)

    @classmethod
    def from_local_sync(
        cls, path: str | os.PathLike[str], *, name: str | None = None, format: str = "", hash_method: HashMethod = None
    ) -> Self:
        """As `from_local`."""
        found = Path(path)
        blob = STORES.open().put_file(found)
        return cls(name=name or found.name, format=format, hash=hash_of(hash_method, found), blob=blob)

    @classmethod
    def new_remote(cls, name: str = "", *, format: str = "", hash_method: HashMethod = None) -> Self:
        """A file without content: write it with `open("wb")`."""
        return cls(name=name, format=format, hash=hash_of(hash_method, None))

    @classmethod
    def from_existing_remote(cls, path: str, *, format: str = "", file_cache_key: str | None = None) -> Self:
        """A file that stays where it is and is nobody's to keep: a path or a URI.

        Since it may change, calls with it are not recognised as equal unless *file_cache_key* says so.
        """
        return cls(name=path.rpartition("/")[2], format=format, hash=file_cache_key, uri=path)

    # Looking at it

    @property
    def hash(self) -> str | None:
        """What it is recognised by instead of its content, if that was given."""
        return self._hash

    @property
    def path(self) -> str:
        """Where its content is: `blob:` and its digest, or the URI of one that stays where it is."""
        return self._uri or (f"blob:{self._blob.digest}" if self._blob is not None else "")

    @property
    def size(self) -> int | None:
        """Bytes; None where that is not known without looking."""
        return self._blob.size if self._blob is not None else None

    @property
    def is_external(self) -> bool:
        """Whether it stays where it is."""
        return bool(self._uri)

    async def exists(self) -> bool:
        """Whether its content can be read."""
        return await asyncio.to_thread(self.exists_sync)

    def exists_sync(self) -> bool:
        """As `exists`."""
        if self._uri:
            return _external(self._uri).is_file()
        return self._blob is not None and self.blobs().has(self._blob)

    # Its content

    @contextlib.asynccontextmanager
    async def open(self, mode: Mode = "rb", *, encoding: str = "utf-8") -> AsyncGenerator[AsyncFile, None]:
        """Its content as a file whose `read`, `write`, ... are awaited. See `open_sync`."""
        holder = self.open_sync(mode, encoding=encoding)
        opened = await asyncio.to_thread(holder.__enter__)
        try:
            yield AsyncFile(opened)
        except BaseException as error:
            if not await asyncio.to_thread(holder.__exit__, type(error), error, error.__traceback__):
                raise
        else:
            await asyncio.to_thread(holder.__exit__, None, None, None)

    @contextlib.contextmanager
    def open_sync(self, mode: Mode = "rb", *, encoding: str = "utf-8") -> Generator[IO[Any], None, None]:
        """Its content as a file: read it from anywhere, or write it anew.

        What is read was checked against its digest. What is written becomes the content when the context is left
        without an exception; before that, and otherwise, nobody sees any of it.

        Raises:
            BlobMissingError: it was never written, or the store does not have it any more.
            BlobCorruptError: the store has something else.
        """
        if mode not in ("r", "rb", "w", "wb"):
            raise ArgumentError(f"File.open: found the mode {mode!r}, wanted 'r', 'rb', 'w' or 'wb'")
        text = encoding if "b" not in mode else None
        if "w" in mode:
            with self._written(mode, text) as file:
                yield file
        else:
            with self._readable() as path, path.open(mode, encoding=text) as file:
                yield file

    async def download(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """Copy it to a path of this machine, or into a folder; without one, into a new temporary folder.

        Returns:
            The path.
        """
        return await asyncio.to_thread(self.download_sync, local_path)

    def download_sync(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """As `download`."""
        target = Path(tempfile.mkdtemp(prefix="volant-") if local_path is None else local_path)
        if target.is_dir():
            target /= self.name or "file"
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._readable() as source, tempfile.TemporaryDirectory(dir=target.parent, prefix=".volant-") as folder:
            draft = Path(folder) / "draft"
            copy_file(source, draft)
            draft.replace(target)
        return str(target)

    # Inside the codec

    def facts(self) -> tuple[Any, ...]:
        """Name, format, hash and URI."""
        return self.name, self.format, self._hash, self._uri

    def contents(self) -> Sequence[tuple[str, Blob]]:
        """Its blob, unless it stays where it is."""
        if self._uri:
            return []
        if self._blob is None:
            raise Unencodable(f"found {self!r}, which was never written; write it with File.open('wb')")
        return [("", self._blob)]

    @classmethod
    def at_path(cls, path: str) -> Self:
        """The file at *path*."""
        return cls.from_local_sync(path)

    @classmethod
    def remade(cls, facts: tuple[Any, ...], contents: Sequence[tuple[str, Blob]]) -> Self:
        """The same file."""
        name, format, hash, uri = facts
        return cls(name=name, format=format, hash=hash, uri=uri, blob=contents[0][1] if contents else None)

    @contextlib.contextmanager
    def _readable(self) -> Generator[Path, None, None]:
        if self._uri:
            yield _external(self._uri)
        elif self._blob is None:
            raise BlobMissingError(f"{self!r} has no content", hint="write it first: async with file.open('wb')")
        else:
            with self.blobs().reading(self._blob) as path:
                yield path

    @contextlib.contextmanager
    def _written(self, mode: str, encoding: str | None) -> Generator[IO[Any], None, None]:
        if self._uri:
            raise NotSupportedError(f"{self!r} is not ours to write", hint="File.new_remote() gives one that is")
        with tempfile.TemporaryDirectory(prefix="volant-") as folder:
            draft = Path(folder) / "draft"
            with draft.open(mode, encoding=encoding) as file:
                yield file
            self._blob = STORES.open().put_file(draft)
            self.source_store = None

    def __repr__(self) -> str:
        return f"File({self.name!r}, path={self.path!r})"


def _external(uri: str) -> Path:
    """The path of a file that stays where it is."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if "://" in uri:
        raise NotSupportedError(f"{uri}: found the scheme {parts.scheme!r}, wanted a path or file://")
    return Path(uri)
