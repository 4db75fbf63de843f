"""What a call does outside and inside a run, and what is refused before anything is sent."""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.authoring.sessions import Call, LocalSession, in_run
from volant.authoring.environment import TaskEnvironment
from volant.authoring.session import ambient, current_session
from volant.model.errors import (
    ArgumentError,
    CallError,
    DefinitionError,
    DefinitionTypeError,
    NotSupportedError,
    SyncTaskCallInAsyncContextError,
)

ENV = TaskEnvironment("calls")


@ENV.task
async def triple(n: int, *, times: int = 3) -> int:
    """Multiply."""
    return n * times


@ENV.task(short_name="twice")
def double(n: int, m: int = 0) -> int:
    return 2 * n + m


def test_outside_a_run_a_task_is_the_plain_function() -> None:
    assert double(2, m=1) == double.func(2, m=1) == 5
    assert asyncio.run(triple(2)) == asyncio.run(triple.aio(2)) == 6
    assert asyncio.run(double.aio(2)) == 4
    with pytest.raises(TypeError):
        double()  # type: ignore[call-arg]


def test_a_task_has_the_metadata_of_its_function() -> None:
    assert (triple.__name__, triple.__qualname__, triple.__module__) == ("triple", "triple", __name__)
    assert triple.__doc__ == "Multiply."
    assert inspect.signature(triple) == inspect.signature(triple.func)
    assert inspect.unwrap(triple) is triple.func
    assert repr(triple) == "<task calls.triple>"
    assert (triple.name, triple.short_name, double.short_name) == ("calls.triple", "triple", "twice")
    assert triple.environment is ENV


def test_inside_a_run_calls_go_to_the_session(session: LocalSession) -> None:
    assert double(2, m=1) == 5
    assert asyncio.run(triple(2)) == 6
    assert asyncio.run(triple.aio(n=3, times=1)) == 3
    assert asyncio.run(double.aio(4)) == 8
    assert session.calls == [
        Call("calls.double", {"n": 2, "m": 1}, None),
        Call("calls.triple", {"n": 2}, None),
        Call("calls.triple", {"n": 3, "times": 1}, None),
        Call("calls.double", {"n": 4}, None),
    ]


def test_an_async_call_sends_nothing_before_it_is_awaited(session: LocalSession) -> None:
    call = triple(2)
    assert session.calls == []
    assert asyncio.run(call) == 6


def test_a_sync_task_called_from_async_code_names_the_way(session: LocalSession) -> None:
    async def parent() -> int:
        return double(2)

    with pytest.raises(
        SyncTaskCallInAsyncContextError, match=r"'calls.double' is a sync task called from async"
    ) as caught:
        asyncio.run(parent())
    assert caught.value.hint == "await double.aio(...) instead"
    assert session.calls == []


def test_a_sync_task_may_block_a_thread_of_async_code(session: LocalSession) -> None:
    async def parent() -> int:
        return await asyncio.to_thread(double, 2)

    assert asyncio.run(parent()) == 4
    assert len(session.calls) == 1


def test_outside_a_run_async_code_may_call_a_sync_task() -> None:
    async def parent() -> int:
        return double(2)

    assert asyncio.run(parent()) == 4


@pytest.mark.parametrize(
    "call",
    [
        double,
        lambda: double(1, 2, 3),
        lambda: double(1, k=2),
        lambda: double(1, 2, m=2),
        lambda: triple(1, 2),
        triple.aio,
        lambda: double.aio(m=1),
    ],
)
def test_arguments_that_do_not_bind_are_refused_at_the_call(session: LocalSession, call: Callable[[], Any]) -> None:
    with pytest.raises(ArgumentError, match="task 'calls"):
        call()
    assert session.calls == []


def test_a_traced_function_calls_no_tasks(session: LocalSession) -> None:
    session.in_traced_step = True
    for call in (lambda: double(1), lambda: triple(1), lambda: double.aio(1)):
        with pytest.raises(CallError, match="is called inside a traced function, expected a call from a task"):
            call()
    assert session.calls == []


def test_what_cannot_be_ignored_is_refused_at_the_call(session: LocalSession) -> None:
    secretive = double.override(secrets="key")
    with pytest.raises(NotSupportedError, match="secrets"):
        secretive(1)
    with pytest.raises(NotSupportedError, match="secrets"):
        secretive.aio(1)
    assert session.calls == []


def test_a_thread_without_context_finds_the_only_action_of_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []
    with in_run() as session:
        thread = threading.Thread(target=lambda: found.append(current_session()))
        thread.start()
        thread.join()
        monkeypatch.setattr(ambient, "session", session)
        thread = threading.Thread(target=lambda: found.append(current_session()))
        thread.start()
        thread.join()
    assert found == [None, session]


def _generator() -> Any:
    yield 1


async def _async_generator() -> Any:
    yield 1


class _Class:
    def method(self, n: int) -> int:
        return n


def _star(*names: str) -> None: ...


def _double_star(**names: str) -> None: ...


def _bare(name) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (_generator, DefinitionTypeError, "generator"),
        (_async_generator, DefinitionTypeError, "generator"),
        (_Class, DefinitionTypeError, "class _Class"),
        (_Class.method, DefinitionError, "_Class.method takes 'self', expected a function: a task cannot be a method"),
        (_Class().method, DefinitionError, "_Class.method is a method of _Class, expected a function"),
        (_star, DefinitionError, r"'\*names'"),
        (_double_star, DefinitionError, r"'\*\*names'"),
        (_bare, DefinitionError, "'name' is neither annotated nor has a default"),
        (lambda: None, DefinitionError, "found a lambda, expected a def"),
        (functools.partial(_star), DefinitionTypeError, "found functools.partial.*, expected a function"),
        ("name", DefinitionTypeError, "found 'name', expected a function"),
        (3, DefinitionTypeError, "found 3, expected a function"),
        (staticmethod(_star), DefinitionTypeError, "staticmethod"),
        (triple, DefinitionTypeError, "<task calls.triple> is a task already, expected a function"),
    ],
)
def test_what_cannot_be_a_task_is_refused_at_the_decorator(
    env: TaskEnvironment, function: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        env.task(function)
    with pytest.raises(error, match=message):
        env.task(retries=1)(function)
    assert dict(env.tasks) == {}


def test_a_wrapped_function_is_a_task_with_the_signature_it_wraps(env: TaskEnvironment, session: LocalSession) -> None:
    def loud(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs) + 1

        return wrapper

    @env.task
    @loud
    def job(n: int) -> int:
        return n

    assert job(n=1) == 2
    assert session.calls == [Call("env.job", {"n": 1}, None)]
