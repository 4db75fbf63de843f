"""Random histories of a run with its placement: whatever happens in whatever order, every run ends and adds up."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from volant.decide.commands import (
    Accept,
    Adopt,
    Command,
    EndTree,
    Enqueue,
    Lend,
    LookUp,
    Release,
    RunFinished,
    TakeBack,
    Tell,
    TellRecorded,
    WakeAt,
    Withdraw,
)
from volant.decide.live import Earlier, Stage
from volant.decide.placement import Capacity, Placement, Request
from volant.decide.restoring import Past
from volant.decide.run_machine import RunMachine
from volant.decide.surviving import Survivor
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, ChangeKind, RunRecord
from volant.model.specs import ActionSpec, BackoffSpec, Loader, LoaderKind, RetrySpec
from volant.model.worker_protocol import ChildEnded, Failed, SubmitCall, Succeeded

T0 = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunId("r")
ROOT = ActionId("0")
WIDTH = 3
DEPTH = 3
SPEC = ActionSpec(
    task="env.task",
    short_name="task",
    environment="env",
    loader=Loader(kind=LoaderKind.MODULE, module="m", qualname="task"),
    is_async=True,
    retries=RetrySpec(count=2, backoff=BackoffSpec(base=timedelta(seconds=1))),
)


class Worker:
    """What the world knows of one attempt."""

    def __init__(self, action: ActionId, number: int) -> None:
        self.action = action
        self.number = number
        self.is_started = False
        self.recorded: list[Earlier] | None = None
        """What was read from the journal for it; None when it is the first, or nothing was read yet."""
        self.is_read = number == 0
        self.has_finished = False
        self.is_killed = False
        self.calls: dict[CallId, ActionId] = {}
        self.called: set[ActionId] = set()
        self.cancelled: set[CallId] = set()
        self.answers = 0
        self.outcome: str | None = None
        self.is_unclaimed = False
        """It survived a crash, and the machine has not said that it goes on."""
        self.is_apart = False
        """It survived a crash and has not said where it stands."""

    @property
    def can_speak(self) -> bool:
        return self.is_read and not self.has_finished and not self.is_apart and not self.is_unclaimed


class World:
    """Plays engine, journal, launcher and workers to a machine and its placement."""

    def __init__(self, *, crashes: bool = False, reuses: bool = False) -> None:
        self.crashes = crashes
        self.reuses = reuses
        record = RunRecord(run=RUN, task="env.task", root=ROOT, phase=ActionPhase.QUEUED, created_at=T0)
        self.machine = RunMachine(record, host="here", looks_up=reuses)
        self.placement = Placement(Capacity(cpu=2000, memory=0, processes=6))
        self.now = T0
        self.numbers = 0
        self.places: dict[AttemptKey, ActionId] = {}
        self.queued: dict[ActionId, AttemptKey] = {}
        self.workers: dict[AttemptKey, Worker] = {}
        self.admitted: set[tuple[ActionId, int]] = set()
        self.timers: dict[ActionId, datetime] = {}
        self.after: list[Tell | RunFinished | Accept] = []
        self.reads: list[TellRecorded] = []
        self.lookups: list[ActionId] = []
        """What another run is being asked for; perhaps aborted meanwhile, perhaps twice."""
        self.actions: dict[ActionId, ActionRecord] = {}
        self.attempts: dict[tuple[ActionId, int], AttemptRecord] = {}
        self.changes: list[Change] = []
        self.run: RunRecord | None = None
        self.has_ended = False
        self.take(
            self.machine.create(
                spec=SPEC, spec_digest=SpecDigest("s"), inputs=Inline(data=b""), inputs_digest="d", now=T0
            )
        )

    def crash(self, survives: Callable[[], bool]) -> None:
        """The engine and what does not survive are gone; the next one has what was committed, and the survivors."""
        if self.run is None or self.run.phase.is_final:
            return
        survivors = {
            key: worker
            for key, worker in self.workers.items()
            if worker.is_read and not self.has_outcome(worker) and survives()
        }
        unfinished = tuple(record for record in self.actions.values() if not record.phase.is_final)
        parents = {record.parent for record in unfinished}
        newest = {action: record for (action, _), record in sorted(self.attempts.items(), key=lambda item: item[0])}
        ended = [record for record in self.actions.values() if record.phase.is_final]
        past = Past(
            root=self.actions[ROOT],
            unfinished=unfinished,
            ended_parents=tuple(record for record in ended if record.action in parents),
            attempts=newest,
            specs={SpecDigest("s"): SPEC},
            seq=len(self.changes),
            survivors=tuple(self.survivor(key, worker) for key, worker in survivors.items()),
        )
        self.machine = RunMachine(self.run, host="here", looks_up=self.reuses)
        self.placement = Placement(Capacity(cpu=2000, memory=0, processes=6))
        for forgotten in (self.places, self.queued, self.workers, self.timers):
            forgotten.clear()
        self.after.clear()
        self.reads.clear()
        self.lookups.clear()
        self.admitted = set(self.attempts)
        for key, worker in survivors.items():
            worker.is_unclaimed = worker.is_apart = True
            worker.has_finished = False
            self.workers[key] = worker
            self.placement.came()
            self.admitted.add((worker.action, worker.number))
        killed = {key for key, worker in survivors.items() if worker.is_killed}
        self.take(self.machine.restore(past, self.now))
        for key, worker in survivors.items():
            row = self.attempts.get((worker.action, worker.number))
            if key not in killed and (row is None or not row.phase.is_final):
                assert not (worker.is_unclaimed and worker.is_killed), "what could have gone on was ended"

    def has_outcome(self, worker: Worker) -> bool:
        """Whether the outcome of its attempt is committed as that of its action."""
        record = self.actions.get(worker.action)
        return record is not None and record.phase.is_final and worker.number < record.attempts

    def survivor(self, key: AttemptKey, worker: Worker) -> Survivor:
        children = [r for r in self.actions.values() if r.parent == worker.action and r.phase.is_final]
        ended = tuple(Earlier.of(record) for record in children)
        return Survivor(key=key, action=worker.action, attempt=worker.number, children=ended)

    def rejoin(self, key: AttemptKey) -> None:
        """A survivor says where it stands, and again what has no answer."""
        worker = self.workers[key]
        worker.is_apart = False
        self.take(self.machine.rejoined(key, worker.answers, set(worker.calls.values())))
        for call, action in worker.calls.items():
            self.take(self.machine.called(key, submission(key, call, action), SPEC, self.now))
            if call in worker.cancelled:
                self.take(self.machine.cancelled(key, call, self.now))
        if worker.outcome is not None:
            self.finish(key, worker.outcome)

    # The engine's part

    def take(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Enqueue(action=action):
                    self.numbers += 1
                    key = AttemptKey(self.numbers)
                    assert action not in self.queued
                    self.places[key] = action
                    self.queued[action] = key
                    depth = self.machine.actions[action].depth
                    self.placement.enqueue(key, run=RUN, depth=depth, request=Request(cpu=1000))
                case LookUp(action=action):
                    assert self.reuses
                    assert action not in self.queued
                    self.lookups.append(action)
                case Withdraw(action=action):
                    self.timers.pop(action, None)
                    key = self.queued.pop(action, None)
                    if key is not None:
                        del self.places[key]
                        assert self.placement.withdraw(key)
                case Release(key=key):
                    self.placement.release(key)
                case Lend(key=key):
                    self.placement.lend(key)
                case TakeBack(key=key):
                    self.placement.take_back(key)
                case EndTree(key=key):
                    self.workers[key].is_killed = True
                case Adopt(action=action, key=key):
                    worker = self.workers[key]
                    assert worker.action == action
                    assert worker.is_unclaimed, "adopted twice"
                    worker.is_unclaimed = False
                    self.placement.take(key, run=RUN, request=Request(cpu=1000))
                    if worker.is_started:
                        self.take(self.machine.started(key, 1, "log", self.now))
                case Tell() | RunFinished() | Accept():
                    self.after.append(command)
                case TellRecorded():
                    self.reads.append(command)
                case WakeAt(action=action, at=at):
                    self.timers[action] = at

    def place(self) -> None:
        admitted = self.placement.admit(can_progress=True)
        if not admitted and not self.placement.has_working and not self.machine.can_progress():
            admitted = self.placement.admit(can_progress=False)
        for admission in admitted:
            action = self.places.pop(admission.key)
            del self.queued[action]
            live = self.machine.admitted(action, admission.key)
            number = live.attempts - 1
            assert (action, number) not in self.admitted
            self.admitted.add((action, number))
            self.check_executed_again(action)
            self.workers[admission.key] = Worker(action, number)

    def check_executed_again(self, action: ActionId) -> None:
        record = self.actions.get(action)
        if record is None or not record.phase.is_final:
            return
        assert record.phase is not ActionPhase.SUCCEEDED, "a success is executed again"
        live = self.machine.actions[action]
        assert live.parent is not None
        was_told = record.failure is not None and record.failure.code not in ("Cancelled", "ParentEnded")
        assert not was_told or record.parent_failures != live.parent.user_failures

    def commit(self) -> None:
        drained = self.machine.drain()
        self.actions |= {record.action: record for record in drained.actions}
        self.attempts |= {(record.action, record.attempt): record for record in drained.attempts}
        self.changes += drained.changes
        self.run = drained.run or self.run
        after, self.after = self.after, []
        for command in after:
            match command:
                case Tell(key=key, message=message):
                    if key in self.workers:
                        self.take(self.machine.told(key))
                        if isinstance(message, ChildEnded):
                            self.told(key, message)
                        else:
                            self.workers[key].answers += 1
                case RunFinished():
                    assert not self.has_ended
                    assert not self.workers, "something is left"
                    self.has_ended = True
                case Accept(key=key):
                    self.accepted(key)

    def accepted(self, key: AttemptKey) -> None:
        worker = self.workers.get(key)
        if worker is not None and not worker.is_killed:
            assert self.attempts[worker.action, worker.number].phase.is_final, "accepted before it was committed"

    def told(self, key: AttemptKey, message: ChildEnded) -> None:
        worker = self.workers[key]
        action = worker.calls.pop(message.call)
        assert action == message.action
        record = self.actions[action]
        assert record.phase.is_final, "told before it was committed"
        assert record.outcome_seq == message.seq
        if record.failure is not None and record.failure.code == "Cancelled":
            assert message.call in worker.cancelled, "who did not cancel a call hears that it was cancelled"
        worker.answers += 1

    def read_and_tell(self) -> None:
        self.commit()
        reads, self.reads = self.reads, []
        for read in reads:
            for action, call in read.calls:
                message = self.machine.answer(read.key, call, self.actions[action])
                if message is not None and read.key in self.workers:
                    self.take(self.machine.told(read.key))
                    self.told(read.key, message)

    # What may happen

    def step(self, random: Random) -> None:
        """One thing that can happen now."""
        spoken = [key for key, worker in self.workers.items() if worker.can_speak]
        unread = [key for key, worker in self.workers.items() if not worker.is_read]
        unstarted = [key for key, worker in self.workers.items() if worker.can_speak and not worker.is_started]
        ended = [key for key, worker in self.workers.items() if worker.has_finished or worker.is_killed]
        apart = [key for key, worker in self.workers.items() if worker.is_apart and not worker.is_unclaimed]
        moves: list[tuple[int, Callable[[], None]]] = [(4, self.place), (3, self.commit)]
        if self.lookups:
            moves.append((4, lambda: self.look_up(random.choice(self.lookups), is_found=random.random() < 0.4)))
        if self.reads:
            moves.append((4, self.read_and_tell))
        if self.timers:
            moves.append((4, lambda: self.pass_time(early=random.random() < 0.3)))
        if unread:
            moves.append((6, lambda: self.read(random.choice(unread))))
        if unstarted:
            moves.append((8, lambda: self.start(random.choice(unstarted))))
            moves.append((1, lambda: self.refuse(random.choice(unstarted))))
        if spoken:
            moves.append((12, lambda: self.speak(random.choice(spoken), random)))
            moves.append((4, lambda: self.finish_some(random.choice(spoken), random)))
            moves.append((2, lambda: self.lose_some(random.choice(spoken), random)))
        if apart:
            moves.append((8, lambda: self.rejoin(random.choice(apart))))
        if ended:
            moves.append((5, lambda: self.leave(random.choice(ended), 15)))
        if self.machine.actions:
            moves.append((1, lambda: self.abort_some(random)))
        if self.crashes:
            share = random.choice([0.0, 0.5, 1.0])
            moves.append((1, lambda: self.crash(lambda: random.random() < share)))
        _, move = random.choices(moves, [weight for weight, _ in moves])[0]
        move()

    def look_up(self, action: ActionId, *, is_found: bool) -> None:
        """Another run has an outcome of the action, or has not."""
        self.lookups.remove(action)
        recorded = ActionRecord(
            run=RunId("before"),
            action=action,
            parent=None,
            task="env.task",
            short_name="task",
            spec=SpecDigest("s"),
            phase=ActionPhase.SUCCEEDED,
            inputs=Inline(data=b""),
            created_at=T0,
            outputs=Inline(data=b"before"),
        )
        self.take(self.machine.looked_up(action, recorded if is_found else None, self.now))

    def read(self, key: AttemptKey) -> None:
        """First the journal is read, and later the attempt starts with what was read."""
        worker = self.workers[key]
        if worker.recorded is None:
            self.commit()
            worker.recorded = [
                Earlier.of(record)
                for record in self.actions.values()
                if record.parent == worker.action and record.phase.is_final
            ]
            return
        self.machine.recorded_children(key, worker.recorded)
        worker.is_read = True
        if worker.is_killed:
            self.leave(key, None)

    def start(self, key: AttemptKey) -> None:
        self.workers[key].is_started = True
        self.take(self.machine.started(key, 1, "log", self.now))

    def refuse(self, key: AttemptKey) -> None:
        failure = Failure(kind=FailureKind.USER, code="ImportError", message="no")
        self.take(self.machine.refused(key, failure, self.now))
        self.leave(key, None)

    def speak(self, key: AttemptKey, random: Random) -> None:
        worker = self.workers[key]
        match random.choice(["call", "call", "call", "call", "cancel", "wait", "wait", "wait", "work", "impatient"]):
            case "call":
                for number in random.sample(range(WIDTH), random.randint(1, WIDTH)):
                    self.call(key, number)
            case "cancel":
                open_calls = sorted(worker.calls.keys() - worker.cancelled)
                if open_calls:
                    self.cancel(key, random.choice(open_calls))
            case "wait":
                self.take(self.machine.waiting(key, worker.answers, self.now))
            case "work":
                self.take(self.machine.working(key))
            case _:
                if self.machine.owes(key):
                    self.take(self.machine.lost_patience(key, self.now))

    def cancel(self, key: AttemptKey, call: CallId) -> None:
        self.workers[key].cancelled.add(call)
        self.take(self.machine.cancelled(key, call, self.now))

    def call(self, key: AttemptKey, number: int) -> None:
        worker = self.workers[key]
        action = ActionId(f"{worker.action}.{number}")
        if action in worker.called or worker.action.count(".") >= DEPTH:
            return
        worker.called.add(action)
        self.numbers += 1
        call = CallId(self.numbers)
        worker.calls[call] = action
        self.take(self.machine.called(key, submission(key, call, action), SPEC, self.now))

    def finish_some(self, key: AttemptKey, random: Random) -> None:
        worker = self.workers[key]
        # With a parent much else ends, so most of them wait for what they called.
        if random.random() < (0.05 if worker.action == ROOT else 0.2 if worker.calls else 1.0):
            self.finish(key, random.choice(["ok", "ok", "failed", "failed", "failed", "hopeless"]))

    def finish(self, key: AttemptKey, outcome: str) -> None:
        self.workers[key].has_finished = True
        self.workers[key].outcome = outcome
        failure = Failure(kind=FailureKind.USER, code="ValueError", message="no", retryable=outcome != "hopeless")
        said = Succeeded(outputs=Inline(data=b"")) if outcome == "ok" else Failed(failure=failure)
        self.take(self.machine.finished(key, said, self.now))

    def lose_some(self, key: AttemptKey, random: Random) -> None:
        if self.workers[key].action != ROOT or random.random() < 0.3:
            self.leave(key, random.choice([9, 9, 9, 11]))

    def leave(self, key: AttemptKey, signal: int | None) -> None:
        worker = self.workers.pop(key)
        if worker.is_unclaimed and (worker.action, worker.number) not in self.attempts:
            self.admitted.discard((worker.action, worker.number))
        self.placement.gone()
        self.take(self.machine.gone(key, Exit(signal=signal), self.now))

    def abort_some(self, random: Random) -> None:
        action = random.choice(sorted(self.machine.actions))
        if action != ROOT or random.random() < 0.1:
            self.take(self.machine.abort(action, "enough", self.now))

    def pass_time(self, *, early: bool) -> None:
        """A timer fires, perhaps before its time by the wall clock."""
        action = min(self.timers, key=lambda name: (self.timers[name], name))
        at = self.timers.pop(action)
        self.now = max(self.now, at - timedelta(microseconds=int(early)))
        self.take(self.machine.backoff_elapsed(action, self.now))

    # What always holds

    def it_adds_up(self) -> None:
        machine = self.machine
        assert [change.seq for change in self.changes] == list(range(1, len(self.changes) + 1))
        assert machine.keys.keys() == {key for key, worker in self.workers.items() if not worker.is_unclaimed}
        assert self.placement.processes == len(self.workers)
        assert self.placement.queued == len(self.queued)
        waiting = {a for a, live in machine.actions.items() if live.stage is Stage.QUEUED}
        assert self.queued.keys() <= waiting <= {*self.queued, *self.lookups}
        for key, live in machine.keys.items():
            assert live.attempt is not None
            assert live.attempt.key == key
        for live in machine.actions.values():
            assert not live.phase.is_final
            assert live.stage is not Stage.ENDED
            if live.parent is not None:
                assert live.parent.children[live.id] is live
                assert live.parent.abort_reason is None or live.abort_reason is not None
            assert all(machine.actions[child] is found for child, found in live.children.items())
            if live.stage is Stage.BACKING_OFF:
                assert live.id in self.timers
            if live.stage in (Stage.STARTING, Stage.RUNNING, Stage.FINISHED, Stage.ENDING):
                assert live.attempt is not None
                assert live.attempt.key in machine.keys
        assert self.timers.keys() <= machine.actions.keys()

    def come_to_an_end(self) -> None:
        """Everything goes on by itself: every worker waits for what it called, and then returns."""
        for _ in range(400):
            if self.has_ended:
                break
            for action in list(self.lookups):
                self.look_up(action, is_found=False)
            self.place()
            self.commit()
            self.read_and_tell()
            for key, worker in list(self.workers.items()):
                while key in self.workers and not worker.is_read:
                    self.read(key)
                if key not in self.workers:
                    continue
                if worker.is_killed or worker.has_finished:
                    self.leave(key, 15)
                    continue
                if worker.is_unclaimed:
                    continue
                if worker.is_apart:
                    self.rejoin(key)
                    continue
                if not worker.is_started:
                    self.start(key)
                if worker.calls:
                    self.take(self.machine.waiting(key, worker.answers, self.now))
                else:
                    self.finish(key, "ok")
            if self.timers:
                self.pass_time(early=False)
            self.it_adds_up()
        assert self.has_ended, f"it does not end: {[(a, x.stage) for a, x in self.machine.actions.items()]}"
        for action in list(self.lookups):
            # Of what was aborted meanwhile.
            self.look_up(action, is_found=True)
        self.commit()
        assert not self.machine.actions
        assert not self.workers
        assert not self.machine.has_changes
        assert not self.machine.is_working()
        assert self.placement.cpu_used == 0
        assert self.run is not None
        assert self.run.phase.is_final
        assert all(record.phase.is_final for record in self.actions.values())
        assert all(record.phase.is_final for record in self.attempts.values())
        assert self.attempts.keys() == self.admitted
        for record in self.actions.values():
            assert (record.outputs == Inline(data=b"before")) is (record.reused_from == "before")
            assert record.reused_from is None or record.attempts == 0
        assert self.changes[-1].kind is ChangeKind.RUN_ENDED


def submission(key: AttemptKey, call: CallId, action: ActionId) -> SubmitCall:
    return SubmitCall(
        attempt_key=key,
        call=call,
        action=action,
        spec=SpecDigest("s"),
        inputs=Inline(data=b""),
        inputs_digest="d",
    )


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 1 << 32), steps=st.integers(20, 400), crashes=st.booleans(), reuses=st.booleans())
def test_every_history_of_a_run_adds_up_and_comes_to_an_end(seed: int, steps: int, crashes: bool, reuses: bool) -> None:
    world = World(crashes=crashes, reuses=reuses)
    random = Random(seed)
    for _ in range(steps):
        world.step(random)
        world.it_adds_up()
        if world.has_ended:
            break
    world.come_to_an_end()
