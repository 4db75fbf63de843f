"""From an annotation to its plan: built when first needed, then kept."""

import collections.abc as abstract
import dataclasses
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from inspect import Parameter
from pathlib import PurePath
from threading import RLock
from types import BuiltinFunctionType, EllipsisType, FunctionType, NoneType
from typing import Any, Final, Literal, Union
from uuid import UUID
from zoneinfo import ZoneInfo

from volant.model.errors import DefinitionError
from volant.values import containers, quantities, scalars, structures, times, wire
from volant.values.annotations import (
    describe,
    field_types,
    is_required,
    is_union,
    is_unresolved,
    members,
    unwrap,
)
from volant.values.arrays import ArrayPlan, Stack, StackPlan, array_class, wanted_kind
from volant.values.composing import AnyComposedPlan, ComposedPlan, composition_of
from volant.values.dynamic import DynamicPlan
from volant.values.enums import EnumPlan, LiteralPlan
from volant.values.models import ModelPlan, has_own_types, is_model
from volant.values.numpies import NumpyScalarPlan, is_numpy_scalar
from volant.values.pickles import InstancePlan, PicklePlan
from volant.values.plans import Deferred, Plan
from volant.values.references import CallablePlan, ClassPlan, FunctionPlan
from volant.values.registry import AnyRegisteredPlan, RegisteredPlan, Registry
from volant.values.stored import AnyStoredPlan, stored_class
from volant.values.unions import UnionPlan
from volant.values.wire import Misfit, Sink, class_of

KEPT_PLANS: Final = 4096
"""Plans kept; past it all are forgotten, so that classes made in a loop can go."""

_SCALARS: Final[dict[type, type[Plan]]] = {
    NoneType: scalars.NonePlan,
    bool: scalars.BoolPlan,
    int: scalars.IntPlan,
    float: scalars.FloatPlan,
    complex: scalars.ComplexPlan,
    str: scalars.StrPlan,
    bytes: scalars.BytesPlan,
    bytearray: scalars.BytearrayPlan,
    EllipsisType: scalars.EllipsisPlan,
    Decimal: quantities.DecimalPlan,
    Fraction: quantities.FractionPlan,
    UUID: quantities.UuidPlan,
    range: quantities.RangePlan,
    slice: quantities.SlicePlan,
    date: times.DatePlan,
    time: times.TimePlan,
    datetime: times.DatetimePlan,
    timedelta: times.TimedeltaPlan,
    timezone: times.TimezonePlan,
    ZoneInfo: times.ZoneInfoPlan,
}
_SEQUENCES: Final = (list, tuple, deque)
_SETS: Final = (set, frozenset)
_MAPPINGS: Final = (dict, OrderedDict, defaultdict, Counter)
_ABSTRACT: Final[dict[type, tuple[type, ...]]] = {
    abstract.Iterable: (*_SEQUENCES, *_SETS),
    abstract.Collection: (*_SEQUENCES, *_SETS),
    abstract.Container: (*_SEQUENCES, *_SETS),
    abstract.Reversible: _SEQUENCES,
    abstract.Sequence: _SEQUENCES,
    abstract.MutableSequence: (list, deque),
    abstract.Set: _SETS,
    abstract.MutableSet: (set,),
    abstract.Mapping: _MAPPINGS,
    abstract.MutableMapping: _MAPPINGS,
}
CALLABLE: Final[Any] = abstract.Callable  # pyright: ignore[reportUnknownMemberType]
_ANYTHING: Final = (Any, object, Parameter.empty)


class Planner:
    """Builds plans and keeps them."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.dynamic = DynamicPlan(find=self._find, plan_of=self.plan)
        self._plans: dict[Any, Plan] = {}
        self._building: dict[Any, Deferred] = {}
        self._lock = RLock()
        self.dynamic.readers = self._readers()

    def plan(self, annotation: Any) -> Plan:
        """The plan of an annotation.

        Raises:
            DefinitionError: it is nothing that a type can be, or holds a name that is not resolved.
        """
        try:
            known = self._plans.get(annotation)
        except TypeError:  # unhashable, such as a Literal or metadata with a list in it
            with self._lock:
                return self._build(annotation)
        if known is not None:
            return known
        with self._lock:
            return self._build_once(annotation)

    def forget(self) -> None:
        """Drop all plans: what they were built from has changed."""
        with self._lock:
            self._plans.clear()
            self.dynamic.plans.clear()

    def _build_once(self, annotation: Any) -> Plan:
        waiting = self._building.get(annotation)
        if waiting is not None:
            return waiting
        deferred = self._building[annotation] = Deferred(describe(annotation))
        try:
            plan = deferred.target = self._build(annotation)
        finally:
            del self._building[annotation]
        if len(self._plans) > KEPT_PLANS:
            self._plans.clear()
        self._plans[annotation] = plan
        return plan

    def _build(self, annotation: Any) -> Plan:
        plain = unwrap(annotation)
        if any(plain is anything for anything in _ANYTHING):
            return self.dynamic
        if plain is not annotation:
            return self.plan(plain)
        if is_unresolved(annotation) and not typing.get_origin(annotation):
            raise DefinitionError(f"the annotation {annotation!r} is a name that is not resolved, wanted a type")
        if annotation is None:
            return self.plan(NoneType)
        if is_union(annotation):
            return self._union(annotation)
        origin = typing.get_origin(annotation) or annotation
        arguments = typing.get_args(annotation)
        if origin is Literal:
            return self._literal(annotation, arguments)
        if origin in (type, CALLABLE):
            return self._reference(annotation, origin, arguments)
        if isinstance(origin, type):
            return self._class(annotation, origin, arguments)
        return self._special(annotation)

    def _special(self, annotation: Any) -> Plan:
        if annotation is getattr(typing, "LiteralString", None):
            return self.plan(str)
        if annotation in (typing.NoReturn, typing.Never):
            return LiteralPlan("Never", (), self.plan(NoneType))
        if isinstance(annotation, (typing.ParamSpec, typing.TypeVarTuple)) or annotation is typing.Self:
            return self.dynamic
        raise DefinitionError(f"found {annotation!r} as an annotation, wanted a type")

    def _union(self, annotation: Any) -> Plan:
        parts = members(annotation)
        names = [describe(part) for part in parts]
        if len(set(names)) < len(names):
            names = [describe(part, modules=True) for part in parts]
        if len(set(names)) < len(names):
            names = [f"{name}#{index}" for index, name in enumerate(names)]
        return UnionPlan(describe(annotation), [self.plan(part) for part in parts], names)

    def _literal(self, annotation: Any, values: tuple[Any, ...]) -> Plan:
        if not values:
            raise DefinitionError("found a Literal without values, wanted at least one")
        kinds = tuple(dict.fromkeys(class_of(value) for value in values))
        inner = self.plan(Union[kinds])  # noqa: UP007 - a tuple of any length
        return LiteralPlan(describe(annotation), values, inner)

    def _reference(self, annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Plan:
        if origin is CALLABLE:
            return CallablePlan(describe(annotation))
        wanted = unwrap(arguments[0]) if arguments else object
        parts = members(wanted) if is_union(wanted) else (wanted,)
        bounds: list[Any] = [typing.get_origin(part) or part for part in parts]
        if all(isinstance(bound, type) and bound is not Any for bound in bounds):
            return ClassPlan(describe(annotation), tuple(bounds))
        return ClassPlan(describe(annotation), (object,))

    def _class(self, annotation: Any, cls: type[Any], arguments: tuple[Any, ...]) -> Plan:
        label = describe(annotation)
        if cls is tuple and not arguments and annotation not in (tuple, typing.Tuple):  # noqa: UP006
            return containers.FixedTuplePlan("tuple[()]", [])
        plan = self._standard(label, cls, arguments)
        if plan is None and cls in _ABSTRACT:
            make = partial(self._concrete, arguments=arguments)
            plan = containers.AbstractPlan(label, cls, _ABSTRACT[cls], make)
        if plan is None and typing.is_typeddict(cls):
            plan = self._typed_dict(label, cls, arguments)
        return plan or self._known(label, cls, arguments) or InstancePlan(label, cls)

    def _standard(self, label: str, cls: type[Any], arguments: tuple[Any, ...]) -> Plan | None:
        """The plan of a built-in or standard library class."""
        if cls in _SCALARS:
            return _SCALARS[cls](label)
        if cls in quantities.FLAVOURS or cls.__module__.partition(".")[0] == "pathlib":
            return quantities.PathPlan(label, cls) if issubclass(cls, PurePath) else None
        items = [self.plan(argument) for argument in arguments if argument is not ...]
        if cls is tuple and arguments and ... not in arguments:
            return containers.FixedTuplePlan(label, items)
        item = items[0] if items else self.dynamic
        if cls in _SEQUENCES:
            return containers.SequencePlan(label, cls, item)
        if cls in _SETS:
            return containers.SetPlan(label, cls, item)
        if cls in _MAPPINGS:
            default = self.plan(int) if cls is Counter and items else self.dynamic
            return containers.MappingPlan(label, cls, item, items[1] if len(items) > 1 else default)
        return None

    def _concrete(self, cls: type[Any], arguments: tuple[Any, ...]) -> Plan:
        """The plan of a standard container that an abstract annotation accepts."""
        generic: Any = cls
        if not arguments:
            return self.plan(generic)
        if cls is tuple:
            return self.plan(generic[arguments[0], ...])
        return self.plan(generic[arguments[0]] if cls is Counter else generic[arguments])

    def _known(self, label: str, cls: type[Any], arguments: tuple[Any, ...] = ()) -> Plan | None:
        """The plan of a class of a known kind; its own class is the only one it takes apart."""
        registration = self.registry.find(cls)
        if registration is not None:
            return RegisteredPlan(label, registration, self.registry)
        stored = stored_class(cls)
        if stored is not None:
            return stored.make_plan(label)
        if array_class(cls):
            return ArrayPlan(label, cls, wanted_kind(arguments))
        if issubclass(cls, Enum):
            return EnumPlan(label, cls) if cls.__members__ or cls is not Enum else None
        if is_model(cls):
            return self._model(label, cls)
        if structures.is_named_tuple(cls):
            return self._named_tuple(label, cls, arguments)
        if dataclasses.is_dataclass(cls) and "__dataclass_fields__" in vars(cls) and structures.is_faithful(cls):
            return self._dataclass(label, cls, arguments)
        return None

    def _find(self, cls: type[Any]) -> Plan:
        """The plan for values of exactly *cls* whose type no annotation tells."""
        plan = self._standard(cls.__qualname__, cls, ()) or self._known(cls.__qualname__, cls)
        if plan is not None:
            return plan
        if issubclass(cls, type):
            return ClassPlan("type", (object,))
        if cls in (FunctionType, BuiltinFunctionType):
            return FunctionPlan("function")
        if is_numpy_scalar(cls):
            return NumpyScalarPlan(cls.__qualname__, self._composed(cls))
        if cls is Stack:
            return StackPlan("Stack")
        return self._composed(cls) or PicklePlan(cls.__qualname__)

    def _composed(self, cls: type[Any]) -> ComposedPlan | None:
        composition = composition_of(cls)
        return ComposedPlan(cls.__qualname__, composition) if composition is not None else None

    def _dataclass(self, label: str, cls: type[Any], arguments: tuple[Any, ...]) -> Plan:
        types = field_types(cls, arguments)
        attributes: list[structures.Attribute] = []
        for field in dataclasses.fields(cls):
            default = structures.dataclass_default(field)
            plan = self._field(types.get(field.name, Any), None if structures.is_missing(field.default) else default)
            attributes.append(structures.attribute(field.name, plan, default))
        return structures.DataclassPlan(label, cls, attributes)

    def _named_tuple(self, label: str, cls: Any, arguments: tuple[Any, ...]) -> Plan:
        types = field_types(cls, arguments)
        attributes: list[structures.Attribute] = []
        for name in cls._fields:
            default = partial(_same, cls._field_defaults[name]) if name in cls._field_defaults else None
            attributes.append(structures.attribute(name, self._field(types.get(name, Any), default), default))
        return structures.NamedTuplePlan(label, cls, attributes)

    def _typed_dict(self, label: str, cls: Any, arguments: tuple[Any, ...]) -> Plan:
        types = field_types(cls, arguments)
        required = frozenset(name for name in types if is_required(types[name], name in cls.__required_keys__))
        return structures.TypedDictPlan(label, {name: self.plan(types[name]) for name in types}, required)

    def _model(self, label: str, cls: Any) -> Plan:
        attributes: list[structures.Attribute] = []
        for name, field in cls.model_fields.items():
            default = None if field.is_required() else partial(field.get_default, call_default_factory=True)
            constant = partial(_same, field.default) if default is not None and field.default_factory is None else None
            plan = self.dynamic if has_own_types(cls, name) else self._field(field.annotation, constant)
            attributes.append(structures.attribute(name, plan, default))
        return ModelPlan(label, cls, attributes)

    def _field(self, annotation: Any, default: Callable[[], Any] | None) -> Plan:
        """The plan of a field: of its annotation, and of its default's type where that does not fit."""
        try:
            plan = self.plan(annotation)
        except DefinitionError:
            return self.dynamic
        if default is None or plan is self.dynamic:
            return plan
        value = default()
        try:
            plan.write(value, Sink(self.dynamic))
        except Misfit:
            return self.plan(Union[annotation, class_of(value)])  # noqa: UP007 - annotation may be anything
        except wire.Fault:
            return plan
        return plan

    def _readers(self) -> dict[int, Plan]:
        kinds: list[type] = [*_SCALARS, PurePath, *_SEQUENCES, *_SETS, *_MAPPINGS]
        plans: list[Plan] = [self.plan(kind) for kind in kinds]
        found = {tag: plan for plan in plans for tag in plan.tags or ()}
        found[wire.CLASS] = ClassPlan("type", (object,))
        found[wire.FUNCTION] = FunctionPlan("function")
        found[wire.PICKLE] = PicklePlan("Any")
        found[wire.NUMPY_SCALAR] = NumpyScalarPlan("numpy scalar")
        found[wire.ARRAY] = StackPlan("numpy array")
        found[wire.COMPOSED] = AnyComposedPlan("a value of another library")
        found[wire.STORED] = AnyStoredPlan("a file, a directory or a frame")
        found[wire.SHOWN] = AnyRegisteredPlan(self.registry)
        found[wire.REGISTERED] = AnyRegisteredPlan(self.registry)
        return found


def _same(value: Any) -> Any:
    return value
