"""Content that is checked against its digest while it passes."""

from collections.abc import Iterable, Iterator

from volant.kit.digests import blake2b
from volant.model.errors import BlobCorruptError
from volant.model.payloads import Blob

DIGEST_SIZE = 32
CHUNK = 1 << 20
"""Bytes that are held at once."""


class Digesting:
    """Counts and digests what passes."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=DIGEST_SIZE)
        self._size = 0

    def take(self, chunk: bytes | memoryview) -> None:
        """Let one more piece pass."""
        self._digest.update(chunk)
        self._size += chunk.nbytes if isinstance(chunk, memoryview) else len(chunk)

    @property
    def blob(self) -> Blob:
        """What all that passed is called."""
        return Blob(digest=self._digest.hexdigest(), size=self._size)


def digest_of(data: bytes) -> str:
    """Hex BLAKE2b-256."""
    return blake2b(data, digest_size=DIGEST_SIZE).hexdigest()


def checked(chunks: Iterable[bytes], blob: Blob, *, where: str) -> Iterator[bytes]:
    """The chunks, the last of which comes when they were what *blob* says.

    Raises:
        BlobCorruptError: they were not.
    """
    passed = Digesting()
    held = b""
    for chunk in chunks:
        passed.take(chunk)
        if held:
            yield held
        held = chunk
    check(passed.blob, blob, where=where)
    if held:
        yield held


def check(found: Blob, blob: Blob, *, where: str) -> None:
    """See that what was found is what was stored.

    Raises:
        BlobCorruptError: it is not.
    """
    if (found.digest, found.size) != (blob.digest, blob.size):
        msg = f"blob {blob.digest} in {where}: found {found.size} other bytes than the {blob.size} stored"
        raise BlobCorruptError(msg)


def check_digest(digest: str) -> str:
    """The digest, which may come from anywhere, and must not lead anywhere else.

    Raises:
        ValueError: it is none.
    """
    if len(digest) != 2 * DIGEST_SIZE or not all(digit in "0123456789abcdef" for digit in digest):
        msg = f"{digest!r} is not a digest: wanted {2 * DIGEST_SIZE} hexadecimal digits"
        raise ValueError(msg)
    return digest
