"""Large values by content."""

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
