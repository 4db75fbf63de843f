"""What must hold in every history. A broken law ends the simulation with the sentence that was broken."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from tests.simulation.machine import Machine
from tests.simulation.programs import Program, Result, label
from volant.decide.live import AbortCause
from volant.model.ids import ActionId, RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, Batch, Change, ChangeKind, RunRecord
from volant.model.worker_protocol import Aborted, ChildEnded, Failed, StartAttempt, Succeeded
from volant.testing.memory_journal import MemoryStore


class BrokenLaw(AssertionError):
    """A law of DESIGN.md, section 6, does not hold."""


class Laws:
    """Sees what is stored, told and started, and compares."""

    def __init__(self, machine: Machine, store: MemoryStore, programs: dict[RunId, Program]) -> None:
        self._machine = machine
        self._store = store
        self._programs = programs
        self.verdict: BrokenLaw | None = None
        self.workers_of: Callable[[RunId, str], list[str]] = lambda run, engine: []
        """Names of live workers of a run that an engine has started."""
        self.owners: dict[RunId, str] = {}
        """Which engine acquired a run last, or began it."""
        self.told: dict[tuple[RunId, ActionId], int | None] = {}
        """Outcomes that a parent was told: None for a success, for a failure how often the parent had failed."""
        self.ended: set[RunId] = set()
        """Runs whose end a client was told."""
        self._steps: dict[tuple[RunId, ActionId], bytes] = {}
        """What attempts were told of traced functions."""
        self._winners: dict[tuple[RunId, ActionId, int, int], str] = {}

    def broken(self, law: str, what: str) -> BrokenLaw:
        """The error to raise; the first one ends the simulation, whoever catches it."""
        self._machine.note("law", f"BROKEN: {law}: {what}")
        error = BrokenLaw(f"{law}: {what}")
        self.verdict = self.verdict or error
        return error

    # What the store is given

    def written(self, engine: str, batch: Batch) -> None:
        """A batch of *engine* is about to be stored."""
        for run in dict.fromkeys(_runs_of(batch)):
            owner = self.owners.setdefault(run, engine)
            if owner != engine:
                raise self.broken("who lost a run writes nothing to it", f"{engine} wrote to {run} of {owner}")
        for action in batch.actions:
            known = self._action(action.run, action.action)
            if known is not None and known.phase is ActionPhase.SUCCEEDED and known != action:
                what = f"{label(action.action, action.short_name)} of {action.run} became {action.phase}"
                raise self.broken("a success is for ever", what)
            if known is not None and not known.phase.is_final and known.due_at != action.due_at:
                raise self.broken("a timer keeps its time", f"{action.action[:5]} of {action.run}")

    def executes_step(self, run: RunId, action: ActionId, *, by: str) -> None:
        """An attempt executes a traced function."""
        if (run, action) in self._steps and self.owners.get(run) == by:
            raise self.broken("never run again what was told", f"step {action[:5]} of {run}")

    def stepped(self, run: RunId, action: ActionId, value: bytes) -> None:
        """An attempt was told what is recorded of a traced function."""
        before = self._steps.setdefault((run, action), value)
        if before != value:
            what = f"step {action[:5]} of {run} gave {before!r}, and then {value!r}"
            raise self.broken("what was told stays so", what)

    def started(self, start: StartAttempt, name: str, *, by: str, beside: list[str]) -> None:
        """An engine starts an attempt, *beside* live ones of the same action that nobody has told to end."""
        run, action = start.context.run, start.action
        who = f"{label(action, name)} of {run}, attempt {start.attempt}"
        owner = self.owners.get(run, by)
        if owner != by and not start.attempt:
            raise self.broken("who lost a run starts nothing of it", f"{who}: it is {owner}'s")
        if owner != by:
            # It was asleep while it read what the action had called before.
            return
        if beside:
            raise self.broken("an engine's death costs no work", f"{who}: {', '.join(beside)} live(s)")
        if run in self.ended:
            raise self.broken("never run again what was told", f"{who}: the end of its run was told")
        record = self._action(run, action)
        if record is not None and record.phase is ActionPhase.SUCCEEDED:
            raise self.broken("never run again what was told", f"{who}: it had succeeded")
        if (run, action) not in self.told:
            return
        failures = self.told[run, action]
        parent = None if record is None or record.parent is None else self._action(run, record.parent)
        if failures is None or (parent is not None and parent.user_failures <= failures):
            raise self.broken("never run again what was told", f"{who}: its outcome was told")

    def ends_survivor(self, run: RunId, action: ActionId, attempt: int, *, by: str) -> None:
        """An engine ends an attempt that outlived an earlier one, instead of going on with it."""
        stored, record = self._store.runs.get(run), self._action(run, action)
        if self.owners.get(run) != by or stored is None or record is None or record.phase.is_final:
            return
        above = record
        while above.parent is not None and (found := self._action(run, above.parent)) is not None:
            above = found
            if above.phase.is_final:
                # Everything below it is to end.
                return
        attempts = stored.attempts.get(action, {})
        if attempt in attempts and attempts[attempt].phase.is_final:
            return
        if attempt >= max(max(attempts, default=-1), record.attempts - 1):
            what = f"attempt {attempt} of {label(action, record.short_name)} of {run} is ended"
            raise self.broken("an engine's death costs no work", what)

    def root_of(self, run: RunId) -> ActionId | None:
        """The root of a run that is stored."""
        stored = self._store.runs.get(run)
        return None if stored is None else stored.record.root

    # What is told

    def tells_parent(self, run: RunId, message: ChildEnded, *, by: str) -> None:
        """An engine tells a worker the outcome of a call."""
        if self.owners.get(run) != by:
            # It was asleep: what it tells was committed, and perhaps executed again by another since.
            return
        record = self._action(run, message.action)
        who = f"{message.action[:5]} of {run}"
        if record is None or not record.phase.is_final or record.outcome_seq != message.seq:
            raise self.broken("committed before told", f"{who} was told, the journal does not have it so")
        if not _is_so(record, message.outcome):
            raise self.broken("committed before told", f"{who} was told otherwise than it is in the journal")
        if record.due_at is not None and record.phase is ActionPhase.SUCCEEDED and record.due_at > self._latest():
            raise self.broken("a timer keeps its time", f"{who} has ended before")
        match message.outcome:
            case Succeeded():
                self.told[run, message.action] = None
            case Failed():
                self.told[run, message.action] = record.parent_failures
            case Aborted():
                if record.failure is not None and record.failure.code == AbortCause.ASKED:
                    self.told[run, message.action] = record.parent_failures

    def tells_client(self, run: RunId, changes: Iterable[Change], ended: RunRecord | None, outcome: object) -> None:
        """An engine tells a client what became of a run."""
        stored = self._store.runs.get(run)
        feed = [] if stored is None else stored.changes
        for change in changes:
            if len(feed) < change.seq or feed[change.seq - 1] != change:
                raise self.broken("committed before told", f"change {change.seq} of {run} was told and is not stored")
        if ended is None or stored is None:
            return
        if not stored.record.phase.is_final or stored.record.phase is not ended.phase:
            raise self.broken("committed before told", f"the end of {run} was told and is not stored")
        root = self._action(run, ended.root)
        if outcome is None or root is None or not _is_so(root, outcome):
            raise self.broken("committed before told", f"the outcome of {run} was told and is not stored")
        if left := self.workers_of(run, self.owners[run]):
            raise self.broken("nothing is left of a run that ended", f"{run} ended, {', '.join(left)} live(s)")
        self.ended.add(run)

    def accepts(self, run: RunId) -> None:
        """An engine tells a client that it has the run."""
        if run not in self._store.runs:
            raise self.broken("committed before told", f"{run} was accepted and is not stored")

    def won(self, run: RunId, action: ActionId, failures: int, race: int, winner: str) -> None:
        """An attempt saw who won one of its races; *failures*: how often its action had failed by then."""
        before = self._winners.setdefault((run, action, failures, race), winner)
        if before != winner:
            what = f"race {race} of {action[:5]} of {run} was won by {before}, and then by {winner}"
            raise self.broken("a race has the same winner again", what)

    # At the end

    def check_end(self, run: RunId, *, was_disturbed: bool) -> None:
        """The run is over, and all its engines are at rest; *was_disturbed*: somebody aborted something of it."""
        stored = self._store.runs[run]
        if not stored.record.phase.is_final:
            raise self.broken("every run ends or can be resumed", f"{run} is {stored.record.phase}")
        for _, record in stored.actions.values():
            if not record.phase.is_final:
                what = f"{label(record.action, record.short_name)} of {run} is {record.phase}"
                raise self.broken("nothing is left of a run that ended", what)
        for attempts in stored.attempts.values():
            for attempt in attempts.values():
                if not attempt.phase.is_final:
                    what = f"attempt {attempt.attempt} of {attempt.action[:5]} of {run} is {attempt.phase}"
                    raise self.broken("nothing is left of a run that ended", what)
        if [change.seq for change in stored.changes] != list(range(1, len(stored.changes) + 1)):
            raise self.broken("a feed has no gaps", run)
        if [change.kind for change in stored.changes].count(ChangeKind.RUN_ENDED) != 1:
            raise self.broken("a run ends once", run)
        if not was_disturbed:
            self._check_result(run, stored.record)

    def _check_result(self, run: RunId, record: RunRecord) -> None:
        root = self._action(run, record.root)
        assert root is not None
        found = result_of_record(root)
        expected = self._programs[run].root.expected
        if found != expected:
            raise self.broken("the result is that of an undisturbed run", f"{run} gave {found}, not {expected}")

    def _latest(self) -> datetime:
        """By the clock of the engine whose clock is ahead the most."""
        return self._machine.utc() + timedelta(seconds=10)

    def _action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        stored = self._store.runs.get(run)
        found = None if stored is None else stored.actions.get(action)
        return None if found is None else found[1]


def result_of_record(record: ActionRecord) -> Result:
    """What an action gave."""
    if record.failure is not None:
        return Result(failure=record.failure.code)
    return Result(data=record.outputs.data if isinstance(record.outputs, Inline) else b"")


def _is_so(record: ActionRecord, outcome: object) -> bool:
    match outcome:
        case Succeeded(outputs=outputs):
            return record.phase is ActionPhase.SUCCEEDED and record.outputs == outputs
        case Failed(failure=failure):
            return record.phase is ActionPhase.FAILED and record.failure == failure
        case Aborted():
            return record.phase is ActionPhase.ABORTED
        case _:
            return False


def _runs_of(batch: Batch) -> Iterable[RunId]:
    for record in (*batch.runs, *batch.actions, *batch.attempts, *batch.changes):
        yield record.run
