"""Calls of tasks from tasks: what is said to the engine, in which order answers are seen, what cancellation means."""

import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.worker import user_tasks
from tests.worker.fake_engine import FakeEngine, Worker, returned
from volant.blobs.local import LocalBlobs
from volant.model.failures import FailureKind
from volant.model.ids import ActionId
from volant.model.payloads import Blob, Inline
from volant.model.worker_protocol import (
    Aborted,
    AttemptFinished,
    CallRefused,
    CancelCall,
    Failed,
    SpecKnown,
    SubmitCall,
    Succeeded,
    Waiting,
    Warned,
    Working,
)
from volant.values.failures import encode_exception
from volant.worker.naming import child_id

PARENT = ActionId("a0" * 16)


def argument(call: SubmitCall, name: str = "n", task: Any = user_tasks.double) -> Any:
    assert isinstance(call.inputs, Inline)
    return task.interface.decode_arguments(call.inputs.data)[name]


def answer_doubles(worker: Worker, count: int) -> list[SubmitCall]:
    """Answer calls of `double` or `adouble` as they come."""
    calls: list[SubmitCall] = []
    for _ in range(count):
        call = worker.next(SubmitCall)
        worker.tell(call, returned(user_tasks.double, 2 * argument(call)))
        calls.append(call)
    return calls


class TestSyncCalls:
    def test_equal_calls_have_ids_that_follow_from_who_asks_for_what_how_often(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.calls_twice, n=5)
        digest = user_tasks.add.interface.encode_inputs({"a": 5}).digest
        for occurrence in range(2):
            call = worker.next(SubmitCall)
            assert call.inputs_digest == digest
            assert call.action == child_id(PARENT, "worker-tests.add", digest, occurrence)
            worker.tell(call, returned(user_tasks.add, 10 * occurrence))
        assert worker.value() == 10

    def test_a_spec_is_told_once_and_a_wait_comes_with_the_call(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.calls_twice, n=5)
        for told in range(2):
            call = worker.next(SubmitCall)
            assert worker.next(Waiting).told == told
            worker.tell(call, returned(user_tasks.add, 1))
        worker.value()
        kinds = [type(message) for message in worker.heard]
        assert kinds == [SpecKnown, SubmitCall, Waiting, SubmitCall, Waiting, AttemptFinished]
        assert worker.peer.reads[0] == 3

    def test_a_signal_handler_can_interrupt_the_wait(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.alarm_during_call)
        call = worker.next(SubmitCall)
        assert worker.value() == "the alarm rang"
        assert [m.call for m in worker.heard if isinstance(m, CancelCall)] == [call.call]

    def test_calls_from_a_pool_of_threads(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.calls_from_threads)
        answer_doubles(worker, 6)
        assert worker.value() == [0, 2, 4, 6, 8, 10]

    def test_answers_in_any_order_reach_the_threads_they_are_for(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.calls_from_threads)
        for _ in range(2):
            for call in reversed(worker.calls(3)):
                worker.tell(call, returned(user_tasks.double, 2 * argument(call)))
        assert worker.value() == [0, 2, 4, 6, 8, 10]

    def test_an_event_loop_inside_a_sync_task(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.runs_a_loop)
        for call in worker.calls(3)[::-1]:
            worker.tell(call, returned(user_tasks.adouble, 2 * argument(call)))
        assert worker.value() == [0, 2, 4]
        assert any(isinstance(message, Waiting) for message in worker.heard)

    def test_an_event_loop_in_a_thread_beside_a_blocking_call(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.loop_in_a_thread)
        calls = worker.calls(4)
        for call in sorted(calls, key=lambda each: -argument(each)):
            worker.tell(call, returned(user_tasks.double, 2 * argument(call)))
        assert sorted(worker.value()) == [0, 2, 4, 200]


class TestAsyncCalls:
    def test_calls_that_are_made_together_are_said_together(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.acalls, n=100)
        calls = worker.calls(100)
        assert worker.next(Waiting).told == 0
        assert len(worker.peer.reads) < 20
        worker.peer.say(*(engine.ended(call, returned(user_tasks.adouble, 2 * argument(call))) for call in calls))
        assert worker.value() == [2 * n for n in range(100)]

    def test_a_coroutine_that_is_never_awaited_submits_nothing(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.never_awaits)
        assert worker.value() == 1
        assert not any(isinstance(message, SubmitCall) for message in worker.heard)

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
    def test_a_race_is_won_by_whom_the_engine_names_first(self, engine: FakeEngine, order: tuple[int, ...]) -> None:
        """All answers are there at once, and yet each is seen alone."""
        worker = engine.fork(user_tasks.races)
        calls = {argument(call): call for call in worker.calls(3)}
        worker.peer.say(*(engine.ended(calls[n], returned(user_tasks.adouble, 2 * n)) for n in order))
        assert worker.value() == [2 * n for n in order]
        assert [message.told for message in worker.heard if isinstance(message, Waiting)] == [0]

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
    def test_what_an_answer_sets_off_is_said_in_the_order_of_the_answers(
        self, engine: FakeEngine, order: tuple[int, ...]
    ) -> None:
        worker = engine.fork(user_tasks.reacts_to_each)
        calls = {argument(call): call for call in worker.calls(3)}
        worker.peer.say(*(engine.ended(calls[n], returned(user_tasks.adouble, n)) for n in order))
        later = worker.calls(3)
        assert [argument(call) for call in later] == [n + 10 for n in order]
        worker.peer.say(*(engine.ended(call, returned(user_tasks.adouble, argument(call))) for call in reversed(later)))
        assert worker.value() == [*order, *(n + 10 for n in reversed(order))]

    def test_a_wait_is_said_only_when_everything_told_was_taken_in(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.acalls, n=3)
        calls = worker.calls(3)
        for n, call in enumerate(calls):
            assert worker.next(Waiting).told == n
            worker.tell(call, returned(user_tasks.adouble, 0))
        assert worker.value() == [0, 0, 0]

    def test_a_call_is_on_its_way_before_the_caller_computes(self, engine: FakeEngine, tmp_path: Path) -> None:
        worker = engine.fork(user_tasks.computes_after_calling, path=str(tmp_path / "go"))
        answer_doubles(worker, 1)
        (tmp_path / "go").touch()
        assert worker.value() == 2

    def test_a_loop_that_is_never_idle_sees_answers_all_the_same(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.polls)
        answer_doubles(worker, 1)
        assert worker.value() == 42

    def test_waking_up_for_a_timer_is_said_and_a_call_follows(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.sleeps_then_calls, seconds=0.05)
        answer_doubles(worker, 1)
        assert worker.value() == 2
        kinds = [type(message) for message in worker.heard if not isinstance(message, SpecKnown)]
        assert kinds[:4] == [Waiting, Working, SubmitCall, Waiting]

    def test_a_loop_and_threads_at_once(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.calls_from_to_thread)
        answer_doubles(worker, 4)
        assert worker.value() == [0, 2, 4, 100]

    def test_event_loops_can_do_what_event_loops_can(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.uses_its_loop)
        assert worker.value() == {
            "task": True,
            "debug": False,
            "subprocess": b"through a pipe",
            "signal": True,
            "stream": b"HELLO\n",
            "woken": "by a thread",
            "thread": True,
            "context": "here",
            "generator": 0,
        }
        worker.exited()
        assert worker.log == "generator closed\n"

    def test_tasks_that_are_left_over_are_cancelled(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.leaves_tasks_behind)
        assert worker.value() == 1
        assert worker.log == "told to end\n"


class TestCancelling:
    def test_a_cancelled_call_raises_when_its_end_is_committed(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.cancels_the_slower)
        fast, slow = sorted(worker.calls(2), key=argument)
        worker.tell(fast, returned(user_tasks.adouble, 2))
        assert worker.next(CancelCall).call == slow.call
        # Nothing more is said: the caller waits for the end of the one it cancelled.
        assert worker.next(Waiting).told == 1
        worker.tell(slow, Aborted(reason="cancelled by its caller"))
        assert worker.value() == [2, True]
        assert sum(isinstance(message, CancelCall) for message in worker.heard) == 1

    def test_a_call_that_ended_meanwhile_is_cancelled_all_the_same(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.cancels_the_slower)
        fast, slow = sorted(worker.calls(2), key=argument)
        worker.tell(fast, returned(user_tasks.adouble, 2))
        worker.next(CancelCall)
        worker.tell(slow, returned(user_tasks.adouble, 4))
        assert worker.value() == [2, True]

    @pytest.mark.parametrize("function", ["waits_at_most", "has_a_timeout"])
    def test_timeouts_of_asyncio(self, engine: FakeEngine, function: str) -> None:
        worker = engine.fork(getattr(user_tasks, function), seconds=0.05)
        call = worker.next(SubmitCall)
        assert worker.next(CancelCall).call == call.call
        worker.tell(call, Aborted(reason="cancelled by its caller"))
        assert worker.value() == "timeout"

    @pytest.mark.parametrize("function", ["waits_at_most", "has_a_timeout"])
    def test_calls_within_timeouts_of_asyncio(self, engine: FakeEngine, function: str) -> None:
        worker = engine.fork(getattr(user_tasks, function), seconds=600.0)
        answer_doubles(worker, 1)
        assert worker.value() == "in time"

    def test_a_task_group_cancels_the_others(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.groups_fail_together)
        first, second = sorted(worker.calls(2), key=argument)
        worker.tell(first, Failed(failure=encode_exception(ValueError("the first"))))
        assert worker.next(CancelCall).call == second.call
        worker.tell(second, Aborted(reason="cancelled by its caller"))
        assert worker.value() == ["the first"]

    def test_a_task_that_ends_early_takes_its_calls_along(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.ends_early)
        call = worker.next(SubmitCall)
        assert worker.next(CancelCall).call == call.call
        worker.tell(call, Aborted(reason="cancelled by its caller"))
        assert worker.value() == 7
        assert worker.log == "cancelled: True\n"


class TestAnswers:
    def test_what_a_child_raised_is_raised_here(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.catches)
        worker.tell(worker.next(SubmitCall), Failed(failure=encode_exception(ZeroDivisionError("by zero"))))
        assert worker.value()[1] == "by zero"

    def test_an_abort_that_nobody_here_asked_for(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.tells_what_it_got)
        worker.tell(worker.next(SubmitCall), Aborted(reason="the user said so"))
        assert worker.value().startswith("RunAbortedError: task 'worker-tests.adouble'")

    def test_a_failure_that_is_not_the_users(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.tells_what_it_got)
        failure = encode_exception(OSError("disk gone"), kind=FailureKind.SYSTEM)
        worker.tell(worker.next(SubmitCall), Failed(failure=failure))
        assert "disk gone" in worker.value()

    @pytest.mark.parametrize("error", ["NotSupportedError", "MissingSecretsError", "no such class", "VolantError"])
    def test_a_refusal_has_the_class_that_it_names(self, engine: FakeEngine, error: str) -> None:
        worker = engine.fork(user_tasks.tells_what_it_got)
        call = worker.next(SubmitCall)
        worker.peer.say(CallRefused(call=call.call, error=error, message="it cannot be"))
        name = "CallError" if error == "no such class" else error
        assert worker.value().startswith(f"{name}: ")

    def test_answers_to_calls_that_nobody_made_are_ignored(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.tells_what_it_got)
        call = worker.next(SubmitCall)
        stranger = call.__class__(**{**{f: getattr(call, f) for f in call.__struct_fields__}, "call": 77})
        worker.tell(stranger, returned(user_tasks.adouble, 1))
        worker.tell(call, returned(user_tasks.adouble, 1))
        assert worker.value() == "nothing"


class TestSizes:
    def test_inputs_that_are_too_large_are_refused_before_anything_is_said(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.calls_with_much, size=5000)
        assert worker.value().startswith("InlineIOMaxBytesBreached: task 'worker-tests.takes_little', inputs: found 50")
        assert not any(isinstance(message, SubmitCall) for message in worker.heard)

    @pytest.mark.parametrize("function", ["sends_data", "asends_data"])
    @pytest.mark.parametrize("size", [100, 100_000, 3_000_000])
    def test_large_payloads_go_through_the_store(self, engine: FakeEngine, function: str, size: int) -> None:
        blobs = LocalBlobs(engine.folder / "blobs")
        worker = engine.fork(getattr(user_tasks, function), size=size)
        call = worker.next(SubmitCall)
        assert isinstance(call.inputs, Blob) is (size > 64 * 1024)
        data = blobs.get(call.inputs) if isinstance(call.inputs, Blob) else call.inputs.data
        value = user_tasks.echoes.interface.decode_arguments(data)["data"]
        assert len(value) == size
        result = user_tasks.echoes.interface.encode_output(value).data
        stored = blobs.put(result) if len(result) > 64 * 1024 else Inline(data=result)
        worker.tell(call, Succeeded(outputs=stored))
        assert worker.value() == size

    def test_large_inputs_and_outputs_of_an_attempt(self, engine: FakeEngine) -> None:
        blobs = LocalBlobs(engine.folder / "blobs")
        data = zlib.compress(bytes(range(256))) * 1000
        start = engine.start_message(user_tasks.echoes, {"data": data})
        assert isinstance(start.inputs, Inline)
        stored = blobs.put(start.inputs.data)
        start = engine.start_message(user_tasks.echoes, {"data": b""}, inputs=stored)
        outcome = engine.fork_start(user_tasks.echoes, start).outcome()
        assert isinstance(outcome, Succeeded)
        assert isinstance(outcome.outputs, Blob)
        assert user_tasks.echoes.interface.decode_output(blobs.get(outcome.outputs)) == data

    def test_a_payload_that_is_not_in_the_store_is_nobodys_fault(self, engine: FakeEngine) -> None:
        start = engine.start_message(user_tasks.echoes, {"data": b""}, inputs=Blob(digest="ab" * 32, size=5))
        failure = engine.fork_start(user_tasks.echoes, start).failure()
        assert failure.kind is FailureKind.SYSTEM
        assert "ab" * 32 in failure.message

    def test_pickled_inputs_have_no_digest_and_are_warned_of_once(self, engine: FakeEngine) -> None:
        worker = engine.fork(user_tasks.calls_with_pickles)
        for occurrence in range(2):
            call = worker.next(SubmitCall)
            assert call.inputs_digest is None
            assert call.action == child_id(PARENT, "worker-tests.takes_anything", None, occurrence)
            worker.tell(call, returned(user_tasks.takes_anything, 1))
        assert worker.value() == 2
        (warning,) = [message.message for message in worker.heard if isinstance(message, Warned)]
        assert "'worker-tests.takes_anything', parameter 'value'" in warning
