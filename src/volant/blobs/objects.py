"""A blob store in a bucket of an object store: S3, Google Cloud Storage, Azure, and what speaks like them.

Objects are whole or absent by themselves, so a blob is one object, named by its digest. Credentials and endpoints
come from the environment, under the names that the vendors' own tools read (`AWS_ENDPOINT_URL`, ...).
"""

import contextlib
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from volant.blobs.checking import CHUNK, Digesting, check, check_digest, checked, digest_of
from volant.model.errors import BlobCorruptError, BlobError, BlobMissingError
from volant.model.payloads import Blob

_FRESH: Final = timedelta(hours=12)
"""An object that is older is written again when it is put, so that it counts as new."""


def _now() -> datetime:
    return datetime.now(UTC)


class ObjectBlobs:
    """Blobs under the prefix that *url* names."""

    def __init__(self, url: str, *, now: Callable[[], datetime] = _now) -> None:
        self._url = url
        self._now = now
        self._store: Any = from_url(url)

    def put(self, data: bytes) -> Blob:
        """Store *data* durably, unless it is there already, and say how to find it again."""
        blob = Blob(digest=digest_of(data), size=len(data))
        if not self._keep(blob):
            self._write(blob, data)
        return blob

    def put_chunks(self, chunks: Iterable[bytes | memoryview], *, expected: Blob | None = None) -> Blob:
        """Store the bytes of all *chunks* together, holding few at a time."""
        if expected is None:
            return self._put_unknown(chunks)
        if self._keep(expected):
            return expected
        return self._put_expected(chunks, expected)

    def put_file(self, path: Path) -> Blob:
        """Store the bytes of a file; it is read twice, first for its digest."""
        passed = Digesting()
        with path.open("rb", buffering=0) as file:
            for chunk in iter(partial(file.read, CHUNK), b""):
                passed.take(chunk)
            blob = passed.blob
            if self._keep(blob):
                return blob
            file.seek(0)
            return self._put_expected(iter(partial(file.read, CHUNK), b""), blob)

    @contextlib.contextmanager
    def reading(self, blob: Blob) -> Generator[Path, None, None]:
        """A copy on this machine, for as long as the context lasts."""
        with tempfile.TemporaryDirectory(prefix="volant-") as folder:
            path = Path(folder) / "content"
            with path.open("wb") as file:
                for chunk in self.chunks(blob):
                    file.write(chunk)
            yield path

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """The bytes of *blob*, a piece at a time; the last one comes when their digest was checked."""
        with self._errors(f"blob {blob.digest} in {self._url} cannot be read", blob):
            found = obstore.get(self._store, _key(blob))
            yield from checked(_pieces(found.stream(min_chunk_size=CHUNK)), blob, where=self._url)

    def get(self, blob: Blob) -> bytes:
        """The bytes of *blob*; their digest was checked."""
        with self._errors(f"blob {blob.digest} in {self._url} cannot be read", blob):
            data = bytes(obstore.get(self._store, _key(blob)).bytes())
        check(Blob(digest=digest_of(data), size=len(data)), blob, where=self._url)
        return data

    def has(self, blob: Blob) -> bool:
        """Whether an object of this digest and size is there."""
        return self._age(blob) is not None

    def _put_unknown(self, chunks: Iterable[bytes | memoryview]) -> Blob:
        """An object cannot be renamed, so its digest has to be known first."""
        passed = Digesting()
        with tempfile.TemporaryFile(prefix="volant-") as file:
            for chunk in chunks:
                passed.take(chunk)
                file.write(chunk)
            file.seek(0)
            blob = passed.blob
            if not self._keep(blob):
                self._put_expected(iter(partial(file.read, CHUNK), b""), blob)
        return blob

    def _put_expected(self, chunks: Iterable[bytes | memoryview], expected: Blob) -> Blob:
        passed = Digesting()

        def passing() -> Iterator[bytes]:
            for chunk in chunks:
                passed.take(chunk)
                yield bytes(chunk)
            # Before the upload is complete: nobody sees it then.
            if passed.blob != expected:
                raise _OtherContent

        try:
            self._write(expected, passing())
        except _OtherContent:
            found = passed.blob
            msg = f"found {found.size} bytes of digest {found.digest}, wanted {expected.size} of {expected.digest}"
            raise BlobCorruptError(msg) from None
        return expected

    def _write(self, blob: Blob, content: bytes | Iterator[bytes]) -> None:
        with self._errors(f"blob {blob.digest} of {blob.size} bytes cannot be stored in {self._url}", None):
            obstore.put(self._store, _key(blob), content)

    def _keep(self, blob: Blob) -> bool:
        age = self._age(blob)
        return age is not None and age < _FRESH

    def _age(self, blob: Blob) -> timedelta | None:
        """How long ago the blob was written; None if it is not there."""
        try:
            with self._errors(f"blob {blob.digest} cannot be looked up in {self._url}", blob):
                found = obstore.head(self._store, _key(blob))
        except BlobMissingError:
            return None
        return self._now() - found["last_modified"] if found["size"] == blob.size else None

    @contextlib.contextmanager
    def _errors(self, what: str, blob: Blob | None) -> Generator[None, None, None]:
        try:
            yield
        except FileNotFoundError as error:
            if blob is None:
                raise BlobError(f"{what}: {_first_line(error)}") from error
            raise BlobMissingError(f"there is no blob {blob.digest} in {self._url}") from error
        except (BaseError, OSError) as error:
            raise BlobError(f"{what}: {_first_line(error)}") from error


class _OtherContent(Exception):
    """The chunks were not what they were said to be."""


def _key(blob: Blob) -> str:
    try:
        digest = check_digest(blob.digest)
    except ValueError as error:
        raise BlobError(str(error)) from None
    return f"{digest[:2]}/{digest[2:]}"


def _pieces(chunks: Iterable[Any]) -> Iterator[bytes]:
    """Chunks of any size, in pieces that are not much larger than asked for."""
    for chunk in chunks:
        data = bytes(chunk)
        for at in range(0, len(data), 2 * CHUNK):
            yield data[at : at + 2 * CHUNK]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
