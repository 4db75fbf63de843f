"""Fresh randomness for each fork, so that two of them do not draw the same numbers.

CPython reseeds the functions of `random` and `tempfile` itself when a process forks.
"""

import os
import sys
from typing import Any


def reseed() -> None:
    """Give the global generators of libraries that are loaded a state of their own."""
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(None)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(int.from_bytes(os.urandom(8), "big") >> 1)
