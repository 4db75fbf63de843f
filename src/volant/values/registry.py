"""Types whose bytes are made by a function of their owner: tasks, and what users register."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from volant.model.errors import DefinitionError, DefinitionTypeError, DuplicateNameError
from volant.values.plans import Plan
from volant.values.references import resolve
from volant.values.wire import (
    HASHED,
    REGISTERED,
    SHOWN,
    Misread,
    Sink,
    Source,
    Unencodable,
    class_of,
    found,
    read_size,
    read_text,
    write_size,
    write_text,
)

_LONGEST_PREVIEW: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Registration:
    """How the values of one type become bytes."""

    cls: type[Any]
    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    digestable: bool
    inline: bool
    subclasses: bool
    hashed: Callable[[Any], bytes] | None = None
    preview: Callable[[Any], str] | None = None


@dataclass
class Registry:
    """The registered types, by class and by name."""

    by_class: dict[type, Registration] = field(default_factory=dict[type, Registration])
    by_name: dict[str, Registration] = field(default_factory=dict[str, Registration])

    def add(self, registration: Registration) -> None:
        """Register a type; the same name again replaces it when it is the same class executed again."""
        known = self.by_name.get(registration.name)
        if known is not None and (known.cls.__module__, known.cls.__qualname__) != (
            registration.cls.__module__,
            registration.cls.__qualname__,
        ):
            raise DuplicateNameError(
                f"type name {registration.name!r} is registered for {known.cls.__qualname__} already, "
                f"found it again for {registration.cls.__qualname__}"
            )
        self.by_class[registration.cls] = registration
        self.by_name[registration.name] = registration

    def find(self, cls: type[Any]) -> Registration | None:
        """The registration that handles instances of exactly *cls*."""
        exact = self.by_class.get(cls)
        if exact is not None:
            return exact
        bases = (self.by_class.get(base) for base in cls.__mro__[1:])
        return next((base for base in bases if base is not None and base.subclasses), None)

    def named(self, name: str) -> Registration:
        """The registration of this name; importing the module of the type may bring it."""
        known = self.by_name.get(name)
        if known is None and ":" in name:
            resolve(name)
            known = self.by_name.get(name)
        if known is None:
            raise Misread(f"the type {name!r} is not registered in this process")
        return known


class RegisteredPlan(Plan):
    """Values of a registered type."""

    __slots__ = ("cls", "registration", "registry")
    tags = frozenset({REGISTERED, SHOWN})

    def __init__(self, label: str, registration: Registration, registry: Registry) -> None:
        super().__init__(label)
        self.cls = registration.cls
        self.registration = registration
        self.registry = registry

    def write(self, value: Any, out: Sink) -> None:
        if self.registry.find(class_of(value)) is not self.registration:
            self.write_kin(value, out)
            return
        registration = self.registration
        if registration.hashed is not None or registration.preview is not None:
            out.rehash = True
            if out.hashing:
                _write_hash(registration, value, out)
                return
        if registration.preview is not None:
            out.append(SHOWN)
            write_text(_preview(registration.preview, value), out)
        data = _owned_bytes(registration, registration.encode, value)
        out.append(REGISTERED)
        write_text(registration.name, out)
        write_size(len(data), out)
        out += data
        if not registration.inline:
            out.opaque += len(data)
        if not registration.digestable:
            out.digestable = False

    def read(self, source: Source) -> Any:
        if source.peek() not in (REGISTERED, SHOWN):
            return self.read_kin(source)
        value = read_registered(self.registry, source)
        if not isinstance(value, self.cls):
            raise Misread(f"found {found(value)}, wanted {self.label}")
        return value


class AnyRegisteredPlan(Plan):
    """Values of whatever registered type the bytes name."""

    __slots__ = ("registry",)
    tags = frozenset({REGISTERED, SHOWN})

    def __init__(self, registry: Registry) -> None:
        super().__init__("a registered type")
        self.registry = registry

    def write(self, value: Any, out: Sink) -> None:
        raise self.misfit(value)

    def read(self, source: Source) -> Any:
        return read_registered(self.registry, source)


def read_registered(registry: Registry, source: Source) -> Any:
    """Read a value of any registered type."""
    if source.peek() == SHOWN:
        source.pos += 1
        read_text(source)
        if source.peek() != REGISTERED:
            raise Misread("found a preview of something that is not a value of a registered type")
    source.pos += 1
    registration = registry.named(read_text(source))
    data = source.take(read_size(source))
    try:
        return registration.decode(data)
    except Exception as error:
        raise Misread(f"the decoder of {registration.name!r} failed: {type(error).__name__}: {error}") from error


def check_registration(cls: object, encode: object, decode: object) -> None:
    """Refuse what cannot be registered."""
    if not isinstance(cls, type):
        raise DefinitionTypeError(f"register: found {found(cls)}, wanted a class")
    if cls.__module__ == "builtins":
        raise DefinitionError(f"register: found the built-in type {cls.__qualname__}, whose bytes are fixed")
    for role, function in (("encode", encode), ("decode", decode)):
        if not callable(function):
            raise DefinitionTypeError(f"register: {role} is {found(function)}, wanted a function")


def _write_hash(registration: Registration, value: Any, out: Sink) -> None:
    """Write what distinguishes a value, for hashing only."""
    data = _owned_bytes(registration, registration.hashed or registration.encode, value)
    out.append(HASHED)
    write_text(registration.name, out)
    write_size(len(data), out)
    out += data


def _preview(preview: Callable[[Any], str], value: Any) -> str:
    try:
        text: Any = preview(value)
    except Exception as error:  # noqa: BLE001 - a line for people is no reason to fail
        return f"no preview: {type(error).__name__}: {error}"[:_LONGEST_PREVIEW]
    return " ".join(str(text).split())[:_LONGEST_PREVIEW]


def _owned_bytes(registration: Registration, encode: Callable[[Any], bytes], value: Any) -> bytes:
    try:
        data: Any = encode(value)
    except Exception as error:
        text = f"the encoder of {registration.name!r} failed: {type(error).__name__}: {error}"
        raise Unencodable(f"found {found(value)}; {text}") from error
    if not isinstance(data, bytes):
        raise Unencodable(f"the encoder of {registration.name!r} returned {found(data)}, wanted bytes")
    return data
