"""Recorded outcomes are told in the order of their commits, whatever order the parent asks in."""

from hypothesis import given
from hypothesis import strategies as st

from volant.decide.replay import Replay
from volant.model.ids import ActionId, CallId


def actions(count: int) -> list[ActionId]:
    return [ActionId(f"a{n}") for n in range(count)]


def test_what_was_asked_for_without_a_gap_is_told_at_once() -> None:
    first, second, third = actions(3)
    replay = Replay([first, second, third])
    replay.ask(second, CallId(1))
    assert replay.ready() == []
    replay.ask(first, CallId(2))
    assert replay.ready() == [(first, CallId(2)), (second, CallId(1))]
    assert not replay.knows(first)
    assert replay.knows(third)


def test_a_parent_that_waits_gets_the_earliest_it_asked_for() -> None:
    first, second, third = actions(3)
    replay = Replay([first, second, third])
    replay.ask(third, CallId(1))
    replay.ask(second, CallId(2))
    assert replay.ready() == []
    assert replay.waiting() == [(second, CallId(2)), (third, CallId(1))]
    replay.ask(first, CallId(3))
    assert replay.ready() == [(first, CallId(3))]
    assert replay.is_done


def test_only_one_side_of_a_gap_is_told_to_a_parent_that_waits() -> None:
    first, second, third = actions(3)
    replay = Replay([first, second, third])
    replay.ask(first, CallId(1))
    replay.ask(third, CallId(2))
    assert replay.ready() == [(first, CallId(1))]
    assert replay.waiting() == [(third, CallId(2))]


def test_a_cancelled_call_is_not_told() -> None:
    first, second = actions(2)
    replay = Replay([first, second])
    replay.ask(second, CallId(7))
    assert replay.forget(CallId(7)) == second
    assert replay.forget(CallId(8)) is None
    assert replay.waiting() == []


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.permutations(range(n)))))
def test_every_outcome_that_is_asked_for_is_told_once_and_in_order(case: tuple[int, list[int]]) -> None:
    count, order = case
    replay = Replay(actions(count))
    for number in order:
        replay.ask(ActionId(f"a{number}"), CallId(number))
    told = [call for _, call in replay.ready()]
    assert told == list(range(count))
    assert replay.is_done


@given(
    st.integers(1, 10).flatmap(
        lambda n: st.tuples(st.permutations(range(n)), st.lists(st.booleans(), min_size=n, max_size=n))
    )
)
def test_a_parent_that_waits_is_always_told_something_until_nothing_is_asked_for(
    case: tuple[list[int], list[bool]],
) -> None:
    order, waits = case
    replay = Replay(actions(len(order)))
    asked: set[int] = set()

    def told_in_order(told: list[tuple[ActionId, CallId]]) -> bool:
        numbers = [int(call) for _, call in told]
        assert set(numbers) <= asked
        assert numbers == sorted(numbers)
        asked.difference_update(numbers)
        return bool(numbers)

    for number, waits_now in zip(order, waits, strict=True):
        asked.add(number)
        replay.ask(ActionId(f"a{number}"), CallId(number))
        told_in_order(replay.ready())
        if waits_now:
            pending = bool(asked)
            assert told_in_order(replay.waiting()) == pending
    while asked:
        assert told_in_order(replay.waiting())
    assert replay.is_done
