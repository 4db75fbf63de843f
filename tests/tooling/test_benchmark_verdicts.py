"""When the benchmarks call a target met, missed, or not measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.model import Clock, Contestant, Peer, Row, Series, Unit, Workload
from benchmarks.reporting import table


def row(
    ours: tuple[float, ...],
    theirs: tuple[float, ...],
    *,
    unit: Unit = Unit.SECONDS,
    bound: float | None = None,
    ratio: float | None = None,
    problem: str = "",
) -> Row:
    contestant = Contestant(name="it", command=("true",), folder=Path(), clock=Clock.OUTSIDE)
    peer = Peer(contestant=contestant, ratio=ratio)
    workload = Workload(target="P0", title="a workload", unit=unit, ours=contestant, peers=(peer,), bound=bound)
    return Row(
        workload=workload,
        peer=peer,
        ours=Series(name="ours", samples=ours),
        theirs=Series(name="theirs", samples=theirs, problem=problem),
    )


def test_the_ratio_is_of_medians_so_one_slow_sample_does_not_decide() -> None:
    assert row((1.0, 1.0, 90.0), (2.0, 2.0, 2.0)).ratio == 0.5


@pytest.mark.parametrize(
    ("unit", "figure", "met"),
    [
        (Unit.SECONDS, 0.9, True),
        (Unit.SECONDS, 1.1, False),
        (Unit.PER_SECOND, 0.9, False),
        (Unit.PER_SECOND, 1.1, True),
    ],
)
def test_less_time_and_more_per_second_are_better(unit: Unit, figure: float, met: bool) -> None:
    assert row((figure,), (1.0,), unit=unit, bound=1.0).met is met
    assert row((figure,), (1.0,), unit=unit, ratio=1.0).met is met


def test_one_bound_missed_is_a_miss_even_when_the_other_holds() -> None:
    assert row((1.0,), (10.0,), bound=0.5, ratio=0.6).met is False


def test_a_peer_that_did_not_run_leaves_its_ratio_unmeasured_not_met() -> None:
    found = row((1.0,), (1.0,), ratio=0.6, problem="could not be installed")
    assert found.met is None
    assert "not measured" in table([found])
    assert "theirs could not be installed" in table([found])


def test_a_peer_that_did_not_run_does_not_hide_that_our_own_bound_is_missed() -> None:
    assert row((1.0,), (), bound=0.5, ratio=0.6, problem="gone").met is False


def test_without_a_bound_there_is_no_verdict() -> None:
    assert row((1.0,), (2.0,)).met is None
    assert "not measured" not in table([row((1.0,), (2.0,))])
