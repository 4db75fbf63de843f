"""What a run's record keeps of its submission: enough to execute it again, and neither variables nor secrets."""

from collections.abc import Mapping

import msgspec

from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[RunOptions, CodeSource]).decode


def encode_submission(options: RunOptions, code: CodeSource) -> bytes:
    """The `options` of a `RunRecord`. Of the run's variables there are the names."""
    names = tuple(sorted({*options.env_vars, *options.env_names}))
    kept = msgspec.structs.replace(options, env_vars={}, env_names=names)
    return _encode([msgspec.to_builtins(kept), msgspec.to_builtins(code)])


def decode_submission(data: bytes) -> tuple[RunOptions, CodeSource]:
    """The options and the code that a run was submitted with, without the values of its variables.

    Releases before this one recorded the values too; who finds them there uses them, and writes them no more.

    Raises:
        msgspec.MsgspecError: it was not written by this release or one before.
    """
    return _decode(data)


def missing_variables(options: RunOptions, environ: Mapping[str, str], *, hint: str) -> str | None:
    """What to warn of in a run that goes on, or begins again, without variables that it was submitted with.

    *environ* is the environment that attempts see beside them; *hint* names what gives them.
    """
    missing = [name for name in options.env_names if name not in options.env_vars and name not in environ]
    if not missing:
        return None
    names = ", ".join(missing)
    return f"the values of the run's env_vars were not kept, and nobody gave them again: {names}; {hint} does"
