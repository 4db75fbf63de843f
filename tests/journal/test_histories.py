"""Random histories: whatever is committed, deleted and opened again, a journal holds what a plain model holds."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from volant.journal.postgres import PostgresJournal
from volant.journal.sqlite import SqliteJournal
from volant.model.errors import JournalError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord
from volant.ports.journal import Journal, RunFilter
from volant.testing.journal import (
    START,
    action_id,
    sample_action,
    sample_attempt,
    sample_change,
    sample_run,
)
from volant.testing.memory_journal import MemoryJournal, MemoryStore
from volant.testing.postgres_server import PostgresServer

RUNS = ("a", "b", "c")
ACTIONS = range(5)

names = st.sampled_from(RUNS)
numbers = st.sampled_from(ACTIONS)
phases = st.sampled_from(list(ActionPhase))
runs = st.builds(
    sample_run,
    names,
    age=st.integers(0, 3),
    phase=phases,
    task=st.sampled_from(["t", "u"]),
    labels=st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"])),
)
# Nobody else writes these: a value that cannot be stored and is replaced in its own group is never looked at.
naive_runs = st.builds(sample_run, st.just("naive"), created_at=st.just(START.replace(tzinfo=None)))
actions = st.builds(
    sample_action,
    numbers,
    run=names,
    parent=st.sampled_from([None, 0, 1]),
    phase=phases,
    outcome_seq=st.none() | st.integers(1, 9),
)
badly_named_actions = st.builds(sample_action, numbers, run=names, action=st.just(ActionId("A" * 32)))
attempts = st.builds(sample_attempt, numbers, st.integers(0, 2), run=names, pid=st.integers(1, 9), phase=phases)
specs = st.builds(SpecRecord, spec=st.sampled_from([SpecDigest("d1"), SpecDigest("d2")]), body=st.binary(max_size=3))


@dataclass
class ModelRun:
    record: RunRecord
    actions: dict[ActionId, ActionRecord] = field(default_factory=dict)
    attempts: dict[tuple[ActionId, int], AttemptRecord] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)


class Model:
    """The port's laws in the plainest words."""

    def __init__(self) -> None:
        self.runs: dict[RunId, ModelRun] = {}
        self.specs: dict[SpecDigest, SpecRecord] = {}

    def accepts(self, batch: Batch) -> bool:
        there = set(self.runs) | {run.run for run in batch.runs}
        actions = {(name, action) for name, run in self.runs.items() for action in run.actions}
        actions |= {(action.run, action.action) for action in batch.actions}
        seqs = {name: len(self.runs[name].changes) if name in self.runs else 0 for name in there}
        for change in batch.changes:
            if change.run not in seqs or change.seq != seqs[change.run] + 1:
                return False
            seqs[change.run] = change.seq
        return (
            all(action.run in there and action.action == action.action.lower() for action in batch.actions)
            and all((attempt.run, attempt.action) in actions for attempt in batch.attempts)
            and all(run.created_at.tzinfo is not None for run in batch.runs)
        )

    def store(self, batch: Batch) -> None:
        for run in batch.runs:
            self.runs.setdefault(run.run, ModelRun(run)).record = run
        for action in batch.actions:
            self.runs[action.run].actions[action.action] = action
        for attempt in batch.attempts:
            self.runs[attempt.run].attempts[attempt.action, attempt.attempt] = attempt
        for change in batch.changes:
            self.runs[change.run].changes.append(change)
        for spec in batch.specs:
            self.specs[spec.spec] = spec


class Histories(RuleBasedStateMachine):
    """Rules that write to a journal and to the model, and one comparison of both."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.model = Model()
        self.journal = self.runner.run(self.open())

    async def open(self) -> Journal:
        return await SqliteJournal.open(self.place / "journal.db", group_rows=20)

    def teardown(self) -> None:
        self.runner.run(self.journal.close())
        self.runner.close()
        shutil.rmtree(self.place)

    @rule(data=st.data(), batches=st.integers(1, 5))
    def commit_a_group(self, data: st.DataObject, batches: int) -> None:
        """Batches that are given together; in each the feed mostly goes on where it should."""
        given_batches: list[Batch] = []
        accepted: list[bool] = []
        for _ in range(batches):
            batch = self.draw_batch(data)
            given_batches.append(batch)
            accepted.append(self.model.accepts(batch))
            if accepted[-1]:
                self.model.store(batch)
        assert self.runner.run(self.commit(given_batches)) == accepted

    def draw_batch(self, data: st.DataObject) -> Batch:
        opened = tuple(data.draw(st.lists(runs, max_size=2)))
        seqs = {run.run: 0 for run in opened}
        seqs |= {name: len(run.changes) for name, run in self.model.runs.items()}
        changes: list[Change] = []
        for name in data.draw(st.lists(names, max_size=4)):
            wrong = data.draw(st.integers(0, 19)) == 0
            seq = seqs.get(RunId(name), 0) + (2 if wrong else 1)
            seqs[RunId(name)] = seq
            changes.append(sample_change(seq, run=name, message=str(seq)))
        odd = data.draw(st.integers(0, 19))
        return Batch(
            runs=(*opened, data.draw(naive_runs)) if odd == 0 else opened,
            actions=(
                *data.draw(st.lists(actions, max_size=4)),
                *([data.draw(badly_named_actions)] if odd == 1 else []),
            ),
            attempts=tuple(data.draw(st.lists(attempts, max_size=2))),
            changes=tuple(changes),
            specs=tuple(data.draw(st.lists(specs, max_size=1))),
        )

    async def commit(self, batches: list[Batch]) -> list[bool]:
        receipts = [self.journal.commit(batch) for batch in batches]
        outcomes: list[bool] = []
        for receipt in receipts:
            try:
                await receipt
            except JournalError:
                outcomes.append(False)
            else:
                outcomes.append(True)
        return outcomes

    @rule(name=names)
    def delete(self, name: str) -> None:
        assert self.runner.run(self.journal.delete_run(RunId(name))) is (RunId(name) in self.model.runs)
        self.model.runs.pop(RunId(name), None)

    @rule()
    def close_and_open_again(self) -> None:
        self.runner.run(self.journal.close())
        self.journal = self.runner.run(self.open())

    @invariant()
    def journal_and_model_agree(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        wanted = sorted((run.record for run in self.model.runs.values()), key=_age, reverse=True)
        assert list(await self.journal.runs(RunFilter())) == wanted
        for where in (RunFilter(labels=(("x", "1"),)), RunFilter(task="t"), RunFilter(phases=(ActionPhase.FAILED,))):
            matching = [
                run
                for run in wanted
                if all(run.labels.get(key) == value for key, value in where.labels)
                and where.task in (None, run.task)
                and (not where.phases or run.phase in where.phases)
            ]
            assert list(await self.journal.runs(where)) == matching
        assert list(await self.journal.unfinished_runs()) == [run for run in wanted[::-1] if not run.phase.is_final]
        for name in RUNS:
            await self.compare_run(RunId(name))
        for digest in ("d1", "d2"):
            assert await self.journal.spec(SpecDigest(digest)) == self.model.specs.get(SpecDigest(digest))

    async def compare_run(self, name: RunId) -> None:
        run = self.model.runs.get(name, ModelRun(sample_run(name)))
        listed = await self.journal.actions(name)
        assert [action for _, action in listed] == list(run.actions.values())
        positions = [position for position, _ in listed]
        assert positions == list(range(1, len(positions) + 1))
        for parent in (0, 1):
            children = [action for action in run.actions.values() if action.parent == action_id(parent)]
            assert [action for _, action in await self.journal.actions(name, parent=action_id(parent))] == children
        counts = {phase: sum(action.phase is phase for action in run.actions.values()) for phase in ActionPhase}
        assert await self.journal.count_actions(name) == {phase: count for phase, count in counts.items() if count}
        assert list(await self.journal.changes(name)) == run.changes
        for number in ACTIONS:
            action = action_id(number)
            assert await self.journal.action(name, action) == run.actions.get(action)
            tries = [run.attempts[key] for key in sorted(run.attempts) if key[0] == action]
            assert list(await self.journal.attempts(name, action)) == tries


class MemoryHistories(Histories):
    """The same for the journal in memory."""

    async def open(self) -> Journal:
        self.store = getattr(self, "store", None) or MemoryStore()
        return MemoryJournal(self.store)


class PostgresHistories(Histories):
    """The same for Postgres."""

    server: ClassVar[PostgresServer]
    url = ""

    async def open(self) -> Journal:
        self.url = self.url or self.server.new_database()
        return await PostgresJournal.open(self.url, group_rows=20)


def _age(run: RunRecord) -> tuple[object, str]:
    return run.created_at, run.run


_SETTINGS = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestSqliteHistories = pytest.mark.timeout(300)(Histories.TestCase)
TestSqliteHistories.settings = _SETTINGS
TestMemoryHistories = MemoryHistories.TestCase
TestMemoryHistories.settings = _SETTINGS


@pytest.mark.timeout(300)
def test_postgres_histories(postgres: PostgresServer) -> None:
    PostgresHistories.server = postgres
    run_state_machine_as_test(PostgresHistories, settings=settings(_SETTINGS, max_examples=20))
