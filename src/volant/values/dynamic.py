"""The plan for `Any`: what a value is, its bytes tell."""

from collections.abc import Callable, Mapping
from typing import Any

from volant.values.enums import EnumPlan, NamedEnumPlan, read_enum_class
from volant.values.pickles import PicklePlan
from volant.values.plans import Plan, SelfDescribing
from volant.values.references import resolve_class
from volant.values.structures import NamedPlan, StructPlan
from volant.values.wire import (
    NAMED_ENUM,
    NAMED_STRUCT,
    TAG_NAMES,
    Misread,
    Sink,
    Source,
    class_of,
    read_text,
)

_KNOWN_TYPES = 4096
"""Types whose plans are kept; past it all are forgotten, so that classes made in a loop can go."""


class DynamicPlan(SelfDescribing):
    """Values of any type, each written by the plan of its own class, with classes named."""

    __slots__ = ("find", "plan_of", "plans", "readers")

    def __init__(self, *, find: Callable[[type], Plan], plan_of: Callable[[type], Plan]) -> None:
        super().__init__("Any")
        self.find = find
        self.plan_of = plan_of
        self.plans: dict[type, Plan] = {}
        self.readers: Mapping[int, Plan] = {}

    def write(self, value: Any, out: Sink) -> None:
        cls: type[Any] = class_of(value)
        plan = self.plans.get(cls)
        if plan is None:
            if len(self.plans) > _KNOWN_TYPES:
                self.plans.clear()
            plan = self.plans[cls] = self._self_described(self.find(cls))
        plan.write(value, out)

    def read(self, source: Source) -> Any:
        tag = source.peek()
        reader = self.readers.get(tag)
        if reader is not None:
            return reader.read(source)
        if tag in (NAMED_STRUCT, NAMED_ENUM):
            return self.read_named(source, None)
        if tag in TAG_NAMES:
            raise Misread(f"found {TAG_NAMES[tag]}, but the annotation names none")
        raise Misread(f"found the unknown tag {tag:#04x}")

    def read_named(self, source: Source, fallback: type | None) -> Any:
        name = ""
        if source.peek() == NAMED_ENUM:
            plan = self.plan_of(read_enum_class(source, fallback))
        else:
            source.pos += 1
            name = read_text(source)
            plan = self.plan_of(resolve_class(name, fallback))
        if not isinstance(plan, (StructPlan, EnumPlan)):
            raise Misread(f"found an instance of {name or plan.label!r}, which is not a class of fields any more")
        return plan.read_body(source)

    def takes(self, cls: type[Any]) -> bool:
        return True

    @staticmethod
    def _self_described(plan: Plan) -> Plan:
        match plan:
            case StructPlan():
                return NamedPlan(plan)
            case EnumPlan():
                return NamedEnumPlan(plan)
            case SelfDescribing():
                return PicklePlan(plan.label)
            case _:
                return plan
