"""What a task does to its process, it does to itself alone."""

import signal
from typing import Any

import msgspec
import pytest

from tests.worker import user_tasks
from tests.worker.fake_engine import FakeEngine
from volant.model.errors import TaskExitError
from volant.model.failures import FailureKind
from volant.values.failures import decode_exception


@pytest.fixture(autouse=True)
def nobody_else_notices(engine: FakeEngine) -> Any:
    """Whatever the test's task did, the next one is none the worse."""
    yield
    worker = engine.fork(user_tasks.surroundings)
    found = worker.value()
    assert found["imported_in"] == engine.process.pid
    assert found["sigterm"]
    assert engine.fork(user_tasks.aadd, a=1).value() == 2


FAILURES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "sys.exit": ("leaves_with", {"code": 3}, "ExitCode", "the task ended its program with exit code 3"),
    "sys.exit(0)": ("leaves_with", {"code": 0}, "ExitCode", "the task ended its program with exit code 0"),
    "sys.exit(text)": ("leaves_saying", {"text": "bye"}, "ExitCode", "the task ended its program with exit code 1"),
    "async sys.exit": ("async_leaves_with", {"code": 4}, "ExitCode", "the task ended its program with exit code 4"),
    "sys.exit in an asyncio task": (
        "task_of_async_leaves_with",
        {"code": 5},
        "ExitCode",
        "the task ended its program with exit code 5",
    ),
    "recursion": ("recurses_forever", {}, "RecursionError", "maximum recursion depth exceeded"),
    "memory error": ("raises_memory_error", {}, "MemoryError", "no room"),
    "allocation": ("allocates_too_much", {}, "MemoryError", ""),
    "keyboard interrupt": ("interrupts", {}, "KeyboardInterrupt", ""),
    "cancelled by itself": ("cancels_itself", {}, "CancelledError", ""),
    "unpicklable": ("raises_unpicklable", {}, "Unpicklable", "cannot be pickled"),
    "no input": ("reads_input", {}, "EOFError", "EOF when reading a line"),
    "too much": (
        "returns_much",
        {"size": 5000},
        "InlineIOMaxBytesBreached",
        "task 'worker-tests.returns_much', outputs: found 500",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_reported_and_the_process_ends_in_order(engine: FakeEngine, name: str) -> None:
    function, inputs, code, message = FAILURES[name]
    worker = engine.fork(getattr(user_tasks, function), **inputs)
    failure = worker.failure()
    assert failure.kind is FailureKind.USER
    assert failure.code == code
    assert failure.message.startswith(message)
    assert failure.retryable
    assert worker.exited().exit_code == 0
    decode_exception(failure)


@pytest.mark.parametrize(
    ("kind", "code"), [("bool", 1), ("enumeration", signal.SIGHUP), ("subclass", 7), ("huge", -1), ("negative", -3)]
)
def test_whatever_int_sys_exit_was_given_arrives_as_a_plain_one(engine: FakeEngine, kind: str, code: int) -> None:
    failure = engine.fork(user_tasks.leaves_with_kind, kind=kind).failure()
    assert (failure.code, failure.exit_code) == ("ExitCode", int(code))


def test_sys_exit_is_an_exception_with_its_code_in_the_parent(engine: FakeEngine) -> None:
    exc = decode_exception(engine.fork(user_tasks.leaves_with, code=3).failure())
    assert isinstance(exc, TaskExitError)
    assert exc.exit_code == 3


def test_what_sys_exit_says_is_in_the_log(engine: FakeEngine) -> None:
    worker = engine.fork(user_tasks.leaves_saying, text="so long")
    worker.failure()
    assert worker.log == "so long\n"


@pytest.mark.parametrize("name", ["keyboard interrupt", "cancelled by itself"])
def test_what_would_end_the_parent_arrives_as_an_exception_that_can_be_caught(engine: FakeEngine, name: str) -> None:
    function, inputs, _, _ = FAILURES[name]
    exc = decode_exception(engine.fork(getattr(user_tasks, function), **inputs).failure())
    assert isinstance(exc, Exception)


def test_a_huge_exception_travels_as_bounded_text(engine: FakeEngine) -> None:
    failure = engine.fork(user_tasks.raises_huge).failure()
    assert failure.code == "ValueError"
    assert len(failure.message) + len(failure.exception) + len(failure.traceback) < 20_000_000


def test_a_value_of_the_wrong_type_fails_the_task_that_returned_it(engine: FakeEngine) -> None:
    failure = engine.fork(user_tasks.returns_wrong_type).failure()
    assert failure.kind is FailureKind.USER
    assert "'worker-tests.returns_wrong_type'" in failure.message
    assert "int" in failure.message
    assert "str" in failure.message


def test_os_exit_ends_without_a_word(engine: FakeEngine) -> None:
    worker = engine.fork(user_tasks.leaves_at_once, code=7)
    assert (worker.exited().exit_code, worker.exited().signal) == (7, None)
    with pytest.raises(EOFError):
        worker.outcome()


@pytest.mark.parametrize(
    ("function", "number"),
    [("segfaults", signal.SIGSEGV), ("aborts", signal.SIGABRT)],
)
def test_a_crash_is_reported_by_its_signal(engine: FakeEngine, function: str, number: int) -> None:
    worker = engine.fork(getattr(user_tasks, function))
    assert (worker.exited().exit_code, worker.exited().signal) == (None, number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_task_that_kills_itself(engine: FakeEngine, number: int) -> None:
    assert engine.fork(user_tasks.kills_itself, number=int(number)).exited().signal == number


@pytest.mark.parametrize(
    "function", ["closes_output", "closes_streams", "closes_low_descriptors", "spoils_the_process"]
)
def test_a_task_that_spoils_its_process_still_gives_its_result(engine: FakeEngine, function: str) -> None:
    worker = engine.fork(getattr(user_tasks, function))
    assert worker.value() == 1
    assert worker.exited().exit_code == 0


def test_a_task_that_closes_every_descriptor_ends_as_a_process(engine: FakeEngine) -> None:
    assert engine.fork(user_tasks.closes_every_descriptor).exited().exit_code == 71


def test_a_task_that_is_not_there_any_more_is_named(engine: FakeEngine) -> None:
    start = engine.start_message(user_tasks.add, {"a": 1})
    spec = user_tasks.add.spec()
    gone = msgspec.structs.replace(spec, loader=msgspec.structs.replace(spec.loader, qualname="added"))
    body = msgspec.msgpack.encode(gone)
    failure = engine.fork_start(user_tasks.add, msgspec.structs.replace(start, spec="gone", spec_body=body)).failure()
    assert failure.message == (
        "task 'worker-tests.add' was defined in module 'tests.worker.user_tasks' as 'added', "
        "but there the attribute 'added' is missing"
    )
    assert not failure.retryable


def test_inputs_that_are_not_the_tasks_are_named(engine: FakeEngine) -> None:
    start = engine.start_message(user_tasks.draws, {})
    other = engine.start_message(user_tasks.add, {"a": 1})
    failure = engine.fork_start(user_tasks.add, msgspec.structs.replace(other, inputs=start.inputs)).failure()
    assert failure.code == "ValueCodecError"
    assert "worker-tests.add" in failure.message
    assert not failure.retryable
