"""The engine: performs what the rules command, and feeds back what happens.

One turn of the loop handles whatever arrived, then places what can start, then hands everything that
changed to the journal as one batch. What has to be told waits for that batch's commit.
"""

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, assert_never

import msgspec

from volant.decide.commands import (
    Command,
    EndTree,
    Enqueue,
    Lend,
    Release,
    RunFinished,
    TakeBack,
    Tell,
    TellRecorded,
    WakeAt,
    Withdraw,
)
from volant.decide.live import Earlier
from volant.decide.placement import Admission, Capacity, Placement
from volant.decide.run_machine import RunMachine
from volant.engine.live_run import KnownSpec, LiveRun, ProtocolError
from volant.kit.clock import Clock
from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions
from volant.model.errors import JournalError
from volant.model.exits import Exit
from volant.model.failures import Failure
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Payload
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord
from volant.model.worker_protocol import (
    AttemptFinished,
    CallRefused,
    CancelCall,
    ChildEnded,
    Failed,
    Outcome,
    RunContext,
    SpecKnown,
    StartAttempt,
    SubmitCall,
    Waiting,
    Warned,
    WorkerToEngine,
    Working,
)
from volant.ports.journal import Journal, Receipt
from volant.ports.launcher import AttemptOrder, Launcher

log = logging.getLogger("volant.engine")

_LOOK_AT_CPU = timedelta(milliseconds=20)
"""How often holders of CPU are looked at while something waits for it."""
_REPLAY_PATIENCE = timedelta(milliseconds=100)
"""How long a parent that does not say that it waits is given before recorded outcomes are told anyway."""
_UNHURRIED = timedelta(milliseconds=25)
"""When changes that nobody waits for are committed at the latest."""
_PAGE = 1000
_ACTION_ID = re.compile("[0-9a-f]{32}")


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The encoded inputs of a root action."""

    payload: Payload
    digest: str | None


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A run to execute."""

    record: RunRecord
    spec: SpecDigest
    spec_body: bytes
    context: RunContext
    code: CodeSource
    options: RunOptions
    environ: Mapping[str, str]
    inputs: Inputs


Listener = Callable[[RunId, Sequence[Change]], None]


class Engine:
    """Live runs, their places and their attempts. Everything happens on one loop."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        capacity: Capacity,
        host: str,
        log_path: Callable[[RunId, ActionId, int], str],
        on_committed: Listener,
        on_broken: Callable[[BaseException], None],
    ) -> None:
        """*log_path* makes the file that captures an attempt's output; *on_broken* hears that the journal refuses."""
        self.journal = journal
        self.placement = Placement(capacity)
        self.runs: dict[RunId, LiveRun] = {}
        self._clock = clock
        self._host = host
        self._log_path = log_path
        self._on_committed = on_committed
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._next_key = 0
        self._attempts: dict[AttemptKey, LiveRun] = {}
        self._places: dict[AttemptKey, tuple[LiveRun, ActionId]] = {}
        self._waiting_actions: dict[tuple[RunId, ActionId], AttemptKey] = {}
        self._finished: dict[AttemptKey, asyncio.TimerHandle] = {}
        self._changed: dict[RunId, LiveRun] = {}
        self._new_specs: list[SpecRecord] = []
        self._journaled_specs: set[SpecDigest] = set()
        self._after: list[tuple[LiveRun, Tell | RunFinished]] = []
        self._turn_planned = False
        self._idle_commit: asyncio.TimerHandle | None = None
        self._broken = False
        self._background: set[asyncio.Task[None]] = set()
        self._replays: dict[AttemptKey, asyncio.Task[None]] = {}
        self._observed_idle: set[AttemptKey] = set()
        self._looking = False
        self._warned_excess: set[str] = set()
        self._ends: dict[RunId, asyncio.Future[Outcome]] = {}

    # What the service asks for

    async def submit(self, submission: Submission, launcher: Launcher) -> LiveRun:
        """Start a run; returns once it is committed.

        Raises:
            JournalError: nothing was written.
        """
        record = submission.record
        machine = RunMachine(record, host=self._host)
        live = LiveRun(
            machine,
            launcher=launcher,
            context=submission.context,
            code=submission.code,
            options=submission.options,
            environ=submission.environ,
            is_placed=submission.options.mode != "inline",
        )
        known = self._learn(live, submission.spec, submission.spec_body)
        self.runs[record.run] = live
        self._ends[record.run] = self._loop.create_future()
        commands = machine.create(
            spec=known.spec,
            spec_digest=known.digest,
            inputs=submission.inputs.payload,
            inputs_digest=submission.inputs.digest,
            now=self._clock.now(),
        )
        self._perform(live, commands)
        await self._flush()
        return live

    def abort(self, run: RunId, action: ActionId | None, reason: str) -> None:
        """Abort a run, or one action of it and all below."""
        live = self.runs.get(run)
        if live is not None:
            self._perform(live, live.machine.abort(action, reason, self._clock.now()))

    def warn(self, live: LiveRun, message: str) -> None:
        """Tell whoever watches the run, once."""
        live.machine.warn(message, self._clock.now())
        self._touch(live)

    async def until_ended(self, run: RunId) -> None:
        """Return when the run has ended, or at once if it is not live."""
        end = self._ends.get(run)
        if end is not None:
            await asyncio.shield(end)

    @property
    def is_idle(self) -> bool:
        """Whether no run is live."""
        return not self.runs

    @property
    def live_actions(self) -> int:
        """Actions that have not ended."""
        return sum(len(live.machine.actions) for live in self.runs.values())

    @property
    def live_attempts(self) -> int:
        """Attempts whose processes are not gone."""
        return len(self._attempts)

    async def close(self) -> None:
        """Stop: write what is known, leave live runs as they are in the journal."""
        self._broken = True
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    # What launchers say

    def attempt_started(self, key: AttemptKey, pid: int | None) -> None:
        live = self._attempts.get(key)
        if live is None:
            return
        action = live.machine.keys.get(key)
        path = None
        if action is not None and action.attempt is not None and pid is not None:
            path = self._log_path(live.run, action.id, action.attempt.number)
        self._perform(live, live.machine.started(key, pid, path, self._clock.now()))

    def attempt_said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None:
        live = self._attempts.get(key)
        if live is None:
            return
        try:
            self._hear(live, messages)
        except (ProtocolError, msgspec.ValidationError) as error:
            # User code can write to its worker's socket; it harms its own attempt only.
            log.warning("attempt %d of run %s does not speak the protocol: %s", key, live.run, error)
            live.launcher.end(key, grace=0)

    def _hear(self, live: LiveRun, messages: Sequence[WorkerToEngine]) -> None:
        machine = live.machine
        now = self._clock.now()
        for message in messages:
            match message:
                case SubmitCall():
                    spec = live.spec(message.spec).spec
                    if not _ACTION_ID.fullmatch(message.action):
                        msg = f"{message.action!r} is no action id"
                        raise ProtocolError(msg)
                    self._perform(live, machine.called(message.attempt_key, message, spec, now))
                    self._expect_waiting(live, message.attempt_key)
                case Waiting(attempt_key=key, told=told):
                    self._perform(live, machine.waiting(key, told, now))
                case Working(attempt_key=key):
                    self._perform(live, machine.working(key))
                case CancelCall(attempt_key=key, call=call):
                    self._perform(live, machine.cancelled(key, call, now))
                case AttemptFinished(attempt_key=key, outcome=outcome):
                    self._finish(live, key, outcome)
                case SpecKnown(spec=digest, body=body):
                    self._learn(live, digest, body)
                case Warned(message=text):
                    self.warn(live, text)
                case _:
                    assert_never(message)

    def attempt_refused(self, key: AttemptKey, failure: Failure) -> None:
        live = self._attempts.get(key)
        if live is not None:
            self._finish(live, key, Failed(failure=failure))

    def attempt_gone(self, key: AttemptKey, ended: Exit) -> None:
        live = self._attempts.pop(key, None)
        if live is None:
            return
        timer = self._finished.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._observed_idle.discard(key)
        if live.is_placed:
            self.placement.gone()
        self._perform(live, live.machine.gone(key, ended, self._clock.now()))

    def launcher_warned(self, key: AttemptKey, message: str) -> None:
        live = self._attempts.get(key)
        if live is not None:
            self.warn(live, message)

    # Performing commands

    def _finish(self, live: LiveRun, key: AttemptKey, outcome: Outcome) -> None:
        self._perform(live, live.machine.finished(key, outcome, self._clock.now()))
        if key in self._attempts and key not in self._finished:
            # A worker that has said its last word has the grace period to leave.
            self._finished[key] = self._loop.call_later(
                live.options.grace_period, partial(live.launcher.end, key, grace=0)
            )

    def _perform(self, live: LiveRun, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Enqueue(action=action):
                    self._enqueue(live, action)
                case Withdraw(action=action):
                    key = self._waiting_actions.pop((live.run, action), None)
                    if key is not None:
                        del self._places[key]
                        self.placement.withdraw(key)
                case Release(key=key):
                    self.placement.release(key)
                case Lend(key=key):
                    self.placement.lend(key)
                case TakeBack(key=key):
                    self.placement.take_back(key)
                case EndTree(key=key, at_once=at_once):
                    live.launcher.end(key, grace=0 if at_once else live.options.grace_period)
                case Tell() | RunFinished():
                    self._after.append((live, command))
                case TellRecorded(key=key, calls=calls):
                    self._tell_recorded(live, key, calls)
                case WakeAt(action=action, at=at):
                    self._clock.call_at(at, partial(self._backoff_elapsed, live, action))
                case _:
                    assert_never(command)
        self._touch(live)

    def _backoff_elapsed(self, live: LiveRun, action: ActionId) -> None:
        self._perform(live, live.machine.backoff_elapsed(action, self._clock.now()))

    def _touch(self, live: LiveRun) -> None:
        self._changed[live.run] = live
        if not self._turn_planned:
            self._turn_planned = True
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turn_planned = False
        if self._broken:
            return
        self._place()
        if self._after:
            self._commit()
        elif self._changed and self._idle_commit is None:
            # Nobody waits for what changed. It goes along with the next commit that somebody waits for, and that
            # saves a transaction for every start and every exit of a process.
            self._idle_commit = self._loop.call_later(_UNHURRIED.total_seconds(), self._commit)

    # Places

    def _enqueue(self, live: LiveRun, action: ActionId) -> None:
        self._next_key += 1
        key = AttemptKey(self._next_key)
        self._places[key] = (live, action)
        self._waiting_actions[live.run, action] = key
        if not live.is_placed:
            self._loop.call_soon(self._admit, Admission(key))
            return
        found = live.machine.actions[action]
        request = live.spec(found.spec_digest).request
        self.placement.enqueue(key, run=live.run, depth=found.depth, request=request)

    def _place(self) -> None:
        placement = self.placement
        if not placement.queued:
            return
        admitted = placement.admit(can_progress=True)
        if not admitted and not placement.has_working and not self._can_progress():
            admitted = placement.admit(can_progress=False)
        for admission in admitted:
            self._admit(admission)
        if placement.queued and not self._looking:
            self._looking = True
            self._loop.call_later(_LOOK_AT_CPU.total_seconds(), self._look_at_cpu)

    def _can_progress(self) -> bool:
        return any(live.machine.can_progress() for live in self.runs.values())

    def _admit(self, admission: Admission) -> None:
        key = admission.key
        place = self._places.pop(key, None)
        if place is None:
            return
        live, action = place
        del self._waiting_actions[live.run, action]
        found = live.machine.admitted(action, key, self._clock.now())
        self._attempts[key] = live
        if admission.reason is not None:
            self.warn(live, f"task '{found.spec.task}' was started beyond capacity: {admission.reason}")
        if found.attempts > 1:
            self._spawn(self._start_again(live, action, key))
        else:
            self._start(live, action, key)

    def _start(self, live: LiveRun, action: ActionId, key: AttemptKey) -> None:
        found = live.machine.keys.get(key)
        if found is None or found.attempt is None:
            return
        known = live.spec(found.spec_digest)
        environment = live.environment(known.spec)
        number = found.attempt.number
        order = AttemptOrder(
            key=key,
            start=StartAttempt(
                attempt_key=key,
                context=live.context,
                action=action,
                parent=None if found.parent is None else found.parent.id,
                attempt=number,
                spec=known.digest,
                spec_body=known.body,
                inputs=found.inputs,
                group=found.group,
            ),
            code=live.code,
            environ=environment.variables,
            environment=environment.digest,
            label=known.spec.environment,
            log=self._log_path(live.run, action, number),
            grace=live.options.grace_period,
        )
        live.launcher.start(order)
        if found.abort_reason is not None:
            live.launcher.end(key, grace=0)

    async def _start_again(self, live: LiveRun, action: ActionId, key: AttemptKey) -> None:
        """Not the first attempt: its children of before may have recorded outcomes."""
        await self._flush()
        children: list[Earlier] = []
        after = 0
        while True:
            page = await self.journal.actions(live.run, parent=action, after=after, limit=_PAGE)
            for after, child in page:  # noqa: B007 - the position goes on to the next page
                if child.phase.is_final and child.action not in live.machine.actions:
                    children.append(
                        Earlier(
                            action=child.action,
                            phase=child.phase,
                            seq=child.outcome_seq or 0,
                            parent_failures=child.parent_failures,
                            attempts=child.attempts,
                            created_at=child.created_at,
                        )
                    )
            if len(page) < _PAGE:
                break
        live.machine.recorded_children(key, children)
        self._start(live, action, key)

    def _look_at_cpu(self) -> None:
        """Lend what holders observably do not use, while something waits for it."""
        self._looking = False
        placement = self.placement
        if not placement.queued or self._broken:
            return
        by_launcher: dict[Launcher, list[AttemptKey]] = defaultdict(list)
        for holder in [*placement.working(), *self._observed_idle]:
            live = self._attempts.get(holder)
            if live is not None:
                by_launcher[live.launcher].append(holder)
        for launcher, keys in by_launcher.items():
            idle = launcher.idle(keys)
            for key in keys:
                if key in idle and key not in self._observed_idle:
                    self._observed_idle.add(key)
                    placement.lend(key)
                elif key not in idle and key in self._observed_idle:
                    self._observed_idle.discard(key)
                    placement.take_back(key)
        self._place()

    # Commits

    def _learn(self, live: LiveRun, digest: SpecDigest, body: bytes) -> KnownSpec:
        known = live.learn(digest, body, has_gpus=self.placement.capacity.gpus > 0)
        self._journal_spec(digest, body)
        for parameter in known.spec.not_enforced:
            if parameter not in live.said_not_enforced:
                live.said_not_enforced.add(parameter)
                self.warn(live, f"{parameter} is accepted but not enforced yet; task '{known.spec.task}' gives it")
        return known

    def _journal_spec(self, digest: SpecDigest, body: bytes) -> None:
        if digest not in self._journaled_specs:
            self._journaled_specs.add(digest)
            self._new_specs.append(SpecRecord(spec=digest, body=body))

    def _commit(self) -> Receipt | None:
        if self._broken:
            return None
        runs: list[RunRecord] = []
        actions: list[ActionRecord] = []
        attempts: list[AttemptRecord] = []
        changes: list[Change] = []
        fed: list[tuple[LiveRun, tuple[Change, ...]]] = []
        for live in self._changed.values():
            if not live.machine.has_changes:
                continue
            drained = live.machine.drain()
            if drained.run is not None:
                runs.append(drained.run)
            actions += drained.actions
            attempts += drained.attempts
            changes += drained.changes
            if drained.changes:
                fed.append((live, drained.changes))
        self._changed.clear()
        if self._idle_commit is not None:
            self._idle_commit.cancel()
            self._idle_commit = None
        after, self._after = self._after, []
        specs, self._new_specs = self._new_specs, []
        if not (runs or actions or attempts or changes or specs):
            self._perform_after(after)
            return None
        batch = Batch(
            runs=tuple(runs),
            actions=tuple(actions),
            attempts=tuple(attempts),
            changes=tuple(changes),
            specs=tuple(specs),
        )
        committed = self.journal.commit(batch)
        committed.add_done_callback(partial(self._committed, fed, after))
        return committed

    def _committed(
        self,
        fed: list[tuple[LiveRun, tuple[Change, ...]]],
        after: list[tuple[LiveRun, Tell | RunFinished]],
        receipt: Receipt,
    ) -> None:
        if receipt.error is not None:
            self._break(receipt.error)
            return
        for live, changes in fed:
            live.committed_seq = changes[-1].seq
        self._perform_after(after)
        for live, changes in fed:
            self._on_committed(live.run, changes)

    def _perform_after(self, after: list[tuple[LiveRun, Tell | RunFinished]]) -> None:
        for live, command in after:
            match command:
                case Tell(key=key, message=message):
                    self._tell(live, key, message)
                case RunFinished(outcome=outcome):
                    self.runs.pop(live.run, None)
                    end = self._ends.pop(live.run, None)
                    if end is not None and not end.done():
                        end.set_result(outcome)
                case _:
                    assert_never(command)

    def _tell(self, live: LiveRun, key: AttemptKey, message: ChildEnded | CallRefused) -> None:
        if key not in self._attempts:
            return
        for command in live.machine.told(key):
            if isinstance(command, TakeBack):
                self.placement.take_back(command.key)
        live.launcher.tell(key, message)

    async def _flush(self) -> None:
        """Return when everything that happened so far is committed."""
        self._place()
        committed = self._commit()
        await (committed if committed is not None else self.journal.commit(Batch()))

    def _break(self, error: BaseException) -> None:
        if not self._broken:
            self._broken = True
            log.error("the journal refuses: %s", error)
            for end in self._ends.values():
                if not end.done():
                    end.set_exception(JournalError(str(error)))
                    end.exception()
            self._on_broken(error)

    # Replay

    def _expect_waiting(self, live: LiveRun, key: AttemptKey) -> None:
        """A parent whose thread never waits must get its recorded outcomes all the same."""
        found = live.machine.keys.get(key)
        if found is None or found.attempt is None:
            return
        replay = found.attempt.replay
        if replay is not None and not replay.is_done and key not in self._replays:
            self._loop.call_later(_REPLAY_PATIENCE.total_seconds(), self._lose_patience, live, key)

    def _lose_patience(self, live: LiveRun, key: AttemptKey) -> None:
        found = live.machine.keys.get(key)
        if found is None or found.attempt is None or found.attempt.replay is None or key in self._replays:
            return
        pairs = found.attempt.replay.waiting()
        if pairs:
            self._tell_recorded(live, key, tuple(pairs))

    def _tell_recorded(self, live: LiveRun, key: AttemptKey, calls: Sequence[tuple[ActionId, CallId]]) -> None:
        before = self._replays.get(key)
        task = self._spawn(self._read_and_tell(live, key, calls, before))
        self._replays[key] = task
        task.add_done_callback(partial(self._replay_told, key))

    def _replay_told(self, key: AttemptKey, task: "asyncio.Task[None]") -> None:
        if self._replays.get(key) is task:
            del self._replays[key]

    async def _read_and_tell(
        self,
        live: LiveRun,
        key: AttemptKey,
        calls: Sequence[tuple[ActionId, CallId]],
        before: "asyncio.Task[None] | None",
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        for action, call in calls:
            record = await self.journal.action(live.run, action)
            message: ChildEnded | None = None
            if record is not None:
                message = live.machine.answer(key, call, record)
            if message is not None:
                self._tell(live, key, message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)
        return task

    def _background_done(self, task: "asyncio.Task[None]") -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(error)
