"""Annotations made plain: strings evaluated, type variables bound, qualifiers taken off."""

import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Final, ForwardRef, Literal, NotRequired, Required, TypeVar, Union

from volant.model.errors import DefinitionError

_MOST_WRAPPERS: Final = 64
QUALIFIERS: Final = (Required, NotRequired, ClassVar, typing.Final)


def is_unresolved(annotation: Any) -> bool:
    """Whether there is a string or a forward reference somewhere in it."""
    if isinstance(annotation, (str, ForwardRef)):
        return True
    if isinstance(annotation, list):
        return any(map(is_unresolved, annotation))  # pyright: ignore[reportUnknownArgumentType]
    if typing.get_origin(annotation) is Literal:
        return False
    if typing.get_origin(annotation) is Annotated:
        return is_unresolved(annotation.__origin__)
    return any(is_unresolved(part) for part in typing.get_args(annotation))


def evaluate(annotation: Any, globalns: dict[str, Any], localns: Mapping[str, Any]) -> Any:
    """The annotation with its strings evaluated.

    Raises:
        Exception: whatever evaluating the string raises, usually `NameError`.
    """
    if not is_unresolved(annotation):
        return annotation
    holder = SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(holder, globalns, dict(localns), include_extras=True)["it"]


def field_types(cls: type[Any], arguments: tuple[Any, ...] = ()) -> dict[str, Any]:
    """The annotated attributes of a class and its bases, type variables bound to *arguments*.

    What cannot be evaluated, such as a name that is only imported for type checkers, is `Any`:
    its values describe themselves.
    """
    bound = _bindings(cls, arguments)
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        namespace = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        params = {param.__name__: param for param in getattr(base, "__type_params__", ())}
        localns = {**params, base.__name__: base, cls.__name__: cls}
        for name, annotation in inspect.get_annotations(base).items():
            try:
                plain = evaluate(annotation, namespace, localns)
            except Exception:  # noqa: BLE001 - an annotation is any expression of the user's
                plain = Any
            found[name] = substitute(plain, bound.get(base, {}))
    return found


def substitute(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    """The annotation with its type variables replaced."""
    if not bound:
        return annotation
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, annotation)
    parameters: tuple[Any, ...] = getattr(annotation, "__parameters__", ())
    if not parameters or isinstance(annotation, type):
        return annotation
    try:
        return annotation[tuple(bound.get(parameter, parameter) for parameter in parameters)]
    except TypeError:
        return Any


def is_required(annotation: Any, default: bool) -> bool:
    """Whether a TypedDict's key has to be there."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated:
            annotation = annotation.__origin__
        elif origin in (Required, NotRequired):
            return origin is Required
        elif getattr(origin, "_name", None) == "ReadOnly":
            annotation = typing.get_args(annotation)[0]
        else:
            return default


def unwrap(annotation: Any) -> Any:
    """The annotation without `Annotated`, qualifiers, `NewType`, aliases and unbound type variables."""
    for _ in range(_MOST_WRAPPERS):
        inner = _inner(annotation)
        if inner is annotation:
            return annotation
        annotation = inner
    raise DefinitionError(f"the annotation {annotation!r} stands for nothing but itself, wanted a type")


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, nested ones flattened, in one order for one set of members."""
    flat: dict[Any, None] = {}
    for part in typing.get_args(annotation):
        plain = unwrap(part)
        if is_union(plain):
            flat.update(dict.fromkeys(members(plain)))
        else:
            flat[plain] = None
    return tuple(sorted(flat, key=describe))


def is_union(annotation: Any) -> bool:
    """Whether this is `A | B`, `Union` or `Optional`."""
    return typing.get_origin(annotation) in (Union, types.UnionType)


def describe(annotation: Any, *, modules: bool = False) -> str:
    """The annotation as a person would write it; with modules where two classes share a name.

    Members of unions and literals are sorted: Python calls `A | B` and `B | A` equal, and so are their bytes.
    """
    return "".join(_describe(annotation, modules=modules))


def _describe(annotation: Any, *, modules: bool) -> Iterator[str]:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if annotation is None or annotation is types.NoneType:
        yield "None"
    elif annotation is ...:
        yield "..."
    elif origin is Annotated:
        yield from _describe(arguments[0], modules=modules)
    elif origin is Literal:
        yield f"Literal[{', '.join(sorted(map(repr, arguments)))}]"
    elif is_union(annotation):
        names = [describe(part, modules=modules) for part in arguments]
        yield " | ".join(sorted(names, key=lambda name: (name == "None", name)))
    elif origin is not None and arguments:
        parts = (describe(part, modules=modules) for part in arguments)
        yield f"{describe(origin, modules=modules)}[{', '.join(parts)}]"
    elif isinstance(annotation, list):
        parts = (describe(part, modules=modules) for part in annotation)  # pyright: ignore[reportUnknownVariableType]
        yield f"[{', '.join(parts)}]"
    elif isinstance(annotation, type):
        prefix = f"{annotation.__module__}." if modules and annotation.__module__ != "builtins" else ""
        yield prefix + annotation.__qualname__
    else:
        yield str(getattr(annotation, "__name__", None) or annotation).removeprefix("typing.")


def _inner(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return annotation.__origin__
    if origin in QUALIFIERS or getattr(origin, "_name", None) == "ReadOnly":
        return typing.get_args(annotation)[0]
    if isinstance(annotation, typing.NewType):
        return annotation.__supertype__
    if isinstance(annotation, TypeVar):
        return _bound_of(annotation)
    # TypeAliasType (PEP 695) is in typing from 3.12 on, and in typing_extensions before.
    if type(annotation).__name__ == "TypeAliasType":
        return annotation.__value__
    if type(origin).__name__ == "TypeAliasType":
        return substitute(
            origin.__value__, dict(zip(origin.__type_params__, typing.get_args(annotation), strict=False))
        )
    return annotation


def _bound_of(variable: TypeVar) -> Any:
    if variable.__bound__ is not None:
        return variable.__bound__ if not is_unresolved(variable.__bound__) else Any
    if variable.__constraints__:
        return Union[variable.__constraints__]  # noqa: UP007 - a tuple of any length
    return Any


def _bindings(cls: type[Any], arguments: tuple[Any, ...]) -> dict[type, dict[Any, Any]]:
    """For each generic base, what its type variables stand for."""
    own = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
    found: dict[type, dict[Any, Any]] = {cls: own}
    for written in cls.__dict__.get("__orig_bases__", cls.__bases__):
        base = typing.get_origin(written) or written
        if not isinstance(base, type) or base is typing.Generic or not hasattr(base, "__parameters__"):
            continue
        passed = tuple(substitute(argument, own) for argument in typing.get_args(written))
        for ancestor, bound in _bindings(base, passed).items():
            found.setdefault(ancestor, bound)
    return found
