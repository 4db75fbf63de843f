"""The plan of pydantic models.

A model is made again from its state, as pickling it does: nothing is validated, converted or
computed a second time. Which fields were set explicitly is part of the state. pydantic is never
imported here: who has no model, needs none.
"""

import sys
from collections.abc import Sequence
from typing import Any

from volant.values.structures import MISSING, StructPlan
from volant.values.wire import Sink, class_of


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

    __slots__ = ()

    def takes(self, cls: type[Any]) -> bool:
        return self._admits(cls)

    def write_kin(self, value: Any, out: Sink) -> None:
        """Accept a model of the class that the annotation parametrises, such as `Box(1)` for `Box[int]`."""
        if self._admits(class_of(value)):
            out.dynamic.write(value, out)
        else:
            super().write_kin(value, out)

    def values_of(self, value: Any) -> Sequence[Any]:
        state = value.__dict__
        return [state.get(name, MISSING) for name in self.by_name]

    def others_of(self, value: Any) -> Sequence[tuple[str, Any]]:
        extra: dict[str, Any] = value.__pydantic_extra__ or {}
        private: dict[str, Any] = value.__pydantic_private__ or {}
        others = [(f"+{name}", item) for name, item in extra.items()]
        others += [(f"-{name}", item) for name, item in private.items()]
        fields_set: set[str] = value.model_fields_set
        if fields_set != self.by_name.keys() | extra.keys():
            others.append(("*", tuple(sorted(fields_set))))
        return others

    def may_have(self, name: str) -> bool:
        return name[:1] in ("+", "-") or name == "*"

    def make(self, values: dict[str, Any]) -> Any:
        fields_set: Any = values.pop("*", None)
        parts: dict[str, dict[str, Any]] = {"": {}, "+": {}, "-": {}}
        for name, value in values.items():
            if value is not MISSING:
                sign = "" if name in self.by_name else name[0]
                parts[sign][name[len(sign) :]] = value
        made: Any = object.__new__(self.cls)
        made.__setstate__(
            {
                "__dict__": parts[""],
                "__pydantic_extra__": parts["+"] if _allows_extra(self.cls) else None,
                "__pydantic_fields_set__": set(parts[""]) | set(parts["+"]) if fields_set is None else set(fields_set),
                "__pydantic_private__": parts["-"] if parts["-"] or _has_private(self.cls) else None,
            }
        )
        return made

    def _admits(self, cls: type[Any]) -> bool:
        origin = getattr(self.cls, "__pydantic_generic_metadata__", {}).get("origin")
        return issubclass(cls, self.cls) or (origin is not None and cls is origin)


def _allows_extra(cls: Any) -> bool:
    config: dict[str, Any] = cls.model_config
    return config.get("extra") == "allow"


def _has_private(cls: Any) -> bool:
    return bool(cls.__private_attributes__)
