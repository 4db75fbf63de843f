"""The plans of list, tuple, set, dict and their standard subclasses.

Sequences and dicts keep their order, and the order counts. The elements of a set are sorted by
their bytes. A subclass that is not listed here describes itself, so its class is not lost.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from volant.values.plans import Plan
from volant.values.wire import (
    COUNTER,
    DEFAULT_DICT,
    DEQUE,
    DICT,
    FROZENSET,
    LIST,
    MAX_DEPTH,
    ORDERED_DICT,
    SET,
    TUPLE,
    Fault,
    Misfit,
    Misread,
    Sink,
    Source,
    class_of,
    read_size,
    write_size,
)

SEQUENCE_TAGS: Final[dict[type, int]] = {list: LIST, tuple: TUPLE, deque: DEQUE}
SET_TAGS: Final[dict[type, int]] = {set: SET, frozenset: FROZENSET}
MAPPING_TAGS: Final[dict[type, int]] = {
    dict: DICT,
    OrderedDict: ORDERED_DICT,
    defaultdict: DEFAULT_DICT,
    Counter: COUNTER,
}


class SequencePlan(Plan):
    """`list`, `deque` or a tuple of any length, with one plan for the items."""

    __slots__ = ("anonymous", "cls", "item", "tag", "tags")

    def __init__(self, label: str, cls: type[Any], item: Plan) -> None:
        super().__init__(label)
        self.cls = cls
        self.item = item
        self.tag = SEQUENCE_TAGS[cls]
        self.tags = frozenset({self.tag})
        self.anonymous = item.anonymous

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not self.cls:
            self.write_kin(value, out)
            return
        enter(out)
        out.append(self.tag)
        if self.tag == DEQUE:
            out.dynamic.write(value.maxlen, out)
        write_size(len(value), out)
        write = self.item.write
        index = -1
        try:
            for index, item in enumerate(value):  # noqa: B007 - the index of a fault
                write(item, out)
        except Fault as fault:
            fault.via(f"[{index}]")
            raise
        out.depth -= 1

    def read(self, source: Source) -> Any:
        if source.peek() != self.tag:
            return self.read_kin(source)
        source.pos += 1
        maxlen = source.dynamic.read(source) if self.tag == DEQUE else None
        items = read_items(self.item, read_size(source), source)
        if self.tag == LIST:
            return items
        return tuple(items) if self.tag == TUPLE else deque(items, maxlen)


class FixedTuplePlan(Plan):
    """A tuple with a plan for each place."""

    __slots__ = ("anonymous", "items")
    cls = tuple
    tags = frozenset({TUPLE})

    def __init__(self, label: str, items: Sequence[Plan]) -> None:
        super().__init__(label)
        self.items = tuple(items)
        self.anonymous = any(item.anonymous for item in items)

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not tuple:
            self.write_kin(value, out)
            return
        items = self.items
        if len(value) != len(items):
            raise Misfit(f"found a tuple of {len(value)} items, wanted {self.label}")
        enter(out)
        out.append(TUPLE)
        write_size(len(items), out)
        index = 0
        try:
            for item in value:
                items[index].write(item, out)
                index += 1
        except Fault as fault:
            fault.via(f"[{index}]")
            raise
        out.depth -= 1

    def read(self, source: Source) -> Any:
        if source.peek() != TUPLE:
            return self.read_kin(source)
        source.pos += 1
        count = read_size(source)
        if count != len(self.items):
            raise Misread(f"found a tuple of {count} items, wanted {self.label}")
        values: list[Any] = []
        try:
            for item in self.items:
                values.append(item.read(source))
        except Fault as fault:
            fault.via(f"[{len(values)}]")
            raise
        return tuple(values)


class SetPlan(Plan):
    """`set` or `frozenset`, the elements sorted by their bytes."""

    __slots__ = ("anonymous", "cls", "item", "tag", "tags")

    def __init__(self, label: str, cls: type[Any], item: Plan) -> None:
        super().__init__(label)
        self.cls = cls
        self.item = item
        self.tag = SET_TAGS[cls]
        self.tags = frozenset({self.tag})
        self.anonymous = item.anonymous

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not self.cls:
            self.write_kin(value, out)
            return
        enter(out)
        out.append(self.tag)
        write_size(len(value), out)
        start = len(out)
        write = self.item.write
        chunks: list[bytes] = []
        try:
            for item in value:
                write(item, out)
                chunks.append(bytes(out[start:]))
                del out[start:]
        except Fault as fault:
            fault.via("{...}")
            raise
        chunks.sort()
        out += b"".join(chunks)
        out.depth -= 1

    def read(self, source: Source) -> Any:
        if source.peek() != self.tag:
            return self.read_kin(source)
        source.pos += 1
        items = read_items(self.item, read_size(source), source)
        value = self.cls(items)
        if len(value) != len(items):
            raise Misread(f"found an element twice in a {self.label}")
        return value


class MappingPlan(Plan):
    """`dict`, `OrderedDict`, `defaultdict` or `Counter`, in the order of insertion."""

    __slots__ = ("anonymous", "cls", "item", "key", "tag", "tags")

    def __init__(self, label: str, cls: type[Any], key: Plan, item: Plan) -> None:
        super().__init__(label)
        self.cls = cls
        self.key = key
        self.item = item
        self.tag = MAPPING_TAGS[cls]
        self.tags = frozenset({self.tag})
        self.anonymous = key.anonymous or item.anonymous

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not self.cls:
            self.write_kin(value, out)
            return
        enter(out)
        out.append(self.tag)
        if self.tag == DEFAULT_DICT:
            out.dynamic.write(value.default_factory, out)
        write_size(len(value), out)
        write_key = self.key.write
        write_item = self.item.write
        key: Any = None
        at_key = True
        try:
            for key, item in value.items():
                at_key = True
                write_key(key, out)
                at_key = False
                write_item(item, out)
        except Fault as fault:
            fault.via(step_to(key, at_key=at_key))
            raise
        out.depth -= 1

    def read(self, source: Source) -> Any:
        if source.peek() != self.tag:
            return self.read_kin(source)
        source.pos += 1
        factory = source.dynamic.read(source) if self.tag == DEFAULT_DICT else None
        pairs = self._read_pairs(source)
        if self.tag == DICT:
            return pairs
        return defaultdict(factory, pairs) if self.tag == DEFAULT_DICT else self.cls(pairs)

    def _read_pairs(self, source: Source) -> dict[Any, Any]:
        count = read_size(source)
        read_key = self.key.read
        read_item = self.item.read
        pairs: dict[Any, Any] = {}
        key: Any = None
        at_key = True
        try:
            for _ in range(count):
                at_key = True
                key = read_key(source)
                at_key = False
                pairs[key] = read_item(source)
        except Fault as fault:
            fault.via(step_to(key, at_key=at_key))
            raise
        if len(pairs) != count:
            raise Misread(f"found a key twice in a {self.label}")
        return pairs


class AbstractPlan(Plan):
    """`Sequence`, `Mapping`, `Iterable`, ...: the concrete type is kept, standard ones have their items checked."""

    __slots__ = ("anonymous", "choices", "cls", "make", "plans")

    def __init__(self, label: str, cls: type[Any], choices: Iterable[type], make: Callable[[type], Plan]) -> None:
        super().__init__(label)
        self.cls = cls
        self.choices = frozenset(choices)
        self.make = make
        self.plans: dict[type, Plan] = {}
        self.anonymous = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) in self.choices:
            self._plan(class_of(value)).write(value, out)
        else:
            self.write_kin(value, out)

    def read(self, source: Source) -> Any:
        tag = source.peek()
        for cls in self.choices:
            if _TAG_OF[cls] == tag:
                return self._plan(cls).read(source)
        return self.read_kin(source)

    def _plan(self, cls: type[Any]) -> Plan:
        plan = self.plans.get(cls)
        if plan is None:
            plan = self.plans[cls] = self.make(cls)
        return plan


_TAG_OF: Final[dict[type, int]] = {**SEQUENCE_TAGS, **SET_TAGS, **MAPPING_TAGS}


def enter(out: Sink) -> None:
    """Go one container deeper."""
    out.depth += 1
    if out.depth > MAX_DEPTH:
        raise RecursionError


def step_to(key: Any, *, at_key: bool) -> str:
    """How a path names a value of a mapping, or the key itself."""
    try:
        text = repr(key)
    except Exception:  # noqa: BLE001 - a broken __repr__ of user code must not hide the error being told
        text = type(key).__qualname__
    text = text if len(text) <= 40 else text[:37] + "..."
    return f" key {text}" if at_key else f"[{text}]"


def read_items(item: Plan, count: int, source: Source) -> list[Any]:
    """Read *count* values of one plan."""
    if count > source.end - source.pos:
        raise Misread(f"found a count of {count} items with {source.end - source.pos} bytes left")
    read = item.read
    items: list[Any] = []
    try:
        for _ in range(count):
            items.append(read(source))
    except Fault as fault:
        fault.via(f"[{len(items)}]")
        raise
    return items
