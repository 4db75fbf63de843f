"""Teaching the codec a type of the user's."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from volant.model.errors import DefinitionTypeError
from volant.values import codec
from volant.values.wire import found

T = TypeVar("T")

Hash = Callable[[T], bytes | str | int]
"""What equal values share, and values that differ do not; in every process, and tomorrow."""


def register(
    cls: type[T],
    *,
    encode: Callable[[T], bytes],
    decode: Callable[[bytes], T],
    hash: "Hash[T] | bool" = True,
    preview: Callable[[T], str] | None = None,
    name: str | None = None,
    subclasses: bool = False,
) -> None:
    """Let values of *cls* travel as the bytes that *encode* makes of them, instead of as pickles.

    Call it where the class is defined: a process that reads such a value imports that module first. Registering the
    same class again replaces what was registered.

    Args:
        cls: instances of exactly this class are meant, unless *subclasses*.
        encode: makes bytes of a value.
        decode: makes the value of such bytes.
        hash: by what values are recognised, for caching and for replay. `True`: equal values have equal bytes, in every
            process. A function: by what it returns, where the bytes differ between equal values (compression, time
            stamps). `False`: not at all; such calls are told apart by their order and are never cached.
        preview: a line about a value for `volant get io`, stored with it.
        name: what stored values call the type; by default `module:qualname`, which a class that moves goes on using.
        subclasses: whether instances of subclasses are meant too; *decode* then has to restore their class.

    Raises:
        DefinitionTypeError: *cls* is not a class, or one of the others is not a function.
        DefinitionError: the bytes of a built-in type are fixed.
        DuplicateNameError: another class has this *name*.
    """
    if not callable(hash) and hash not in (True, False):
        raise DefinitionTypeError(f"register: hash is {found(hash)}, wanted a function, True or False")
    if preview is not None and not callable(preview):
        raise DefinitionTypeError(f"register: preview is {found(preview)}, wanted a function")
    codec.register(
        cls,
        encode=encode,
        decode=decode,
        digestable=hash is not False,
        name=name,
        inline=False,
        subclasses=subclasses,
        hashed=_as_bytes(cast("Hash[Any]", hash)) if callable(hash) else None,
        preview=preview,
    )


def _as_bytes(hash_of: "Hash[Any]") -> Callable[[Any], bytes]:
    def hashed(value: Any) -> bytes:
        found_hash = hash_of(value)
        if isinstance(found_hash, bytes):
            return b"b" + found_hash
        if isinstance(found_hash, str):
            return b"s" + found_hash.encode("utf-8", "surrogatepass")
        if isinstance(found_hash, bool) or not isinstance(found_hash, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"hash returned {found(found_hash)}, wanted bytes, a str or an int")
        return b"i" + str(found_hash).encode()

    return hashed
