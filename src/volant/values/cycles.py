"""Where a value contains itself, if it does. Only asked after encoding has gone too deep."""

from collections.abc import Iterator, Mapping
from typing import Any

from volant.values.containers import step_to
from volant.values.wire import class_of


def find_cycle(value: object) -> str | None:
    """The path of a part that is one of its own containers, or None."""
    open_ids = {id(value)}
    done: set[int] = set()
    trail: list[tuple[str, object, Iterator[tuple[str, object]]]] = [("", value, _parts(value))]
    while trail:
        _, owner, parts = trail[-1]
        step = next(parts, None)
        if step is None:
            trail.pop()
            open_ids.discard(id(owner))
            done.add(id(owner))
            continue
        name, part = step
        if id(part) in open_ids:
            return "".join(entry[0] for entry in trail) + name
        if id(part) not in done:
            open_ids.add(id(part))
            trail.append((name, part, _parts(part)))
    return None


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    cls = class_of(value)
    if issubclass(cls, (str, bytes, bytearray, int, float, type)) or value is None:
        return
    if issubclass(cls, Mapping):
        yield from ((step_to(key, at_key=False), item) for key, item in value.items())
    elif issubclass(cls, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    state: Mapping[str, Any] = getattr(value, "__dict__", None) or {}
    yield from ((f".{name}", item) for name, item in list(state.items()))
