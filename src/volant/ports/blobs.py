"""Large values by content."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from volant.model.payloads import Blob


class Blobs(Protocol):
    """A content-addressed store of bytes. Calls block; callers on a loop use a thread for large ones.

    - *Whole or absent*: a blob that can be read is complete and its digest was checked.
    - *Idempotent*: the same bytes may be written any number of times, by any number of processes at once.
    """

    def put(self, data: bytes) -> Blob:
        """Store *data* durably and say how to find it again."""
        ...

    def put_chunks(self, chunks: Iterable[bytes | memoryview], *, expected: Blob | None = None) -> Blob:
        """Store the bytes of all *chunks* together, holding one chunk at a time.

        *expected* says what they are, where that is known: what is there already is not written again. A blob that
        is put, again or not, counts as new for whoever collects what nothing refers to.

        Raises:
            BlobCorruptError: the chunks held something else than *expected*.
        """
        ...

    def put_file(self, path: Path) -> Blob:
        """Store the bytes of a file; the store has them when it is changed or gone.

        Raises:
            OSError: the file cannot be read.
        """
        ...

    def reading(self, blob: Blob) -> AbstractContextManager[Path]:
        """A file with the bytes of *blob*, whose digest was checked, as long as the context lasts. Not to be changed.

        Raises:
            BlobMissingError: the store does not have it.
            BlobCorruptError: what is there is not what was stored.
        """
        ...

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """The bytes of *blob*, a piece at a time. The digest is known to be right once the last one was given.

        Raises:
            BlobMissingError: the store does not have it.
            BlobCorruptError: what was there is not what was stored; what was given so far is to be thrown away.
        """
        ...

    def get(self, blob: Blob) -> bytes:
        """The bytes of *blob*.

        Raises:
            BlobMissingError: the store does not have it.
            BlobCorruptError: what is there is not what was stored.
        """
        ...

    def has(self, blob: Blob) -> bool:
        """Whether *blob* can be read."""
        ...
