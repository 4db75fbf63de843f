"""From a graph (`volant.values.failing.graph`) back to the exception that was raised."""

from collections.abc import Callable
from typing import TypeVar, assert_never

import msgspec

from volant.model.errors import NonRecoverableError, RunAbortedError, RuntimeSystemError, TaskError
from volant.model.failures import Failure, FailureKind
from volant.values.failing import pickling
from volant.values.failing.classes import Extender
from volant.values.failing.details import Details, code_of, keep, kind_of
from volant.values.failing.frames import Tracebacks
from volant.values.failing.graph import Graph, Node
from volant.values.failing.introspection import is_a
from volant.values.failing.parts import (
    ARGS,
    ATTRIBUTES,
    CAUSE,
    CONTEXT,
    SUPPRESS_CONTEXT,
    TRACEBACK,
    Parts,
    fill,
    fresh,
    is_plain,
    take_apart,
)
from volant.values.failing.text import Unsendable, message_of

_T = TypeVar("_T")


def base_for(kind: FailureKind) -> type[TaskError]:
    """The class of the tree that a failure of this kind is an instance of."""
    match kind:
        case FailureKind.USER:
            return TaskError
        case FailureKind.SYSTEM | FailureKind.LOST:
            return RuntimeSystemError
        case FailureKind.ABORTED:
            return RunAbortedError
        case _:
            assert_never(kind)


class Decoding:
    """The exceptions of one graph, rebuilt one after the other."""

    def __init__(self, graph: Graph, failure: Failure, *, extender: Extender, tracebacks: Tracebacks) -> None:
        self._graph = graph
        self._failure = failure
        self._extender = extender
        self._tracebacks = tracebacks
        self._made: dict[int, BaseException] = {}
        self._begun: set[int] = set()
        self._unfilled: set[int] = set()
        self._classes: dict[int, type[BaseException]] = {}

    def root(self) -> BaseException:
        """What was raised, with all that it leads to."""
        # From the last one: members come after their groups, so that deep nesting does not become deep recursion.
        for number in reversed(range(len(self._graph.nodes))):
            self._exception(number)
        while self._unfilled:
            self._fill(next(iter(self._unfilled)))
        for number, node in enumerate(self._graph.nodes):
            self._link(self._made[number], node)
        for number, node in enumerate(self._graph.nodes):
            if node.extend or node.told is not None:
                keep(self._made[number], self._details(number, node))
        return self._made[0]

    def _exception(self, number: int) -> BaseException:
        made = self._made.get(number)
        if made is None:
            if number in self._begun:
                raise ValueError("an exception needs itself before it can be made")
            self._begun.add(number)
            made = self._made[number] = self._instance(number, self._graph.nodes[number])
        return made

    def _whole(self, number: int) -> BaseException:
        """As `_exception`, with what it holds, for constructors that look at it."""
        made = self._exception(number)
        if number in self._unfilled:
            self._fill(number)
        return made

    def _instance(self, number: int, node: Node) -> BaseException:
        """An instance of the exception's type; of `TaskError` where that type cannot be had here."""
        cls = self._class(node.cls)
        made: BaseException | None = None
        if cls is not None and node.reduced:
            made = self._tried(lambda: self._reduced(node, cls))
        if cls is not None and made is None:
            made = self._tried(lambda: self._empty(node, cls))
            if made is not None:
                self._unfilled.add(number)
        return made if made is not None else self._text(number, node)

    def _tried(self, make: Callable[[], _T]) -> _T | None:
        try:
            return make()
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  # the user's modules and constructors run here: there is a next best way
            return None

    def _class(self, number: int) -> type[BaseException] | None:
        if number < 0:
            return None
        if number not in self._classes:
            data = self._graph.classes[number]
            cls = self._tried(lambda: pickling.loads(data, exception=self._exception))
            if not is_a(cls, type) or not issubclass(cls, BaseException):
                return None
            self._classes[number] = cls
        return self._classes[number]

    def _target(self, node: Node, cls: type[BaseException]) -> type[BaseException]:
        return self._extender.extend(cls, base_for(self._kind(node))) if node.extend else cls

    def _empty(self, node: Node, cls: type[BaseException]) -> BaseException:
        if not is_plain(cls):
            raise TypeError(f"{cls} holds what only its own constructor can give")
        target = self._target(node, cls)
        members = [self._exception(member) for member in node.members]
        return fresh(target, cls, message=node.label.decode("utf-8", "surrogatepass"), members=members)

    def _reduced(self, node: Node, cls: type[BaseException]) -> BaseException | None:
        """Rebuilt as the class itself says; None when that gives something else."""
        said = pickling.loads(node.reduced, exception=self._whole)
        made = said[0](*said[1])
        if type(made) is not cls:
            return None
        stateless = len(said) < 3 or said[2] is None
        if not stateless:
            made.__setstate__(said[2])
        held = ATTRIBUTES.__get__(made)
        for name, value in self._parts(node).attributes.items():
            # A state that the class chose is complete, but it knows nothing of notes.
            if name not in held and (stateless or name == "__notes__"):
                held[name] = value
        target = self._target(node, cls)
        if target is cls:
            return made
        extended = self._empty(node, cls)
        fill(extended, cls, take_apart(made, cls))
        return extended

    def _fill(self, number: int) -> None:
        self._unfilled.discard(number)
        node, made = self._graph.nodes[number], self._made[number]
        cls = self._classes[node.cls]
        filled = self._tried(lambda: self._filled(made, cls, node))
        if not filled:
            ARGS.__set__(made, (Unsendable(node.text),))

    def _filled(self, made: BaseException, cls: type, node: Node) -> bool:
        if not node.state:
            return False
        fill(made, cls, self._parts(node))
        return True

    def _parts(self, node: Node) -> Parts:
        if not node.state:
            return Parts((), [], {})
        return Parts(*pickling.loads(node.state, exception=self._exception))

    def _text(self, number: int, node: Node) -> TaskError:
        """What is left of an exception whose type cannot be had."""
        kind = self._kind(node)
        cls = base_for(kind) if node.retryable or kind is not FailureKind.USER else NonRecoverableError
        root = number == 0
        made = cls(self._failure.message if root else node.text, code=self._failure.code if root else node.name)
        if node.notes:
            ATTRIBUTES.__get__(made)["__notes__"] = list(node.notes)
        return made

    def _link(self, exc: BaseException, node: Node) -> None:
        TRACEBACK.__set__(exc, self._tracebacks.build([self._graph.frames[number] for number in node.frames]))
        CAUSE.__set__(exc, self._made[node.cause] if node.cause >= 0 else None)
        CONTEXT.__set__(exc, self._made[node.context] if node.context >= 0 else None)
        SUPPRESS_CONTEXT.__set__(exc, node.suppress_context)

    def _kind(self, node: Node) -> FailureKind:
        """Whose failure it is: one that a task passed on stays what it was."""
        told = node.told
        return told.kind if told is not None and told.kind is not FailureKind.USER else self._failure.kind

    def _details(self, number: int, node: Node) -> Details:
        exc, failure, told = self._made[number], self._failure, node.told
        if number > 0 and told is not None:
            return msgspec.structs.replace(told, message=message_of(exc))
        kind = self._kind(node)
        told = told or Details(code="")
        return Details(
            kind=kind if kind is not FailureKind.USER else kind_of(exc),
            code=failure.code if number == 0 else code_of(exc),
            message=failure.message if number == 0 else message_of(exc),
            action=failure.action or told.action,
            task=failure.task or told.task,
            attempts=failure.attempts or told.attempts,
            traceback=failure.traceback if number == 0 else "",
        )
