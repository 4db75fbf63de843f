"""The user's files as they were when a run was submitted, for workers that start after they were edited.

As long as a file is what it was it is loaded from its place, like everything else. One that was changed or removed
since is loaded from the archive under its old path, so that a run goes on with the code that it started with.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

import msgspec


class ArchivedFile(msgspec.Struct, frozen=True, array_like=True):
    """One file."""

    module: str
    path: str
    """Absolute, on the machine that submitted the run."""
    content: bytes


def make_archive(files: Iterable[tuple[str, str]]) -> bytes:
    """The Python files among (module, path), whatever their order; one that cannot be read is left out."""
    found: list[ArchivedFile] = []
    for module, path in sorted(set(files)):
        # Compiled modules cannot be loaded from memory.
        if not path.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)) and (content := _content(path)) is not None:
            found.append(ArchivedFile(module, os.path.abspath(path), content))
    return msgspec.msgpack.encode(found)


def archived_files(data: bytes) -> list[tuple[str, str]]:
    """(module, path) of what an archive holds: made into an archive again, they are as they are now."""
    return [(file.module, file.path) for file in msgspec.msgpack.decode(data, type=list[ArchivedFile])]


class Archive(importlib.abc.MetaPathFinder):
    """An archive in a worker: knows which files are not what they were."""

    def __init__(self, data: bytes = b"") -> None:
        """*data*: what `make_archive` gave; nothing is an archive without files."""
        files = msgspec.msgpack.decode(data, type=list[ArchivedFile]) if data else []
        changed = [file for file in files if _content(file.path) != file.content]
        self._by_module = {file.module: file for file in changed}
        self._by_path = {file.path: file.content for file in changed}

    @property
    def changed(self) -> Sequence[str]:
        """Paths of the files that are not what they were."""
        return list(self._by_path)

    def install(self) -> None:
        """From now on this process loads changed files from here, whether they are imported or named."""
        if not self._by_module:
            return
        sys.meta_path.insert(0, self)
        for path, content in self._by_path.items():
            # Tracebacks show the lines that ran. An entry without a time is never compared with the file.
            text = content.decode(errors="replace")
            linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)

    def content(self, path: str) -> bytes | None:
        """What the file at *path* was; None when it has not changed, or is not archived."""
        return self._by_path.get(os.path.abspath(path))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Part of the import system."""
        file = self._by_module.get(fullname)
        return None if file is None or fullname == "__main__" else archived_spec(fullname, file.path, file.content)


def installed() -> Archive:
    """The archive that this process loads changed files from; one without files when there is none."""
    return next((finder for finder in sys.meta_path if isinstance(finder, Archive)), Archive())


def archived_spec(
    module: str, path: str, content: bytes, *, search: list[str] | None = None
) -> importlib.machinery.ModuleSpec | None:
    """The spec of a module whose source is *content*, though *path* has something else."""
    if search is None and os.path.splitext(os.path.basename(path))[0] == "__init__":
        search = [os.path.dirname(path)]
    loader = _ArchiveLoader(path, content)
    return importlib.util.spec_from_file_location(module, path, loader=loader, submodule_search_locations=search)


class _ArchiveLoader(importlib.abc.SourceLoader):
    """Compiles what was archived; bytecode that lies beside the file belongs to another content and is not used."""

    def __init__(self, path: str, content: bytes) -> None:
        self._path = path
        self._content = content

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        if path != self._path:
            raise FileNotFoundError(path)
        return self._content


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
