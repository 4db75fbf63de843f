"""Bulk: the bytes of arrays and files, in the value when they are few, else in a blob of their own, by digest.

Where the line is drawn is part of the format: the same content has the same bytes whoever writes it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from volant.kit.digests import blake2b
from volant.model.errors import BlobCorruptError
from volant.model.payloads import Blob, Inline, Payload
from volant.ports.blobs import Blobs
from volant.values.wire import Misread, Part, Sink, Source, read_size, write_size

MOST_IN_VALUE: Final = 1 << 16
"""Bytes; more go to a blob. Frozen with the format."""
_HERE: Final = 0
_BLOB: Final = 1
_DIGEST: Final = 32


def write_content(chunks: Sequence[memoryview], out: Sink) -> None:
    """Write the bytes of all *chunks*, which must not change until the parts of *out* are stored."""
    size = sum(chunk.nbytes for chunk in chunks)
    if out.probe >= 0:
        return  # nothing here is pickled
    if size > MOST_IN_VALUE:
        write_blob(Part(blob=Blob(digest=_digest(chunks), size=size), chunks=chunks), out)
        return
    out.append(_HERE)
    write_size(size, out)
    for chunk in chunks:
        out += chunk
    out.opaque += size


def write_blob(part: Part, out: Sink) -> None:
    """Write a reference to a blob."""
    out.append(_BLOB)
    out += bytes.fromhex(part.blob.digest)
    write_size(part.blob.size, out)
    out.parts.append(part)


def read_content(source: Source) -> bytearray:
    """The bytes that `write_content` wrote, in memory of their own."""
    found = read_place(source)
    if not isinstance(found, Blob):
        return bytearray(found)
    if source.blobs is None:
        raise Misread(f"found a part in the blob store ({found.size} bytes), but no store is known here")
    content = bytearray(found.size)
    at = 0
    for chunk in source.blobs().chunks(found):
        content[at : at + len(chunk)] = chunk
        at += len(chunk)
    return content


def read_place(source: Source) -> bytes | Blob:
    """The bytes that `write_content` wrote where they are in the value, else the blob that has them."""
    place = source.take(1)[0]
    if place == _HERE:
        return source.take(read_size(source))
    if place != _BLOB:
        raise Misread(f"found {place} for where bytes are, wanted {_HERE} or {_BLOB}")
    digest = source.take(_DIGEST).hex()
    return Blob(digest=digest, size=read_size(source))


def store(data: bytes, parts: Iterable[Part], blobs: Blobs, *, inline_bytes: int) -> Payload:
    """A payload, once its parts and, past *inline_bytes*, the bytes themselves are in the store.

    Raises:
        BlobError: they are not; a part that changed while it was stored is one reason.
    """
    digests = store_parts(parts, blobs)
    if len(data) <= inline_bytes:
        return Inline(data=data, parts=digests)
    blob = blobs.put(data)
    return Blob(digest=blob.digest, size=blob.size, parts=digests)


def store_parts(parts: Iterable[Part], blobs: Blobs) -> tuple[str, ...]:
    """The digests of *parts*, once they are in the store.

    Raises:
        BlobError: as `store`.
    """
    digests: list[str] = []
    for part in parts:
        digests.append(part.blob.digest)
        if part.chunks is None:
            continue
        try:
            blobs.put_chunks(part.chunks, expected=part.blob)
        except BlobCorruptError as error:
            msg = f"an array or frame of {part.blob.size} bytes changed while it was stored: {error}"
            raise BlobCorruptError(msg, hint="pass a copy of what is changed meanwhile") from error
    return tuple(digests)


def _digest(chunks: Iterable[memoryview]) -> str:
    digest = blake2b(digest_size=_DIGEST)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
