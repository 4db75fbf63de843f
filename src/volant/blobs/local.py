"""A blob store in a folder: one file per content, sharded by the first two digits of its digest."""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from io import FileIO
from pathlib import Path

from volant.blobs.checking import CHUNK, Digesting, check, check_digest, checked, digest_of
from volant.kit.cloning import clone_bytes
from volant.model.errors import BlobCorruptError, BlobError, BlobMissingError
from volant.model.payloads import Blob

_CANNOT = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EXDEV, errno.EPERM)
"""What a system says that has no files without a name, or cannot give them one."""


class LocalBlobs:
    """Blobs in *folder*, which is made when the first one is put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> Blob:
        """Store *data* durably, unless it is there already, and say how to find it again."""
        blob = Blob(digest=digest_of(data), size=len(data))
        if self._keep(blob):
            return blob
        return self._store([data], f"blob {blob.digest} of {blob.size} bytes")

    def put_chunks(self, chunks: Iterable[bytes | memoryview], *, expected: Blob | None = None) -> Blob:
        """Store the bytes of all *chunks* together, holding one chunk at a time."""
        if expected is not None and self._keep(expected):
            return expected
        what = "a blob" if expected is None else f"blob {expected.digest} of {expected.size} bytes"
        blob = self._store(chunks, what)
        if expected is not None and (blob.digest, blob.size) != (expected.digest, expected.size):
            msg = f"found {blob.size} bytes of digest {blob.digest}, wanted {expected.size} of {expected.digest}"
            raise BlobCorruptError(msg)
        return blob

    def put_file(self, path: Path) -> Blob:
        """Store the bytes of a file: shared with it where the file system can, until one of both changes.

        Never linked: whoever has the file may go on writing to it.
        """
        with path.open("rb", buffering=0) as source:
            return self._store(iter(partial(source.read, CHUNK), b""), f"file {path}", clone=source)

    @contextlib.contextmanager
    def reading(self, blob: Blob) -> Generator[Path, None, None]:
        """The blob's own file."""
        for _ in self.chunks(blob):
            pass
        yield self._path(blob)

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """The bytes of *blob*, a piece at a time; the last one comes when their digest was checked."""
        with self._opened(blob) as file:
            yield from checked(iter(partial(file.read, CHUNK), b""), blob, where=str(self._folder))

    def get(self, blob: Blob) -> bytes:
        """The bytes of *blob*; their digest was checked."""
        with self._opened(blob) as file:
            data = file.read()
        check(Blob(digest=digest_of(data), size=len(data)), blob, where=str(self._folder))
        return data

    def has(self, blob: Blob) -> bool:
        """Whether a whole file of this digest and size is there."""
        try:
            return self._path(blob).stat().st_size == blob.size
        except FileNotFoundError:
            return False
        except OSError as error:
            msg = f"blob {blob.digest} cannot be looked up in {self._folder}: {error}"
            raise BlobError(msg) from error

    def _store(self, chunks: Iterable[bytes | memoryview], what: str, *, clone: FileIO | None = None) -> Blob:
        try:
            with _drafting(self._folder) as (draft, name):
                passed = Digesting()
                # What is hashed is what is stored, whatever happens to the original meanwhile.
                is_cloned = clone is not None and clone_bytes(clone, draft)
                for chunk in iter(partial(draft.read, CHUNK), b"") if is_cloned else chunks:
                    passed.take(chunk)
                    if not is_cloned:
                        _write_all(draft, chunk)
                blob = passed.blob
                os.fsync(draft.fileno())
                _publish(name, self._path(blob), root=self._folder)
        except OSError as error:
            msg = f"{what} cannot be stored in {self._folder}: {error}"
            raise BlobError(msg) from error
        return blob

    def _keep(self, blob: Blob) -> bool:
        """Whether *blob* is there; from now on it counts as new."""
        if not self.has(blob):
            return False
        try:
            os.utime(self._path(blob))
        except FileNotFoundError:
            return False  # it was collected just now
        except OSError as error:
            msg = f"blob {blob.digest} in {self._folder} cannot be kept: {error}"
            raise BlobError(msg) from error
        return True

    @contextlib.contextmanager
    def _opened(self, blob: Blob) -> Generator[FileIO, None, None]:
        try:
            with self._path(blob).open("rb", buffering=0) as file:
                yield file
        except FileNotFoundError as error:
            msg = f"there is no blob {blob.digest} in {self._folder}"
            raise BlobMissingError(msg) from error
        except OSError as error:
            msg = f"blob {blob.digest} in {self._folder} cannot be read: {error}"
            raise BlobError(msg) from error

    def _path(self, blob: Blob) -> Path:
        try:
            digest = check_digest(blob.digest)
        except ValueError as error:
            raise BlobError(str(error)) from None
        return self._folder / digest[:2] / digest[2:]


@contextlib.contextmanager
def _drafting(root: Path) -> Generator[tuple[FileIO, Callable[[Path], object]], None, None]:
    """A new file, and what gives it its name once its bytes are on disk; without one it is gone.

    Where the system has files without a name, who is killed meanwhile leaves nothing.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    unnamed = _open_unnamed(root)
    if unnamed is not None:
        with open(unnamed, "r+b", buffering=0) as file:
            yield file, partial(_link, file, root)
        return
    draft = _new_name(root)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "r+b", buffering=0) as file:
            yield file, draft.replace
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _open_unnamed(root: Path) -> int | None:
    """A file that has no name until it is whole; None where the system or the file system cannot."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag:
        return None
    try:
        return os.open(root, os.O_RDWR | flag | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _CANNOT:
            return None
        raise


def _link(file: FileIO, root: Path, path: Path) -> None:
    """Give an unnamed file its name, in the place of what has it already."""
    try:
        _name_it(file, root, path)
    except FileExistsError:
        if path.stat().st_size == os.fstat(file.fileno()).st_size:
            return
        # What is there was cut off, or changed.
        draft = _new_name(root)
        _name_it(file, root, draft)
        draft.replace(path)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        _copy_named(file, root, path)


def _name_it(file: FileIO, root: Path, path: Path) -> None:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a folder given, Python follows the link in /proc; without one it would not.
        os.link(f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _copy_named(file: FileIO, root: Path, path: Path) -> None:
    """Write an unnamed file once more, where the system cannot give it a name."""
    draft = _new_name(root)
    file.seek(0)
    try:
        with draft.open("xb", buffering=0) as copy:
            for chunk in iter(partial(file.read, CHUNK), b""):
                _write_all(copy, chunk)
            os.fsync(copy.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _new_name(root: Path) -> Path:
    # A shard's name has two digits, so a name with a dot is never taken for one.
    return root / f".{secrets.token_hex(8)}"


def _write_all(file: FileIO, data: bytes | memoryview) -> None:
    view = memoryview(data).cast("B") if len(data) else memoryview(b"")
    while view:
        view = view[file.write(view) :]


def _publish(name: Callable[[Path], object], path: Path, *, root: Path) -> None:
    """Give a draft whose bytes are on disk its name, durably."""
    is_new_shard = not path.parent.is_dir()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    name(path)
    _sync_folder(path.parent)
    if is_new_shard:
        _sync_folder(root)


def _sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable too: a rename is not, until its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
