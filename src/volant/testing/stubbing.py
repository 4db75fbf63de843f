"""Tasks replaced by stubs: what a task does inside runs is decided by the test."""

import inspect
import pickle
from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

import msgspec

from volant.authoring.task import Task
from volant.model.errors import ArgumentError, DefinitionError
from volant.values.interfaces import Interface
from volant.worker.substitutes import Substitute, substitutes

P = ParamSpec("P")
R = TypeVar("R")


class _Not(Enum):
    GIVEN = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a stub does instead of the task: exactly one of these."""

    returns: Any = _Not.GIVEN
    raises: Any = _Not.GIVEN
    calls: Any = _Not.GIVEN

    def give(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return, raise or call; for a function that is `async`, an awaitable."""
        if _is_given(self.raises):
            error: BaseException | type[BaseException] = self.raises
            # One object is raised again and again, and must not collect the tracebacks of all attempts.
            raise error.with_traceback(None) if isinstance(error, BaseException) else error
        return self.calls(*args, **kwargs) if _is_given(self.calls) else self.returns


class Stub(Generic[P, R]):
    """A task's replacement. Made by `stub_task`; a context manager, if it should end before the test does."""

    def __init__(self, task: Task[P, R], answer: Answer, *, recorded: Path) -> None:
        """*recorded* is the file of the calls that other processes answer."""
        self.task = task.name
        """Full name of the task."""
        self.answer = answer
        self.recorded = recorded
        self.is_removed = False
        self._calls: list[dict[str, object]] = []
        self._substitute: Substitute = substitute_of(answer, self._calls.append)
        substitutes.put(self.task, self._substitute)

    @property
    def calls(self) -> list[dict[str, object]]:
        """The arguments of each attempt at the task, by name, defaults included; in the order of the attempts."""
        return [*self._calls, *_recorded(self.recorded)]

    def remove(self) -> None:
        """The task does again what it did before. What was recorded stays."""
        self.is_removed = True
        substitutes.remove(self.task, self._substitute)

    def __enter__(self) -> "Stub[P, R]":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<stub of {self.task}, {len(self.calls)} calls>"


class StubTask:
    """Replaces what tasks do inside runs; see the fixture of the same name."""

    def __init__(self, folder: Path) -> None:
        """*folder* is for what has to reach other processes, and for what comes back from them."""
        self.folder = folder
        self.made: list[Stub[..., Any]] = []
        """Every stub so far, those that have ended among them."""

    @overload
    def __call__(self, task: Task[P, R], /, *, returns: R) -> Stub[P, R]: ...
    @overload
    def __call__(self, task: Task[P, R], /, *, raises: BaseException | type[BaseException]) -> Stub[P, R]: ...
    @overload
    def __call__(self, task: Task[P, R], /, *, calls: Callable[P, R] | Callable[P, Awaitable[R]]) -> Stub[P, R]: ...
    def __call__(
        self,
        task: Task[P, R],
        /,
        *,
        returns: Any = _Not.GIVEN,
        raises: Any = _Not.GIVEN,
        calls: Any = _Not.GIVEN,
    ) -> Stub[P, R]:
        """Replace what *task* does, until the test ends or the stub is left as a context manager.

        The newest stub of a task counts. Settings, types and records stay those of the task. An exception is raised in
        every attempt, so that retries go on as they would.

        Raises:
            DefinitionError: not exactly one of *returns*, *raises* and *calls* is given, or it cannot be.
            ArgumentError: *returns* is not of the task's return type.
        """
        where = _where(task)
        answers = {"returns": returns, "raises": raises, "calls": calls}
        given = [name for name, value in answers.items() if _is_given(value)]
        if len(given) != 1:
            msg = f"{where}: found {' and '.join(given) or 'none'}, expected one of returns, raises and calls"
            raise DefinitionError(msg)
        if _is_given(returns):
            task.interface.encode_output(returns)
        elif _is_given(raises):
            _check_exception(where, raises)
        else:
            _check_function(where, task.interface, calls)
        answer = Answer(returns=returns, raises=raises, calls=calls)
        stub = Stub(task, answer, recorded=self.folder / f"calls-{len(self.made)}")
        self.made.append(stub)
        return stub

    def remove(self) -> None:
        """End all stubs."""
        for stub in reversed(self.made):
            stub.remove()


def substitute_of(answer: Answer, record: Callable[[dict[str, object]], object]) -> Substitute:
    """A substitute that gives *answer*, after it told *record* the arguments of the call."""

    def make(task: Task[..., Any]) -> Callable[..., Any]:
        interface = task.interface

        def answer_call(*args: Any, **kwargs: Any) -> Any:
            record(_bound(interface, args, kwargs))
            return answer.give(args, kwargs)

        async def answer_awaited(*args: Any, **kwargs: Any) -> Any:
            given = answer_call(*args, **kwargs)
            return await given if _is_given(answer.calls) and inspect.isawaitable(given) else given

        return answer_awaited if interface.is_async else answer_call

    return make


def _is_given(value: object) -> bool:
    return value is not _Not.GIVEN


def _where(task: object) -> str:
    if not isinstance(task, Task):
        msg = f"stub_task: the first argument is {task!r} ({type(task).__name__}), expected a task"
        raise ArgumentError(msg, hint="decorate it: @env.task" if callable(task) else None)
    return f"stub_task({cast('Task[..., Any]', task).name})"


def _check_exception(where: str, found: object) -> None:
    if not (isinstance(found, BaseException) or (isinstance(found, type) and issubclass(found, BaseException))):
        msg = f"{where}: raises is {found!r}, expected an exception or its class"
        raise DefinitionError(msg)


def _check_function(where: str, interface: Interface, found: object) -> None:
    if not callable(found):
        msg = f"{where}: calls is {found!r}, expected a function"
        raise DefinitionError(msg)
    if inspect.iscoroutinefunction(found) and not interface.is_async:
        msg = f"{where}: calls is an async function, expected a def: the task is sync"
        raise DefinitionError(msg)
    positional = [each.name for each in interface.parameters if each.kind is inspect.Parameter.POSITIONAL_ONLY]
    named = {each.name: None for each in interface.parameters if each.name not in positional}
    try:
        inspect.signature(found).bind(*positional, **named)
    except TypeError as error:
        msg = f"{where}: the function given as calls cannot be called as the task is, {interface.describe()}: {error}"
        raise DefinitionError(msg) from None
    except ValueError:
        # A builtin may have no signature: then its call tells.
        return


def _bound(interface: Interface, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, object]:
    found = interface.bind(args, kwargs)
    return {each.name: found.get(each.name, each.default) for each in interface.parameters}


def _recorded(path: Path) -> Iterator[dict[str, object]]:
    """What `volant.testing.carrying` wrote: one pickle after another."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while file.peek(1):
            yield pickle.load(file)
