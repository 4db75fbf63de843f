"""How much may travel by value."""

from volant.model.errors import InlineIOMaxBytesBreached
from volant.model.specs import ActionSpec
from volant.values.codec import Encoded


def check_size(encoded: Encoded, spec: ActionSpec, direction: str) -> None:
    """Refuse what is too large to travel by value.

    Raises:
        InlineIOMaxBytesBreached: it is.
    """
    if encoded.inline_bytes > spec.max_inline_io_bytes:
        msg = (
            f"task {spec.task!r}, {direction}: found {encoded.inline_bytes} bytes that travel by value, "
            f"wanted at most {spec.max_inline_io_bytes} (max_inline_io_bytes)"
        )
        raise InlineIOMaxBytesBreached(
            msg, hint="pass large data as a File, a Dir or a DataFrame, or raise max_inline_io_bytes"
        )
