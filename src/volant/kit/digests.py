"""BLAKE2b (RFC 7693), without what `hashlib` imports beside it.

`hashlib.blake2b` is the function of the interpreter's own module `_blake2`; but `hashlib` also loads OpenSSL, which
about 2 ms of every start-up and memory that each fork copies.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import blake2b
else:
    try:
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b

__all__ = ["blake2b"]
