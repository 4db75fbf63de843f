"""Values as the control side sees them: opaque bytes, here or in the blob store."""

import msgspec


class Inline(msgspec.Struct, frozen=True, kw_only=True, tag="inline", array_like=True):
    """Encoded bytes carried along."""

    data: bytes
    parts: tuple[str, ...] = ()
    """Digests of the blobs that the bytes refer to: arrays, frames, files."""


class Blob(msgspec.Struct, frozen=True, kw_only=True, tag="blob", array_like=True):
    """Encoded bytes in the blob store, by content."""

    digest: str
    """Hex BLAKE2b-256 of the bytes."""
    size: int
    """Bytes."""
    parts: tuple[str, ...] = ()
    """Digests of the blobs that the bytes refer to."""


Payload = Inline | Blob


class SavedCheckpoint(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What an action saved last."""

    data: Payload
    file: str | None = None
    """Its name, if it was a file; None: it was bytes."""
