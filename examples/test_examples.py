"""Tests of the examples, written with the fixtures that come with Volant; see docs/how-to/testing.md.

pytest examples
"""

import asyncio

import branching
import exceptions
import fan_out
import pytest
import racing
import recursion
import sync_map

from volant.testing import RunTask, StubTask


def test_fan_out_scores_each_word_in_an_action_of_its_own(run_task: RunTask) -> None:
    run = run_task(fan_out.main, words=3)
    assert run.result() == {"the": 33, "quick": 61, "brown": 72}
    assert [action.inputs["word"] for action in run.actions_of("score")] == ["the", "quick", "brown"]


def test_branching_stops_at_one_whatever_the_steps_do(run_task: RunTask, stub_task: StubTask) -> None:
    climb = stub_task(branching.climb, returns=2)
    run = run_task(branching.main, start=6)
    assert run.result() == [6, 3, 2, 1]
    assert climb.calls == [{"number": 3}]


def test_recursion_is_a_tree_of_actions(run_task: RunTask) -> None:
    run = run_task(recursion.main, size=16)
    assert run.result() == list(range(16))
    top, *_ = run.actions_of("merge_sort")
    assert [len(half.inputs["numbers"]) for half in top.children] == [8, 8]


def test_what_a_task_raises_is_what_it_was(run_task: RunTask) -> None:
    run = run_task(exceptions.mean, "empty", [])
    assert run.phase == "FAILED"
    assert isinstance(run.error, exceptions.EmptySampleError)
    assert run.error.name == "empty"


def test_a_report_goes_on_after_failures(run_task: RunTask, stub_task: StubTask) -> None:
    stub_task(exceptions.ratio, raises=ZeroDivisionError("no ratio today"))
    report = run_task(exceptions.main).result()
    assert report["ratio"] == "no ratio today"
    assert report["gathered"] == "ZeroDivisionError, ZeroDivisionError"


@pytest.mark.volant(mode="local")
def test_racing_ends_what_lost(run_task: RunTask, stub_task: StubTask) -> None:
    async def search(strategy: str, seconds: float) -> str:
        if strategy != "a guess":
            await asyncio.sleep(seconds)
        return f"found by {strategy}"

    stub_task(racing.search, calls=search)
    run = run_task(racing.main)
    assert run.result() == "found by a guess"
    # A sync task that sleeps for ever can only be killed, and that takes a process: hence `local`.
    assert run.action("stubborn").phase == "ABORTED"


def test_sync_map_keeps_the_order_and_the_failures(run_task: RunTask) -> None:
    run = run_task(sync_map.main, count=6)
    assert run.result() == {"primes": [2, 3, 5], "composites": [4, 6], "refused": [1]}
    assert [action.inputs["number"] for action in run.actions_of("is_prime") if action.error] == [1]
