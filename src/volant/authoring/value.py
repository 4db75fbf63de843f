"""What all value classes have in common: they do not change, and are equal when they say the same."""

import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from volant.authoring.validation import known_keywords
from volant.kit.nearest import did_you_mean


class Value:
    """Base of `Resources`, `Cache`, `Secret` and their like.

    A subclass checks its arguments in `__init__` and keeps them with `_keep`. Instances are
    hashable as far as what they hold is; they pickle, compare by content, and print as the call
    that makes them.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            # A misspelt keyword then names the nearest one instead of Python's bare complaint.
            cls.__init__ = known_keywords(cls.__name__)(cls.__init__)  # type: ignore[method-assign]

    def _keep(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def _content(self) -> object:
        """What equality is about; overridden where several spellings mean the same."""
        return tuple(sorted(self.__dict__.items()))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash((type(self), self._content()))

    def __repr__(self) -> str:
        parts: list[str] = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if parameter.default is parameter.empty or value != parameter.default:
                parts.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    if not TYPE_CHECKING:
        # A type checker finds a misspelt attribute by itself, as long as it does not see this.
        def __getattr__(self, name: str) -> NoReturn:
            suggestion = "" if name.startswith("_") else did_you_mean(name, dir(self))
            # Without these two Python would put a suggestion of its own behind ours.
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{suggestion}", name="", obj=None)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change; make a new one to set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} does not change; {name!r} cannot be deleted")
