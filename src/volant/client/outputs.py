"""What a run gives back: the outputs of its root task, as a tuple with names."""

from collections.abc import Sequence
from typing import Any


class Outputs(tuple[Any, ...]):
    """The outputs in order; each is also an attribute: `o0`, `o1`, ..., or the names of the NamedTuple returned."""

    _names: tuple[str, ...]

    def __new__(cls, values: Sequence[Any], names: Sequence[str] = ()) -> "Outputs":
        """Values in order, and their names where the task gave them some."""
        made = super().__new__(cls, values)
        made._names = tuple(names) or tuple(f"o{index}" for index in range(len(values)))
        # In the instance they win over methods of tuples: an output may be called `count` or `index`.
        made.__dict__.update(zip(made._names, values, strict=True))
        return made

    def __getattr__(self, name: str) -> Any:
        msg = f"there is no output {name!r}; the outputs are {', '.join(self._names) or 'none'}"
        raise AttributeError(msg)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Outputs, (tuple(self), self._names)

    def as_dict(self) -> dict[str, Any]:
        """The outputs by name."""
        return dict(zip(self._names, self, strict=True))
