"""A directory whose files are in the blob store."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Self, TypeVar

from volant.model.errors import ArgumentError
from volant.model.payloads import Blob
from volant.values.files import File
from volant.values.stored import STORES, Stored

F = TypeVar("F")


class Dir(Stored, Generic[F]):
    """A directory that travels by reference: its files, by their paths in it, each by content.

    Methods are awaited; the ones that end in `_sync` block. Links to files are
    followed, those to directories and empty directories are left out.
    """

    kind = "Dir"
    named_by = "directory"

    def __init__(
        self, *, name: str = "", format: str = "", hash: str | None = None, files: Mapping[str, Blob] | None = None
    ) -> None:
        self.name = name
        """What the directory was called."""
        self.format = format
        """Whatever its maker says about its files."""
        self._hash = hash
        self._files = dict(sorted((files or {}).items()))

    @classmethod
    async def from_local(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        format: str = "",
        dir_cache_key: str | None = None,
    ) -> Self:
        """Put a directory of this machine into the store; the original may change or go.

        Raises:
            NotADirectoryError: it is not there, or is something else.
        """
        return await asyncio.to_thread(cls.from_local_sync, path, name=name, format=format, dir_cache_key=dir_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        format: str = "",
        dir_cache_key: str | None = None,
    ) -> Self:
        """As `from_local`."""
        root = Path(path)
        if not root.is_dir():
            raise NotADirectoryError(f"Dir.from_local: {root} is not a directory")
        blobs = STORES.open()
        found = {each.relative_to(root).as_posix(): blobs.put_file(each) for each in _files_below(root)}
        return cls(name=name or root.resolve().name, format=format, hash=dir_cache_key, files=found)

    @property
    def hash(self) -> str | None:
        """What it is recognised by instead of its content, if that was given."""
        return self._hash

    async def exists(self) -> bool:
        """Whether all of its files can be read."""
        return await asyncio.to_thread(self.exists_sync)

    def exists_sync(self) -> bool:
        """As `exists`."""
        return all(map(self.blobs().has, self._files.values()))

    async def walk(self, recursive: bool = True, max_depth: int | None = None) -> AsyncIterator[File[F]]:
        """Its files, in the order of their paths; without *recursive*, those directly in it."""
        for file in self.walk_sync(recursive, max_depth):
            yield file

    def walk_sync(self, recursive: bool = True, max_depth: int | None = None) -> Iterator[File[F]]:
        """As `walk`."""
        deepest = 1 if not recursive else max_depth
        for path in self._files:
            if deepest is None or len(PurePosixPath(path).parts) <= deepest:
                yield self._file(path)

    async def list_files(self) -> list[File[F]]:
        """The files directly in it."""
        return self.list_files_sync()

    def list_files_sync(self) -> list[File[F]]:
        """As `list_files`."""
        return list(self.walk_sync(recursive=False))

    async def get_file(self, path: str) -> File[F] | None:
        """The file of this path in it, or None."""
        return self.get_file_sync(path)

    def get_file_sync(self, path: str) -> File[F] | None:
        """As `get_file`."""
        plain = PurePosixPath(path).as_posix()
        return self._file(plain) if plain in self._files else None

    async def download(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """Copy it to a path of this machine; without one, to a new temporary folder.

        Returns:
            The path.
        """
        return await asyncio.to_thread(self.download_sync, local_path)

    def download_sync(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """As `download`."""
        root = Path(tempfile.mkdtemp(prefix="volant-") if local_path is None else local_path)
        root.mkdir(parents=True, exist_ok=True)
        for path in self._files:
            self._file(path).download_sync(root / path)
        return str(root)

    def facts(self) -> tuple[Any, ...]:
        """Name, format and hash."""
        return self.name, self.format, self._hash

    def contents(self) -> Sequence[tuple[str, Blob]]:
        """Its files by path."""
        return list(self._files.items())

    @classmethod
    def at_path(cls, path: str) -> Self:
        """The directory at *path*."""
        return cls.from_local_sync(path)

    @classmethod
    def remade(cls, facts: tuple[Any, ...], contents: Sequence[tuple[str, Blob]]) -> Self:
        """The same directory."""
        for path, _ in contents:
            parts = PurePosixPath(path)
            if parts.is_absolute() or ".." in parts.parts:
                raise ArgumentError(f"a directory with a file at {path!r}, which leads out of it")
        name, format, hash = facts
        return cls(name=name, format=format, hash=hash, files=dict(contents))

    def _file(self, path: str) -> File[F]:
        file: File[F] = File(name=PurePosixPath(path).name, format=self.format, blob=self._files[path])
        file.source_store = self.source_store
        return file

    def __repr__(self) -> str:
        return f"Dir({self.name!r}, {len(self._files)} files)"


def _files_below(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file():
                yield path
