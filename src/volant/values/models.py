"""The plan of pydantic models.

A model is made again from its state, as pickling it does: nothing is validated, converted or
computed a second time. Which fields were set explicitly is part of the state. pydantic is never
imported here: who has no model, needs none.
"""

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from volant.values.containers import enter
from volant.values.structures import MISSING, Attribute, StructPlan
from volant.values.wire import Fault, Sink, Source, class_of, write_size, write_text


def is_model(cls: type[Any]) -> bool:
    """Whether *cls* is a pydantic model."""
    pydantic = sys.modules.get("pydantic.main")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel) and cls is not pydantic.BaseModel


def has_own_types(cls: Any, name: str) -> bool:
    """Whether validators of a field may make another type of its value than the annotation says."""
    field = cls.model_fields[name]
    decorators = cls.__pydantic_decorators__
    checks = (*decorators.field_validators.values(), *decorators.validators.values())
    return (
        any(class_of(part).__name__.endswith("Validator") for part in field.metadata)
        or any({name, "*"} & set(check.info.fields) for check in checks)
        or bool(decorators.model_validators)
    )


class ModelPlan(StructPlan):
    """Models: the fields, extra values (`+name`), private attributes (`-name`), and `*`: the fields set."""

    __slots__ = ("computed", "private")

    def __init__(self, label: str, cls: type[Any], attributes: Sequence[Attribute]) -> None:
        super().__init__(label, cls, attributes)
        self.computed = frozenset(
            name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, cached_property)
        )

    def takes(self, cls: type[Any]) -> bool:
        return self._admits(cls)

    def write_kin(self, value: Any, out: Sink) -> None:
        """Accept a model of the class that the annotation parametrises, such as `Box(1)` for `Box[int]`."""
        if self._admits(class_of(value)):
            out.dynamic.write(value, out)
        else:
            super().write_kin(value, out)

    def write_body(self, value: Any, out: Sink) -> None:
        enter(out)
        state = value.__dict__
        values = [state.get(name, MISSING) for name in self.by_name]
        others = self._others(value)
        write_size(len(values) + len(others), out)
        self.write_values(values, out)
        for name, other in others:
            write_text(name, out)
            try:
                out.dynamic.write(other, out)
            except Fault as fault:
                fault.via(f".{name[1:]}")
                raise
        out.depth -= 1

    def read_body(self, source: Source) -> Any:
        values = self.fill(
            self.read_values(source, lambda name: source.dynamic if name[:1] in ("+", "-", "*") else None)
        )
        fields_set: Any = values.pop("*", None)
        state: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        private: dict[str, Any] = {}
        for name, value in values.items():
            if value is MISSING:
                continue
            if name in self.by_name:
                state[name] = value
            else:
                {"+": extra, "-": private}[name[0]][name[1:]] = value
        made: Any = object.__new__(self.cls)
        made.__setstate__(
            {
                "__dict__": state,
                "__pydantic_extra__": extra if _allows_extra(self.cls) else None,
                "__pydantic_fields_set__": set(state) | set(extra) if fields_set is None else set(fields_set),
                "__pydantic_private__": private if private or _has_private(self.cls) else None,
            }
        )
        return made

    def _others(self, value: Any) -> list[tuple[str, Any]]:
        extra: dict[str, Any] = value.__pydantic_extra__ or {}
        private: dict[str, Any] = value.__pydantic_private__ or {}
        others = [(f"+{name}", item) for name, item in extra.items()]
        others += [(f"-{name}", item) for name, item in private.items()]
        fields_set: set[str] = value.model_fields_set
        if len(fields_set) != len(self.by_name) + len(extra) or not fields_set.issuperset(self.by_name):
            others.append(("*", tuple(sorted(fields_set))))
        return others

    def _admits(self, cls: type[Any]) -> bool:
        origin = getattr(self.cls, "__pydantic_generic_metadata__", {}).get("origin")
        return issubclass(cls, self.cls) or (origin is not None and cls is origin)


def _allows_extra(cls: Any) -> bool:
    config: dict[str, Any] = cls.model_config
    return config.get("extra") == "allow"


def _has_private(cls: Any) -> bool:
    return bool(cls.__private_attributes__)
