"""What a run's record keeps of its submission: enough to execute it again, and neither variables nor secrets."""

import msgspec

from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[RunOptions, CodeSource]).decode


def encode_submission(options: RunOptions, code: CodeSource) -> bytes:
    """The `options` of a `RunRecord`."""
    return _encode([msgspec.to_builtins(options), msgspec.to_builtins(code)])


def decode_submission(data: bytes) -> tuple[RunOptions, CodeSource]:
    """The options and the code that a run was submitted with.

    Raises:
        msgspec.MsgspecError: it was not written by this release or one before.
    """
    return _decode(data)
