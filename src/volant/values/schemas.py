"""JSON Schema (2020-12) of annotations: what a form, an agent or another language needs to know to call a task.

Classes of fields are named definitions, so that types may mention themselves. Models describe themselves, by pydantic.
What JSON has no form for is described by `x-python-type` alone.
"""

import collections.abc as abstract
import dataclasses
import sys
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from volant.model.errors import ValueCodecError
from volant.values.annotations import describe, field_types, is_required, is_union, unwrap
from volant.values.codec import encode
from volant.values.models import is_model
from volant.values.rendering import as_json
from volant.values.signatures import EMPTY
from volant.values.structural import read_value
from volant.values.structures import is_missing, is_named_tuple
from volant.values.wire import class_of

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_PLAIN: Final[dict[Any, Schema]] = {
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    bytearray: {"type": "string", "contentEncoding": "base64"},
    Decimal: {"type": "string", "x-python-type": "decimal:Decimal"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
}
_ARRAYS: Final = (
    *(list, tuple, deque),
    *(abstract.Iterable, abstract.Collection, abstract.Sequence, abstract.MutableSequence),
)
_SETS: Final = (set, frozenset, abstract.Set, abstract.MutableSet)
_OBJECTS: Final = (dict, OrderedDict, defaultdict, Counter, abstract.Mapping, abstract.MutableMapping)


class TaskSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON Schema of a task."""

    inputs: Schema
    """An object with a property for each parameter; those without a default are required."""
    outputs: Schema
    """An object with a property for each output: `o0` for what is returned, or a name for each item of a tuple."""


class Field(typing.NamedTuple):
    """A property of an object."""

    annotation: Any
    default: Any = EMPTY
    description: str | None = None
    is_required: bool = True


def object_schema(fields: Mapping[str, Field], *, title: str, description: str | None = None) -> Schema:
    """The schema of an object with these properties and no others, with the definitions that it needs."""
    definitions = _Definitions()
    schema: Schema = {"$schema": DIALECT} | definitions.of_fields(fields, title=title, description=description)
    if definitions.found:
        schema["$defs"] = {name: definitions.found[name] for name in sorted(definitions.found)}
    return schema


class _Definitions:
    """Schemas of annotations; those of named classes are collected."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}

    def of_fields(self, fields: Mapping[str, Field], *, title: str, description: str | None = None) -> Schema:
        properties = {name: self._property(field) for name, field in fields.items()}
        required = [name for name, field in fields.items() if field.is_required and field.default is EMPTY]
        schema: Schema = {"title": title}
        if description:
            schema["description"] = description
        schema |= {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        return schema | {"additionalProperties": False}

    def of(self, annotation: Any) -> Schema:
        if typing.get_origin(annotation) is Annotated:
            return self._annotated(annotation)
        plain = unwrap(annotation)
        if plain is not annotation:
            return self.of(plain)
        if plain is None:
            return dict(_PLAIN[type(None)])
        if plain is Any:
            return {}
        if is_union(plain):
            return self._union(typing.get_args(plain))
        origin = typing.get_origin(plain) or plain
        arguments = typing.get_args(plain)
        if origin is Literal:
            return {"enum": [_constant(value) for value in arguments]}
        if isinstance(origin, type):
            return self._class(plain, origin, arguments)
        return {}

    def _property(self, field: Field) -> Schema:
        schema = self.of(field.annotation)
        if field.description:
            schema = {**schema, "description": field.description}
        if field.default is not EMPTY:
            try:
                shown: Any = as_json(read_value(encode(field.default, Any).data))
            except ValueCodecError:
                return schema
            is_pairs = schema.get("type") == "array" and isinstance(shown, dict)
            schema["default"] = [] if is_pairs else shown
        return schema

    def _annotated(self, annotation: Any) -> Schema:
        inner, *metadata = typing.get_args(annotation)
        texts = [each for each in metadata if isinstance(each, str)]
        schema = self.of(inner)
        if len(texts) < len(metadata) and "pydantic" in sys.modules:
            schema = {**schema, **_constraints(annotation)}
        return {**schema, "description": texts[0]} if texts else schema

    def _union(self, members: Sequence[Any]) -> Schema:
        schemas: list[Schema] = []
        for member in members:
            schema = self.of(member)
            if schema not in schemas:
                schemas.append(schema)
        if {} in schemas:
            return {}
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _class(self, annotation: Any, wanted: type[Any], arguments: tuple[Any, ...]) -> Schema:
        cls: Any = wanted
        if cls in _PLAIN:
            return dict(_PLAIN[cls])
        if cls is tuple and arguments and ... not in arguments:
            items = [self.of(argument) for argument in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        if cls in _ARRAYS or cls in _SETS:
            unique: Schema = {"uniqueItems": True} if cls in _SETS else {}
            return {"type": "array", **({"items": self.of(arguments[0])} if arguments else {}), **unique}
        if cls in _OBJECTS:
            return self._mapping(cls, arguments)
        if cls is object:
            return {}
        if issubclass(cls, PurePath):
            return {"type": "string", "format": "path"}
        made = self._made_of_fields(annotation, wanted, arguments)
        return made or {"title": cls.__qualname__, "x-python-type": f"{cls.__module__}:{cls.__qualname__}"}

    def _mapping(self, cls: type[Any], arguments: tuple[Any, ...]) -> Schema:
        if not arguments:
            return {"type": "object"}
        value = self.of(int if cls is Counter else arguments[1])
        if unwrap(arguments[0]) in (str, int, Any) or _is_enum(unwrap(arguments[0])):
            return {"type": "object", "additionalProperties": value}
        pair = {"type": "array", "prefixItems": [self.of(arguments[0]), value], "minItems": 2, "maxItems": 2}
        return {"type": "array", "items": pair}

    def _made_of_fields(self, annotation: Any, cls: type[Any], arguments: tuple[Any, ...]) -> Schema | None:
        has_fields = typing.is_typeddict(cls) or is_named_tuple(cls) or dataclasses.is_dataclass(cls)
        if not (_is_enum(cls) or is_model(cls) or has_fields):
            return None
        name = self._names.get(annotation)
        if name is None:
            name = self._names[annotation] = self._new_name(describe(annotation), cls)
            if _is_enum(cls):
                self.found[name] = _with_text(cls, {"title": cls.__qualname__, "enum": list(cls.__members__)})
            elif is_model(cls):
                self.found[name] = self._model(cls, name)
            else:
                fields = _fields_of(cls, arguments)
                self.found[name] = self.of_fields(fields, title=describe(annotation), description=_text_of(cls))
        return {"$ref": f"#/$defs/{name}"}

    def _new_name(self, label: str, cls: type[Any]) -> str:
        name = "".join(char if char.isalnum() or char in "._" else "_" for char in label).strip("_")
        if name in self._names.values():
            name = f"{cls.__module__}.{name}"
        while name in self._names.values():
            name += "_"
        return name

    def _model(self, cls: Any, name: str) -> Schema:
        from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

        template = f"#/$defs/{name}.{{model}}"
        try:
            schema: Schema = cls.model_json_schema(ref_template=template)
        except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
            return self.of_fields(_fields_of(cls, ()), title=cls.__qualname__, description=_text_of(cls))
        definitions: Schema = schema.pop("$defs", {})
        if set(schema) == {"$ref"}:  # it mentions itself
            own = schema["$ref"].rpartition(".")[2]
            schema = definitions[own]
            definitions[own] = {"$ref": f"#/$defs/{name}"}
        self.found.update({f"{name}.{inner}": definition for inner, definition in definitions.items()})
        return schema


def _fields_of(cls: Any, arguments: tuple[Any, ...]) -> dict[str, Field]:
    if is_model(cls):
        return {
            name: Field(field.annotation, EMPTY if field.is_required() else field.default, field.description)
            for name, field in cls.model_fields.items()
        }
    types = field_types(cls, arguments)
    if typing.is_typeddict(cls):
        keys: frozenset[str] = cls.__required_keys__
        return {name: Field(kind, is_required=is_required(kind, name in keys)) for name, kind in types.items()}
    if is_named_tuple(cls):
        defaults = cls._field_defaults
        return {name: Field(types.get(name, Any), defaults.get(name, EMPTY)) for name in cls._fields}
    return {
        field.name: Field(
            types.get(field.name, Any),
            EMPTY if is_missing(field.default) else field.default,
            is_required=is_missing(field.default) and is_missing(field.default_factory),
        )
        for field in dataclasses.fields(cls)
    }


def _constraints(annotation: Any) -> Schema:
    """What pydantic makes of the metadata; nothing where it does not know the type."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        found: Schema = TypeAdapter(annotation).json_schema()
    except (PydanticUserError, TypeError):
        return {}
    return {} if "$defs" in found else found


def _constant(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else value if class_of(value) in _PLAIN else str(value)


def _is_enum(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Enum)


def _with_text(cls: type[Any], schema: Schema) -> Schema:
    text = _text_of(cls)
    return {**schema, "description": text} if text else schema


def _text_of(cls: type[Any]) -> str | None:
    """The docstring of a class, unless it was made for it."""
    text: str | None = vars(cls).get("__doc__")
    if not text or text.startswith((f"{cls.__name__}(", "dict(")):
        return None
    return " ".join(text.split())
