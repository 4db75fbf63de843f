"""From an exception to the graph of all that it leads to (`volant.values.failing.graph`)."""

import copyreg
from collections.abc import Sequence
from types import FunctionType
from typing import Any, cast

import msgspec

from volant.model.errors import NonRecoverableError
from volant.values.failing import pickling
from volant.values.failing.details import Details, is_extended, original_class, told_of
from volant.values.failing.frames import Frame, frames_of
from volant.values.failing.graph import Graph, Node
from volant.values.failing.introspection import ancestry, is_a, is_group, namespace, type_name
from volant.values.failing.parts import (
    ATTRIBUTES,
    CAUSE,
    CONTEXT,
    GROUP_MEMBERS,
    GROUP_MESSAGE,
    SUPPRESS_CONTEXT,
    TRACEBACK,
    Parts,
    is_plain,
    take_apart,
)
from volant.values.failing.text import clip, encodable, message_of, stand_in

MAX_TEXT = 1024
"""Characters of a message that are kept in case that the type of its exception cannot be had."""
MAX_OBJECT = 256 * 1024
"""Bytes of `AttributeError.obj`: whatever the attribute was looked for on, often all that a program holds."""
MAX_NOTES = 100
_NODE_COST = 48
_REDUCTIONS = ("__reduce__", "__reduce_ex__")


class TooManyError(Exception):
    """The exceptions do not fit into the limit, even without what they hold."""


class Encoding:
    """One exception on its way into a graph of about *limit* bytes at most."""

    def __init__(self, root: BaseException, *, limit: int, skip_frames_of: Sequence[str]) -> None:
        # Apart, so that one large value leaves room for the exceptions themselves.
        self._values_left = limit // 2
        self._structure_left = limit - self._values_left
        self._enough_structure = self._structure_left // 4
        self._skip = skip_frames_of
        self._found: list[BaseException] = []
        self._numbers: dict[int, int] = {}
        self._nodes: list[Node] = []
        self._classes: dict[int, int] = {}
        self._class_data: list[bytes] = []
        self._frames: dict[Frame, int] = {}
        self._raised = _with_members(root)
        self._number(root)

    def graph(self) -> Graph:
        """The whole graph.

        Raises:
            TooManyError: it does not fit.
        """
        while len(self._nodes) < len(self._found):
            node = self._node(self._found[len(self._nodes)])
            self._nodes.append(node)
            self._spend(_NODE_COST + len(node.name) + len(node.text) + 3 * len(node.frames) + 3 * len(node.members))
        return Graph(nodes=self._nodes, classes=self._class_data, frames=list(self._frames))

    def _number(self, exc: BaseException) -> int:
        number = self._numbers.get(id(exc))
        if number is None:
            number = self._numbers[id(exc)] = len(self._found)
            self._found.append(exc)
        return number

    def _spend(self, size: int) -> None:
        self._structure_left -= size
        if self._structure_left < 0:
            raise TooManyError

    def _node(self, exc: BaseException) -> Node:
        cls: type = original_class(type(exc))
        node = Node(
            name=type_name(cls),
            text=clip(message_of(exc), MAX_TEXT),
            frames=[self._frame(f) for f in frames_of(TRACEBACK.__get__(exc), skip_frames_of=self._skip)],
            cause=self._linked(CAUSE.__get__(exc)),
            context=self._linked(CONTEXT.__get__(exc)),
            suppress_context=SUPPRESS_CONTEXT.__get__(exc),
            extend=id(exc) in self._raised or is_extended(type(exc)),
            told=_shortened(told_of(exc)),
            retryable=not is_a(exc, NonRecoverableError),
        )
        if is_group(cls):
            node.label = str.encode(GROUP_MESSAGE.__get__(exc), "utf-8", "surrogatepass")
            node.members = [self._number(member) for member in GROUP_MEMBERS.__get__(exc)]
        node.cls = self._class(cls)
        if node.cls >= 0:
            self._hold(node, exc, cls)
        if not node.state and not node.reduced:
            node.notes = _notes(exc)
        return node

    def _hold(self, node: Node, exc: BaseException, cls: type) -> None:
        plain, parts = is_plain(cls), take_apart(exc, cls)
        reduced = _reduction(exc, cls, plain=plain)
        if reduced is not None:
            node.reduced = self._pickled(reduced, self._values_left) or b""
            self._values_left -= len(node.reduced)
            if node.reduced and _chose_state(reduced, cls):
                # What the class leaves out of its state is not to travel, and least of all to be stored.
                parts = Parts(parts.args, [], {k: v for k, v in parts.attributes.items() if k == "__notes__"})
        # Where a class keeps state of its own in C only its own reduction can rebuild it; attributes can be added.
        node.state = self._state(parts if plain else Parts((), [], parts.attributes), cls)
        self._values_left -= len(node.state)

    def _linked(self, exc: BaseException | None) -> int:
        if exc is None or (id(exc) not in self._numbers and self._structure_left < self._enough_structure):
            return -1
        return self._number(exc)

    def _frame(self, frame: Frame) -> int:
        number = self._frames.get(frame)
        if number is None:
            self._spend(_NODE_COST + len(frame.filename) + len(frame.function) + len(frame.module))
            number = self._frames[frame] = len(self._frames)
        return number

    def _class(self, cls: type) -> int:
        number = self._classes.get(id(cls))
        if number is None:
            data = self._pickled(cls, self._values_left)
            if data is None:
                return -1
            self._values_left -= len(data)
            number = self._classes[id(cls)] = len(self._class_data)
            self._class_data.append(data)
        return number

    def _pickled(self, value: object, limit: int) -> bytes | None:
        """The pickled value, or None; the exceptions met on a way that failed are forgotten."""
        met = len(self._found)
        try:
            return pickling.dumps(value, limit=limit, number=self._number)
        except BaseException:  # noqa: BLE001  # the value's own code runs here, and a failure is being recorded
            for exc in self._found[met:]:
                del self._numbers[id(exc)]
            del self._found[met:]
            return None

    def _state(self, parts: Parts, cls: type) -> bytes:
        fields = [
            (
                depth,
                name,
                self._sendable(value, min(MAX_OBJECT, self._values_left))
                if name == "obj" and issubclass(cls, AttributeError)
                else value,
            )
            for depth, name, value in parts.fields
        ]
        whole = self._pickled((parts.args, fields, parts.attributes), self._values_left)
        return whole if whole is not None else self._state_in_pieces(Parts(parts.args, fields, parts.attributes))

    def _state_in_pieces(self, parts: Parts) -> bytes:
        """The same with a stand-in for each value that cannot be pickled, or for which there is no room."""
        left = self._values_left - _NODE_COST

        def piece(value: object) -> object:
            nonlocal left
            data = self._pickled(value, left)
            left -= len(data) if data is not None else 0
            return value if data is not None else stand_in(value)

        args = tuple(piece(arg) for arg in parts.args)
        attributes = {k: piece(v) for k, v in parts.attributes.items() if self._pickled(k, left) is not None}
        fields = [(depth, name, piece(value)) for depth, name, value in parts.fields]
        return self._pickled((args, fields, attributes), self._values_left) or b""

    def _sendable(self, value: object, limit: int) -> object:
        return value if self._pickled(value, limit) is not None else stand_in(value)


def _with_members(root: BaseException) -> set[int]:
    """The exception and all members of it, at any depth: what `except*` can tell apart."""
    found, pending = set[int](), [root]
    while pending:
        exc = pending.pop()
        if id(exc) not in found:
            found.add(id(exc))
            if is_a(exc, BaseExceptionGroup):
                pending.extend(GROUP_MEMBERS.__get__(exc))
    return found


def _notes(exc: BaseException) -> list[str]:
    notes = ATTRIBUTES.__get__(exc).get("__notes__")
    if not is_a(notes, list):
        return []
    return [clip(encodable(note), MAX_TEXT) for note in cast(list[object], notes)[:MAX_NOTES] if is_a(note, str)]


def _shortened(told: Details | None) -> Details | None:
    """Without what the exception itself still says, which would be most of a group of a thousand failures."""
    return told and msgspec.structs.replace(told, message="", traceback="")


def _reduction(exc: BaseException, cls: type, *, plain: bool) -> tuple[Any, ...] | None:
    """What the class itself says of how its instances are rebuilt; None where it says nothing of its own."""
    try:
        registered = copyreg.dispatch_table.get(cls)
        if plain and registered is None and not _says_how(cls):
            return None
        said: Any = registered(exc) if registered is not None else cast(Any, cls).__reduce_ex__(exc, 5)
    except BaseException:  # noqa: BLE001  # the user's code, while a failure is being recorded
        return None
    kind = cast(type[object], type(said))
    if kind is not tuple:  # a name: the exception is a global, which no exception is
        return None
    how: tuple[Any, ...] = said
    return how[:3] if len(how) >= 2 else None


def _says_how(cls: type, names: Sequence[str] = (*_REDUCTIONS, "__setstate__")) -> bool:
    return any(is_a(namespace(k).get(name), FunctionType) for k in ancestry(cls) for name in names)


def _chose_state(reduced: tuple[Any, ...], cls: type) -> bool:
    return len(reduced) > 2 and reduced[2] is not None and _says_how(cls, _REDUCTIONS)
