"""Which items are there, as one bit each, the first in the lowest."""

from typing import Any

import numpy

_np: Any = numpy


def packed(flags: Any) -> Any:
    """Arrow's booleans, none of them null, as bytes."""
    return _np.packbits(flags.to_numpy(zero_copy_only=False), bitorder="little")


def unpacked(data: Any, size: int) -> Any:
    """The booleans of `packed`."""
    return _np.unpackbits(data, count=size, bitorder="little").astype(bool)
