"""A blob store in a folder: one file per content, sharded by the first two digits of its digest."""

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import BinaryIO

from volant.kit.digests import blake2b
from volant.model.errors import BlobCorruptError, BlobError, BlobMissingError
from volant.model.payloads import Blob

_DIGEST_SIZE = 32
_CANNOT = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.EXDEV, errno.EPERM)
"""What a system says that has no files without a name, or cannot give them one."""


class LocalBlobs:
    """Blobs in *folder*, which is made when the first one is put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> Blob:
        """Store *data* durably, unless it is there already, and say how to find it again."""
        blob = Blob(digest=_digest(data), size=len(data))
        path = self._path(blob)
        try:
            if path.stat().st_size == blob.size:
                return blob
        except FileNotFoundError:
            pass
        except OSError as error:
            msg = f"blob {blob.digest} cannot be looked up in {self._folder}: {error}"
            raise BlobError(msg) from error
        try:
            _write_whole(path, data, root=self._folder)
        except OSError as error:
            msg = f"blob {blob.digest} of {blob.size} bytes cannot be stored in {self._folder}: {error}"
            raise BlobError(msg) from error
        return blob

    def get(self, blob: Blob) -> bytes:
        """The bytes of *blob*; their digest was checked."""
        try:
            data = self._path(blob).read_bytes()
        except FileNotFoundError as error:
            msg = f"there is no blob {blob.digest} in {self._folder}"
            raise BlobMissingError(msg) from error
        except OSError as error:
            msg = f"blob {blob.digest} in {self._folder} cannot be read: {error}"
            raise BlobError(msg) from error
        if len(data) != blob.size or _digest(data) != blob.digest:
            msg = f"blob {blob.digest} in {self._folder}: found {len(data)} other bytes than the {blob.size} stored"
            raise BlobCorruptError(msg)
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

    def _path(self, blob: Blob) -> Path:
        digest = blob.digest
        # Digests come in messages; one with a slash in it would lead out of the folder.
        if len(digest) != 2 * _DIGEST_SIZE or not all(digit in "0123456789abcdef" for digit in digest):
            msg = f"{digest!r} is not a digest: wanted {2 * _DIGEST_SIZE} hexadecimal digits"
            raise BlobError(msg)
        return self._folder / digest[:2] / digest[2:]


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST_SIZE).hexdigest()


def _write_whole(path: Path, data: bytes, *, root: Path) -> None:
    """Put *data* at *path* so that the name appears only when the bytes are on disk."""
    is_new_shard = not path.parent.is_dir()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _write_unnamed(path, data):
        _write_draft(path, data)
    _sync_folder(path.parent)
    if is_new_shard:
        _sync_folder(root)


def _write_unnamed(path: Path, data: bytes) -> bool:
    """Write a file that has no name until it is whole, so that who is killed meanwhile leaves nothing. False where the
    system or the file system cannot."""
    unnamed = getattr(os, "O_TMPFILE", 0)
    if not unnamed:
        return False
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(path.parent, os.O_WRONLY | unnamed | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb", buffering=0) as file:
            _fill(file, data)
            # With a folder given, Python follows the link in /proc; without one it would not.
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=folder, follow_symlinks=True)
    except FileExistsError:
        return path.stat().st_size == len(data)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    finally:
        os.close(folder)
    return True


def _write_draft(path: Path, data: bytes) -> None:
    # A shard's names are 62 digits long, so a name with a dot is never taken for a blob.
    draft = path.parent / f".{secrets.token_hex(8)}"
    try:
        with open(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb", buffering=0
        ) as file:
            _fill(file, data)
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _fill(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable too: a rename is not, until its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
