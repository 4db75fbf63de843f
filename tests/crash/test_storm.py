"""A small storm, and that its counting would see what it looks for."""

import pytest

from tests.crash.storm.counting import count
from tests.crash.storm.database import Postgres, Sqlite
from tests.crash.storm.rounds import Outcome, Round
from volant.testing.postgres_server import NoPostgresError, PostgresServer

SOUND = [
    *("executed a 1", "executed b 2", "death worker", "executed a 1", "heard a", "told 1"),
    *("failed b", "executed b 2", "told 2"),
]


def test_executions_are_counted() -> None:
    found = count([*SOUND, "won race left", "won race left"])
    assert found == (2, 4, 1, 0, 2, 1, ())


@pytest.mark.parametrize(
    ("deaths", "for_nothing"),
    [(["engine"], 1), (["engine", "client", "database"], 1), (["engine", "zygote"], 0), (["worker"], 0)],
)
def test_work_that_is_done_again_though_only_engines_died_is_counted(deaths: list[str], for_nothing: int) -> None:
    lines = ["death worker", "executed a 1", *(f"death {kind}" for kind in deaths), "executed a 1"]
    assert count(lines).for_nothing == for_nothing


@pytest.mark.parametrize(
    ("deaths", "is_broken"), [(["engine"], True), (["client", "engine"], True), (["engine", "database"], False)]
)
def test_an_engines_death_costs_no_work(deaths: list[str], is_broken: bool) -> None:
    lines = ["executed a 1", *(f"death {kind}" for kind in deaths), "executed a 1"]
    sentence = f"a was executed again, as action 1, though only {deaths} died"
    assert count(lines).broken == ((sentence,) if is_broken else ())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("executed a 1", "a was told to a client outside and executed again, as action 1"),
        ("executed a 9", "a was told to a client outside and executed again, as action 9"),
        ("told 7", "action 7 was told before it was executed"),
        ("won race right", "the race race was won by left, and then by right"),
        ("execut", "a line of the log is ['execut']"),
    ],
)
def test_every_broken_law_is_seen(line: str, sentence: str) -> None:
    assert count([*SOUND, "won race left", line]).broken == (sentence,)


def test_what_a_parent_was_told_counts_too() -> None:
    assert count(["executed a 1", "heard a", "executed a 1"]).broken == (
        "a was told to its parent and executed again, as action 1",
    )


@pytest.fixture(scope="module")
def calm() -> Outcome:
    """The same when nothing dies."""
    found = Round(Sqlite(), size=50, seed="", pace=0).play()
    assert found.faults == ()
    return found


def test_a_small_storm_on_sqlite_breaks_no_law(calm: Outcome) -> None:
    outcome = Round(Sqlite(), size=50, seed="3", pace=0.25, deaths=6).play()
    assert outcome.faults == ()
    assert outcome.kills.total() > 0
    assert outcome.result == calm.result


def test_a_small_storm_on_postgres_breaks_no_law(calm: Outcome) -> None:
    try:
        server = PostgresServer.start(durable=True)
    except NoPostgresError as error:
        pytest.skip(f"NO STORM ON POSTGRES IS TESTED HERE: {error}")
    with server:
        outcome = Round(Postgres(server), size=50, seed="2", pace=0.25, deaths=6).play()
    assert outcome.faults == ()
    assert outcome.kills.total() > 0
    assert outcome.result == calm.result
