"""The rules of one run: events in, commands and rows out. No clock, no I/O.

Every public method is an event. It changes the live part of the run and returns what the engine has to
do. What has to be written collects in `drain`, whole rows of everything that changed; the engine commits
it and only then performs the `Tell` and `RunFinished` that were returned before.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

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
    TellSoon,
    WakeAt,
    Withdraw,
)
from volant.decide.exits import failure_of
from volant.decide.live import AbortCause, Earlier, LiveAction, LiveAttempt, Stage, outcome_of
from volant.decide.pausing import PARK_AFTER, may_be_put_away
from volant.decide.replay import Replay
from volant.decide.restoring import Past, lose, revive
from volant.decide.retrying import RunAgain, after_failure
from volant.decide.stepping import due_after, step_of, taken_step
from volant.decide.surviving import Survivor, Survivors
from volant.decide.unwritten import Drained, Unwritten
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Inline, Payload
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, ChangeKind, RunRecord
from volant.model.specs import ActionKind, ActionSpec
from volant.model.worker_protocol import (
    Aborted,
    Acknowledged,
    AskStep,
    CallRefused,
    ChildEnded,
    Failed,
    Outcome,
    SaveCheckpoint,
    StepEnded,
    SubmitCall,
    Succeeded,
)


class RunMachine:
    """One live run."""

    def __init__(
        self, record: RunRecord, *, host: str, park_after: timedelta = PARK_AFTER, looks_up: bool = False
    ) -> None:
        """*looks_up*: whether outcomes may be taken over from another run."""
        self.record = record
        self.run: RunId = record.run
        self.actions: dict[ActionId, LiveAction] = {}
        """Those that have not ended."""
        self.keys: dict[AttemptKey, LiveAction] = {}
        """Whose attempts were admitted and are not gone."""
        self.root: LiveAction | None = None
        self.outcome: Outcome | None = None
        self._remains: dict[ActionId, LiveAction] = {}
        """Actions that have ended while something below them is still being ended."""
        self._unwritten = Unwritten(record.run, launcher=record.mode, host=host)
        self._park_after = park_after
        self._warned: set[str] = set()
        self._looks_up = looks_up
        self._looked_up: set[ActionId] = set()
        """Actions that are being looked up before they get a place."""
        self._asked_steps: dict[ActionId, AskStep] = {}
        """Steps among them: they are actions only once they have an outcome."""
        self._finished = False
        self._survivors = Survivors()

    # Events from the client

    def create(
        self, *, spec: ActionSpec, spec_digest: SpecDigest, inputs: Payload, inputs_digest: str | None, now: datetime
    ) -> list[Command]:
        """The run was submitted."""
        self._unwritten.run(self.record)
        self._unwritten.change(ChangeKind.RUN_CREATED, self.record.phase, now, name=spec.short_name)
        root = LiveAction(
            action=self.record.root,
            parent=None,
            spec_digest=spec_digest,
            spec=spec,
            inputs=inputs,
            inputs_digest=inputs_digest,
            group=None,
            created_at=now,
        )
        self.root = root
        return self._add(root, now)

    def restore(self, past: Past, now: datetime) -> list[Command]:
        """The engine that executed the run is gone, and all that it had started but the survivors: go on from the rows.

        To be called first, and once, in place of `create`.
        """
        self._survivors = Survivors(past.survivors)
        self.root, revived = revive(past, now)
        self.outcome = outcome_of(past.root)
        self._unwritten.continue_after(past.seq)
        self._unwritten.run(self.record)
        self._unwritten.change(ChangeKind.RUN_RESUMED, self.record.phase, now)
        commands: list[Command] = []
        for each in revived:
            self.actions[each.live.id] = each.live
            if each.interrupted is not None:
                commands += self._go_on_or_lose(each.live, each.interrupted, now)
            older = each.live.attempts if each.live.attempt is None else each.live.attempts - 1
            commands += [EndTree(key, at_once=True) for key in self._survivors.dismiss_older(each.live.id, older)]
        for each in revived:
            live = each.live
            if each.is_orphan:
                commands += self._abort(live, "its parent has ended", AbortCause.PARENT, now)
            elif live.abort_reason is None and live.attempt is None:
                commands += self._go_on(live, now)
        return commands + self._check_end(now)

    def abort(self, action: ActionId | None, reason: str, now: datetime) -> list[Command]:
        """Somebody asked for the end of the run, or of one action and all below it."""
        live = self.actions.get(self.record.root if action is None else action)
        return [] if live is None else self._abort(live, reason, AbortCause.ASKED, now)

    def warn(self, message: str, now: datetime) -> None:
        """Say something to whoever watches, once per run."""
        if message not in self._warned and not self._finished:
            self._warned.add(message)
            self._unwritten.change(ChangeKind.WARNING, self.record.phase, now, message=message)

    # Events from placement and launchers

    def admitted(self, action: ActionId, key: AttemptKey) -> LiveAction:
        """The action has a place; the engine starts its next attempt under *key*."""
        live = self.actions[action]
        attempt = LiveAttempt(live.attempts, live.queued_at)
        attempt.key = key
        attempt.phase = ActionPhase.INITIALIZING
        if attempt.number > 0:
            attempt.replay = Replay()
        live.attempts += 1
        live.attempt = attempt
        live.stage = Stage.STARTING
        live.phase = ActionPhase.INITIALIZING
        self.keys[key] = live
        return live

    def recorded_children(self, key: AttemptKey, children: Iterable[Earlier]) -> None:
        """The attempt is not the first of its action: its ended children of before, as the journal has them.

        Children that end from `admitted` on need not be among them.
        """
        live = self.keys.get(key)
        if live is None or live.attempt is None or live.attempt.replay is None:
            return
        attempt = live.attempt
        known = live.attempt.replay
        replayed: list[Earlier] = []
        for child in children:
            if child.action in self.actions or child.action in attempt.earlier or known.knows(child.action):
                continue
            if child.is_replayed_to(live.user_failures):
                replayed.append(child)
            else:
                attempt.earlier[child.action] = child
        replayed.sort(key=lambda child: child.seq)
        attempt.replay = Replay([*(child.action for child in replayed), *known.untold])

    def started(self, key: AttemptKey, pid: int | None, log: str | None, now: datetime) -> list[Command]:
        """The attempt has a process."""
        live = self.keys.get(key)
        if live is None or live.attempt is None:
            return []
        live.attempt.pid = pid
        live.attempt.log = log
        self._unwritten.attempt(live, live.attempt)
        if live.stage is Stage.ENDING:
            # With its count of attempts: an engine that goes on from here has to know of this one.
            self._unwritten.action(live)
        self._begin(live, live.attempt, now)
        return []

    def finished(self, key: AttemptKey, outcome: Outcome, now: datetime) -> list[Command]:
        """The worker has said its last word."""
        live = self._speaking(key)
        if live is None or live.attempt is None:
            # It came too late to count, but whoever said it waits for an answer.
            return [Accept(key)] if key in self.keys else []
        # Its word may come before its launcher's that it has a process.
        self._begin(live, live.attempt, now)
        live.stage = Stage.FINISHED
        live.attempt.ended_at = now
        commands: list[Command] = [Release(key)]
        match outcome:
            case Succeeded():
                live.attempt.phase = ActionPhase.SUCCEEDED
                commands += self._settle(live, outcome, now)
            case Failed(failure=failure):
                commands += self._failed(live, live.attempt, failure, now)
            case Aborted():
                live.attempt.phase = ActionPhase.ABORTED
                commands += self._settle(live, outcome, now)
            case _:
                assert_never(outcome)
        return [*commands, Accept(key)]

    def refused(self, key: AttemptKey, failure: Failure, now: datetime) -> list[Command]:
        """The attempt could not be started."""
        live = self.keys.get(key)
        if live is None or live.attempt is None or live.stage is not Stage.STARTING:
            return []
        live.attempt.ended_at = now
        return [Release(key), *self._failed(live, live.attempt, failure, now)]

    def gone(self, key: AttemptKey, ended: Exit, now: datetime) -> list[Command]:
        """The attempt's process, and all it had started, is gone."""
        live = self.keys.pop(key, None)
        if live is None or live.attempt is None:
            return self._check_end(now) if self._survivors.gone(key) else []
        attempt = live.attempt
        attempt.cpu_seconds = ended.cpu_seconds
        attempt.peak_memory = ended.peak_memory
        if attempt.ended_at is None:
            attempt.ended_at = now
            attempt.exit_status = ended.text
        self._unwritten.attempt(live, attempt)
        commands: list[Command] = [Release(key)]
        if live.stage is Stage.STARTING or live.stage is Stage.RUNNING:
            commands += self._failed(live, attempt, failure_of(ended), now)
        match live.stage:
            case Stage.FINISHED:
                commands += self._again(live, attempt, now)
            case Stage.ENDING:
                attempt.phase = ActionPhase.ABORTED
                commands += self._settle(live, Aborted(reason=live.abort_reason or "aborted"), now)
            case Stage.PAUSING:
                commands += self._paused(live, attempt, now)
            case Stage.ENDED:
                commands += self._check_end(now)
            case (
                Stage.STARTING
                | Stage.RUNNING
                | Stage.BACKING_OFF
                | Stage.SLEEPING
                | Stage.HELD
                | Stage.PAUSED
                | Stage.QUEUED
            ):
                msg = f"action {live.id} is {live.stage.name} without a process"
                raise AssertionError(msg)
            case _:
                assert_never(live.stage)
        return commands

    def backoff_elapsed(self, action: ActionId, now: datetime) -> list[Command]:
        """The time of the next attempt has come, or that of a timer."""
        live = self.actions.get(action)
        if live is not None and live.stage is Stage.SLEEPING:
            return self._settle(live, Succeeded(outputs=Inline(data=live.spec.result)), now)
        if live is None or live.stage is not Stage.BACKING_OFF:
            return []
        if live.not_before is not None and live.not_before > now:
            # Timers and the wall clock do not go alike.
            return [WakeAt(action, live.not_before)]
        return self._enqueue(live, now)

    def looked_up(
        self, action: ActionId, found: ActionRecord | None, now: datetime, *, spec: ActionSpec | None = None
    ) -> list[Command]:
        """What another run has recorded of the action, if its outcome is taken over; None if it is to be executed.

        *spec* is that of *found* where it is a step, of which the caller has not said it yet.
        """
        if action not in self._looked_up:
            return []
        self._looked_up.discard(action)
        asked = self._asked_steps.pop(action, None)
        if asked is not None:
            return self._step_looked_up(asked, found, spec, now)
        live = self.actions.get(action)
        if live is None:
            return []
        outcome = None if found is None else outcome_of(found)
        if found is None or outcome is None:
            if live.due_at is None:
                return [Enqueue(action)]
            return [*self._sleep(live, live.due_at, now), *self._put_away_if_possible(live.parent, now)]
        live.reused_from = found.reused_from or found.run
        return self._settle(live, outcome, now)

    # Events from workers

    def called(self, key: AttemptKey, call: SubmitCall, spec: ActionSpec, now: datetime) -> list[Command]:
        """User code called a task."""
        parent = self.keys.get(key)
        if parent is None or parent.attempt is None:
            return []
        attempt = parent.attempt
        if parent.stage is Stage.ENDING:
            # Its clean-up must not wait for what will never be executed.
            reason = f"task '{spec.task}' was not called: its caller is being ended, {parent.abort_reason}"
            return [Tell(key, CallRefused(call=call.call, error="RunAbortedError", message=reason))]
        if self._speaking(key) is None:
            return []
        # What it calls must not be in the journal before it is itself.
        self._begin(parent, attempt, now)
        commands = self.working(key)
        attempt.calls[call.call] = call.action
        live = self.actions.get(call.action)
        if live is not None:
            live.callers.append((key, call.call))
            live.parent_failures = parent.user_failures
            return commands
        if self._is_recorded(attempt, call.action):
            return commands + self._replay(key, attempt, call.action, call.call)
        live = LiveAction(
            action=call.action,
            parent=parent,
            spec_digest=call.spec,
            spec=spec,
            inputs=call.inputs,
            inputs_digest=call.inputs_digest,
            group=call.group,
            created_at=now,
        )
        if call.delay is not None:
            live.due_at = due_after(call.delay, now)
        live.parent_failures = parent.user_failures
        live.callers.append((key, call.call))
        earlier = attempt.earlier.pop(live.id, None)
        if earlier is not None:
            live.resume(earlier)
            if earlier.cause is AbortCause.CALLER:
                attempt.held[call.call] = live
                return commands
        return commands + self._add(live, now)

    def step_asked(self, key: AttemptKey, asked: AskStep, now: datetime) -> list[Command]:
        """An attempt asks before it executes a traced function, or for the time.

        Its action's first one asks only for the time, and for what may be taken over.
        """
        parent = self.keys.get(key)
        if parent is None or parent.attempt is None:
            return []
        if self._speaking(key) is None:
            return [_unrecorded(key, asked.call, parent)]
        self._begin(parent, parent.attempt, now)
        commands = self.working(key)
        if self._is_recorded(parent.attempt, asked.action):
            return commands + self._replay(key, parent.attempt, asked.action, asked.call)
        if self._looks_up and asked.action not in parent.attempt.earlier:
            self._looked_up.add(asked.action)
            self._asked_steps[asked.action] = asked
            return [*commands, LookUp(asked.action)]
        return [*commands, Tell(key, Acknowledged(call=asked.call, at=now))]

    def step_ended(self, key: AttemptKey, ended: StepEnded, spec: ActionSpec, now: datetime) -> list[Command]:
        """A traced function has ended in an attempt. It is an action that begins and ends at once."""
        parent = self.keys.get(key)
        if parent is None or parent.attempt is None:
            return []
        if self._speaking(key) is None or ended.action in self.actions:
            return [_unrecorded(key, ended.call, parent)]
        attempt = parent.attempt
        # What it called must not be in the journal before it is itself.
        self._begin(parent, attempt, now)
        commands = self.working(key)
        if self._is_recorded(attempt, ended.action):
            # It was sent before.
            return commands + self._replay(key, attempt, ended.action, ended.call)
        attempt.calls[ended.call] = ended.action
        live = step_of(parent, ended, spec, attempt.earlier.pop(ended.action, None), now)
        live.callers.append((key, ended.call))
        self.actions[live.id] = live
        parent.children[live.id] = live
        self._unwritten.change(ChangeKind.ACTION_CREATED, ActionPhase.RUNNING, now, live=live)
        outcome: Outcome = ended.outcome
        if isinstance(outcome, Failed):
            told = msgspec.structs.replace(
                outcome.failure, attempts=live.attempts, action=str(live.id), task=live.spec.task
            )
            outcome = msgspec.structs.replace(outcome, failure=told)
        return commands + self._settle(live, outcome, now)

    def checkpoint_saved(self, key: AttemptKey, saved: SaveCheckpoint, now: datetime) -> list[Command]:
        """User code saved what later attempts of its action are to have."""
        live = self.keys.get(key)
        if live is None or live.attempt is None:
            return []
        if self._speaking(key) is None and live.stage is not Stage.ENDING:
            return [_unrecorded(key, saved.call, live)]
        self._begin(live, live.attempt, now)
        commands = self.working(key)
        live.checkpoint = saved.checkpoint
        self._unwritten.action(live)
        return [*commands, Tell(key, Acknowledged(call=saved.call, at=now))]

    def rejoined(self, key: AttemptKey, told: int, asked: Collection[ActionId]) -> list[Command]:
        """An attempt that outlived its engine has taken in *told* answers and asks again for these actions."""
        live = self._speaking(key)
        if live is None or live.attempt is None:
            return []
        attempt = live.attempt
        attempt.told = told
        children, attempt.recorded = attempt.recorded, ()
        if attempt.number == 0:
            # A first attempt has called all that is recorded, and was told what it does not ask for again.
            children = tuple(child for child in children if child.action in asked)
        self.recorded_children(key, children)
        return self.working(key)

    def cancelled(self, key: AttemptKey, call: CallId, now: datetime) -> list[Command]:
        """User code no longer waits for a call."""
        parent = self._speaking(key)
        if parent is None or parent.attempt is None:
            return []
        attempt = parent.attempt
        commands = self.working(key)
        action = attempt.calls.get(call)
        if action is None:
            return commands
        if attempt.held.pop(call, None) is not None:
            return commands + self._recorded(key, attempt, [(action, call)])
        if attempt.replay is not None and (recorded := attempt.replay.forget(call)) is not None:
            return commands + self._recorded(key, attempt, [(recorded, call)])
        live = self.actions.get(action)
        if live is None:
            return commands
        live.abort_cause = AbortCause.CALLER
        live.cancelled_by = (key, call)
        return commands + self._abort(live, "cancelled by its caller", AbortCause.CALLER, now)

    def waiting(self, key: AttemptKey, told: int, now: datetime, *, for_engine: bool = False) -> list[Command]:
        """The attempt has nothing to do until something arrives; *for_engine*: and nothing of its own can."""
        live = self._speaking(key)
        if live is None or live.attempt is None:
            return []
        attempt = live.attempt
        if told != attempt.told or attempt.telling:
            # What is on its way will wake it.
            return []
        answers = self._answer_waiting(key, attempt, now)
        if attempt.telling:
            return answers
        attempt.waits = True
        attempt.for_engine = for_engine
        if may_be_put_away(live, self.actions, now=now, park_after=self._park_after):
            return self._put_away(live, attempt, key, now)
        # An inline sync function also waits for those that are executed on top of it, and for its turn.
        is_below = self.record.mode == "inline" and not live.spec.is_async
        return [Lend(key, for_calls=bool(attempt.calls) or is_below), *answers]

    def working(self, key: AttemptKey) -> list[Command]:
        """The attempt woke up."""
        live = self.keys.get(key)
        if live is None or live.attempt is None or not live.attempt.waits:
            return []
        live.attempt.waits = False
        return [TakeBack(key)]

    def asks(self, key: AttemptKey) -> bool:
        """Whether the attempt called something that it has no answer to."""
        live = self.keys.get(key)
        return live is not None and live.attempt is not None and bool(live.attempt.calls)

    def owes(self, key: AttemptKey) -> bool:
        """Whether the attempt asked for something that it is told only when it waits."""
        live = self._speaking(key)
        if live is None or live.attempt is None:
            return False
        attempt = live.attempt
        return bool(attempt.held) or (attempt.replay is not None and attempt.replay.is_asked)

    def lost_patience(self, key: AttemptKey, now: datetime) -> list[Command]:
        """The attempt has not called anything for a while, and does not say that it waits: perhaps it cannot."""
        live = self._speaking(key)
        if live is None or live.attempt is None or live.attempt.telling:
            return []
        return self._answer_waiting(key, live.attempt, now)

    def told(self, key: AttemptKey) -> list[Command]:
        """An answer is on its way to the attempt, which is about to wake up."""
        live = self.keys.get(key)
        if live is None or live.attempt is None:
            return []
        live.attempt.told += 1
        return self.working(key)

    def answer(self, key: AttemptKey, call: CallId, record: ActionRecord) -> ChildEnded | None:
        """The recorded outcome of a call of `TellRecorded`; None when the attempt that asked is not there any more."""
        live = self.keys.get(key)
        if live is None or live.attempt is None:
            return None
        live.attempt.telling -= 1
        outcome = outcome_of(record)
        if outcome is None or live.attempt.calls.pop(call, None) is None:
            return None
        return ChildEnded(
            call=call, action=record.action, seq=record.outcome_seq or 0, outcome=outcome, attempts=record.attempts
        )

    # What came of it

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended and nothing of it is alive."""
        return self._finished

    @property
    def has_changes(self) -> bool:
        """Whether `drain` has something to give."""
        return bool(self._unwritten)

    def drain(self) -> Drained:
        """Rows of everything that changed since the last time, and forget that they did."""
        return self._unwritten.drain()

    def is_working(self) -> bool:
        """Whether an attempt is at work, starts or ends; if none is, all of them wait for what they called."""
        if self._looked_up:
            return True
        for live in self.keys.values():
            attempt = live.attempt
            if attempt is None or not attempt.waits or not attempt.calls or live.stage is not Stage.RUNNING:
                return True
        return False

    def can_progress(self) -> bool:
        """Whether something that was admitted can go on without what is queued."""
        timed = (Stage.BACKING_OFF, Stage.SLEEPING)
        return self.is_working() or any(action.stage in timed for action in self.actions.values())

    # Rules

    def _step_looked_up(
        self, asked: AskStep, found: ActionRecord | None, spec: ActionSpec | None, now: datetime
    ) -> list[Command]:
        key = asked.attempt_key
        parent = self.keys.get(key)
        if parent is None or parent.attempt is None:
            return []
        if self._speaking(key) is None:
            return [_unrecorded(key, asked.call, parent)]
        outcome = None if found is None else outcome_of(found)
        if found is None or outcome is None or spec is None or asked.action in self.actions:
            return [Tell(key, Acknowledged(call=asked.call, at=now))]
        parent.attempt.calls[asked.call] = asked.action
        live = taken_step(parent, found, spec, now)
        live.callers.append((key, asked.call))
        self.actions[live.id] = live
        parent.children[live.id] = live
        self._unwritten.change(ChangeKind.ACTION_CREATED, ActionPhase.RUNNING, now, live=live)
        return self._settle(live, outcome, now)

    def _speaking(self, key: AttemptKey) -> LiveAction | None:
        """The action of an attempt that may still ask for something."""
        live = self.keys.get(key)
        return live if live is not None and live.stage in (Stage.RUNNING, Stage.STARTING) else None

    def _add(self, live: LiveAction, now: datetime) -> list[Command]:
        self.actions[live.id] = live
        if live.parent is not None:
            live.parent.children[live.id] = live
        phase = ActionPhase.QUEUED if live.due_at is None else ActionPhase.PAUSED
        self._unwritten.change(ChangeKind.ACTION_CREATED, phase, now, live=live)
        if live.id in self._remains:
            # It would ask for what is being ended, and its children's outcomes are not all known yet.
            live.stage = Stage.HELD
            live.phase = ActionPhase.QUEUED
            self._unwritten.action(live)
            return []
        if live.due_at is None or self._looks_up:
            return self._enqueue(live, now)
        return self._sleep(live, live.due_at, now)

    def _sleep(self, live: LiveAction, until: datetime, now: datetime) -> list[Command]:
        """A timer, which the engine keeps."""
        if live.started_at is None:
            live.started_at = now
        live.stage = Stage.SLEEPING
        live.phase = ActionPhase.PAUSED
        self._unwritten.action(live)
        return [WakeAt(live.id, until)]

    def _enqueue(self, live: LiveAction, now: datetime) -> list[Command]:
        live.queued_at = now
        if self._survivors and (survivor := self._survivors.claim(live.id, live.attempts)) is not None:
            return self._adopt(live, LiveAttempt(live.attempts, now), survivor)
        live.stage = Stage.QUEUED
        live.phase = ActionPhase.QUEUED
        self._unwritten.action(live)
        if self._looks_up and live.parent is not None and not live.attempts:
            self._looked_up.add(live.id)
            return [LookUp(live.id)]
        return [Enqueue(live.id)]

    def _begin(self, live: LiveAction, attempt: LiveAttempt, now: datetime) -> None:
        """The attempt runs, if it did not."""
        if attempt.started_at is None:
            attempt.started_at = now
        if live.stage is not Stage.STARTING:
            return
        live.stage = Stage.RUNNING
        live.phase = ActionPhase.RUNNING
        attempt.phase = ActionPhase.RUNNING
        live.started_at = now
        self._unwritten.action(live)
        if live is self.root and self.record.phase is not ActionPhase.RUNNING:
            self.record = msgspec.structs.replace(self.record, phase=ActionPhase.RUNNING)
            self._unwritten.run(self.record)
        self._unwritten.change(ChangeKind.ATTEMPT_STARTED, ActionPhase.RUNNING, now, live=live)

    def _failed(self, live: LiveAction, attempt: LiveAttempt, failure: Failure, now: datetime) -> list[Command]:
        """An attempt failed: again, or for good. Another attempt starts when the process of this one is gone."""
        attempt.failure = failure
        attempt.phase = ActionPhase.FAILED
        if failure.kind is FailureKind.LOST:
            live.lost += 1
        else:
            live.user_failures += 1
        user_failures, lost = live.spent
        decision = after_failure(live.spec.retries, failure, user_failures=user_failures, lost=lost, now=now)
        live.stage = Stage.FINISHED
        if isinstance(decision, RunAgain):
            live.not_before = decision.at
            # With its counts: another engine may have to go on from here.
            self._unwritten.action(live)
            self._unwritten.attempt(live, attempt)
            self._unwritten.change(
                ChangeKind.ATTEMPT_ENDED, ActionPhase.FAILED, now, live=live, message=_first_line(failure)
            )
            return []
        told = msgspec.structs.replace(failure, attempts=live.attempts, action=str(live.id), task=live.spec.task)
        return self._settle(live, Failed(failure=told), now)

    def _again(self, live: LiveAction, attempt: LiveAttempt, now: datetime) -> list[Command]:
        """Nothing is left of the attempt that failed; its children go on until the next one asks for them, or ends."""
        for child in live.children.values():
            child.callers.clear()
        attempt.held.clear()
        attempt.earlier.clear()
        attempt.replay = None
        return self._queue_again(live, now)

    def _queue_again(self, live: LiveAction, now: datetime) -> list[Command]:
        """Another attempt, when its time has come; a timer goes on."""
        if live.due_at is not None:
            return self._sleep(live, live.due_at, now)
        at = live.not_before
        if at is not None and at > now and not self._survivors.has(live.id, live.attempts):
            live.stage = Stage.BACKING_OFF
            live.phase = ActionPhase.QUEUED
            self._unwritten.action(live)
            return [WakeAt(live.id, at)]
        return self._enqueue(live, now)

    def _put_away(self, live: LiveAction, attempt: LiveAttempt, key: AttemptKey, now: datetime) -> list[Command]:
        """End the process of an attempt that only waits."""
        live.stage = Stage.PAUSING
        live.phase = ActionPhase.PAUSED
        attempt.phase = ActionPhase.PAUSED
        attempt.ended_at = now
        self._unwritten.action(live)
        self._unwritten.attempt(live, attempt)
        self._unwritten.change(ChangeKind.ATTEMPT_ENDED, ActionPhase.PAUSED, now, live=live)
        return [EndTree(key)]

    def _paused(self, live: LiveAction, attempt: LiveAttempt, now: datetime) -> list[Command]:
        """The process of an attempt that only waits is gone."""
        for child in live.children.values():
            child.callers.clear()
        attempt.replay = None
        if live.roused:
            live.roused = False
            return self._queue_again(live, now)
        live.stage = Stage.PAUSED
        return self._put_away_if_possible(live.parent, now)

    def _put_away_if_possible(self, live: LiveAction | None, now: datetime) -> list[Command]:
        """Something that it called will not end for long."""
        if live is None or live.attempt is None or live.attempt.key is None:
            return []
        if not may_be_put_away(live, self.actions, now=now, park_after=self._park_after):
            return []
        return self._put_away(live, live.attempt, live.attempt.key, now)

    def _rouse(self, live: LiveAction, now: datetime) -> list[Command]:
        """Something that it called has ended."""
        if live.stage is Stage.PAUSING:
            live.roused = True
        return self._queue_again(live, now) if live.stage is Stage.PAUSED else []

    def _go_on(self, live: LiveAction, now: datetime) -> list[Command]:
        """An action that had not ended when the last engine did."""
        if live.phase is ActionPhase.PAUSED and live.due_at is None and live.children:
            live.stage = Stage.PAUSED
            return []
        return self._queue_again(live, now)

    def _go_on_or_lose(self, live: LiveAction, attempt: LiveAttempt, now: datetime) -> list[Command]:
        survivor = self._survivors.claim(live.id, attempt.number)
        if survivor is not None:
            return self._adopt(live, attempt, survivor)
        if attempt.phase is ActionPhase.QUEUED:
            return []
        lose(attempt, now)
        live.attempt = attempt
        self._unwritten.attempt(live, attempt)
        message = "" if attempt.failure is None else _first_line(attempt.failure)
        self._unwritten.change(ChangeKind.ATTEMPT_ENDED, attempt.phase, now, live=live, message=message)
        live.attempt = None
        return []

    def _adopt(self, live: LiveAction, attempt: LiveAttempt, survivor: Survivor) -> list[Command]:
        """The attempt goes on where it was; that it has a process is said when it was adopted."""
        is_known = attempt.phase is ActionPhase.RUNNING
        attempt.key = survivor.key
        attempt.replay = Replay()
        attempt.recorded = survivor.children
        live.attempt = attempt
        live.attempts = attempt.number + 1
        live.stage = Stage.RUNNING if is_known else Stage.STARTING
        live.phase = attempt.phase = ActionPhase.RUNNING if is_known else ActionPhase.INITIALIZING
        self.keys[survivor.key] = live
        self._unwritten.action(live)
        return [Adopt(live.id, survivor.key)]

    def _settle(self, live: LiveAction, outcome: Outcome, now: datetime) -> list[Command]:
        """The action has its outcome; what still runs below it is aborted."""
        live.stage = Stage.ENDED
        live.ended_at = now
        match outcome:
            case Succeeded(outputs=outputs):
                live.phase = ActionPhase.SUCCEEDED
                live.outputs = outputs
                live.checkpoint = None
            case Failed(failure=failure, outputs=outputs):
                live.phase = ActionPhase.FAILED
                live.failure = failure
                live.outputs = outputs
            case Aborted(reason=reason):
                live.phase = ActionPhase.ABORTED
                live.failure = Failure(
                    kind=FailureKind.ABORTED,
                    code=live.abort_cause,
                    message=reason,
                    attempts=live.attempts,
                    action=str(live.id),
                    task=live.spec.task,
                )
            case _:
                assert_never(outcome)
        message = "" if live.failure is None else _first_line(live.failure)
        if live.reused_from is not None:
            message = f"reused from run {live.reused_from}"
        live.outcome_seq = self._unwritten.change(ChangeKind.ACTION_ENDED, live.phase, now, live=live, message=message)
        self._unwritten.action(live)
        if live.attempt is not None:
            # Its process may be gone only when this engine is too.
            self._unwritten.attempt(live, live.attempt)
        del self.actions[live.id]
        commands = self._detach(live, now)
        commands += self._answer_callers(live, outcome, now)
        for child in list(live.children.values()):
            if child.abort_reason is None:
                commands += self._abort(child, "its parent has ended", AbortCause.PARENT, now)
        if live.children:
            self._remains[live.id] = live
        if live is self.root:
            self.outcome = outcome
        return commands + self._check_end(now)

    def _detach(self, live: LiveAction, now: datetime) -> list[Command]:
        """An action that has ended is below its parent no more; if it was the last, that may be executed again."""
        parent = live.parent
        if parent is None:
            return []
        del parent.children[live.id]
        if parent.children or self._remains.get(parent.id) is not parent:
            return []
        del self._remains[parent.id]
        again = self.actions.get(parent.id)
        return self._enqueue(again, now) if again is not None and again.stage is Stage.HELD else []

    def _answer_callers(self, live: LiveAction, outcome: Outcome, now: datetime) -> list[Command]:
        """Tell who waits for an action that has ended. If nobody does, its parent may still ask for it."""
        commands: list[Command] = []
        for key, call in live.callers:
            caller = self.keys.get(key)
            if caller is None or caller.attempt is None or call not in caller.attempt.calls:
                continue
            if caller.stage is Stage.PAUSING:
                # Its next attempt is told.
                continue
            if isinstance(outcome, Aborted) and live.cancelled_by not in (None, (key, call)):
                commands += self._hold(live, caller.attempt, key, call, now)
                continue
            replay = caller.attempt.replay
            if replay is not None and live.cancelled_by is None and self._races(live, caller.attempt, replay):
                commands += self._tell_in_order(live.id, caller.attempt, key, call, now)
                continue
            del caller.attempt.calls[call]
            message = ChildEnded(
                call=call, action=live.id, seq=live.outcome_seq or 0, outcome=outcome, attempts=live.attempts
            )
            commands.append(Tell(key, message))
        parent = live.parent
        if not live.callers and parent is not None and parent.attempt is not None:
            self._remember(parent, parent.attempt, Earlier.of(live.record(self.run)))
        live.callers.clear()
        return commands if parent is None else commands + self._rouse(parent, now)

    def _remember(self, parent: LiveAction, attempt: LiveAttempt, child: Earlier) -> None:
        if attempt.replay is None:
            return
        if child.is_replayed_to(parent.user_failures):
            attempt.replay.add(child.action)
        else:
            attempt.earlier[child.action] = child

    def _hold(
        self, ended: LiveAction, attempt: LiveAttempt, key: AttemptKey, call: CallId, now: datetime
    ) -> list[Command]:
        """An attempt asked for an action that its predecessor had cancelled and that was still ending."""
        live = LiveAction(
            action=ended.id,
            parent=ended.parent,
            spec_digest=ended.spec_digest,
            spec=ended.spec,
            inputs=ended.inputs,
            inputs_digest=ended.inputs_digest,
            group=ended.group,
            created_at=ended.created_at,
        )
        live.due_at = ended.due_at
        live.resume(Earlier.of(ended.record(self.run)))
        live.parent_failures = ended.parent_failures
        live.callers.append((key, call))
        attempt.held[call] = live
        return self._answer_waiting(key, attempt, now) if attempt.waits else []

    @staticmethod
    def _races(live: LiveAction, attempt: LiveAttempt, replay: Replay) -> bool:
        """Whether its outcome must not overtake some of before: the attempt may not even have asked for them yet."""
        return live.spec.kind is not ActionKind.STEP and (attempt.telling > 0 or not replay.is_done)

    def _tell_in_order(
        self, action: ActionId, attempt: LiveAttempt, key: AttemptKey, call: CallId, now: datetime
    ) -> list[Command]:
        """An action has ended while its caller is told what ended before: in a race, that has won."""
        replay = attempt.replay
        assert replay is not None
        replay.add(action)
        replay.ask(action, call)
        if attempt.waits:
            return self._answer_waiting(key, attempt, now)
        return [*self._recorded(key, attempt, replay.ready()), TellSoon(key)]

    def _answer_waiting(self, key: AttemptKey, attempt: LiveAttempt, now: datetime) -> list[Command]:
        """What an attempt is told because it waits: recorded outcomes, and then what it once cancelled."""
        if attempt.replay is not None and (pairs := attempt.replay.waiting()):
            return self._recorded(key, attempt, pairs)
        commands: list[Command] = []
        if attempt.held and len(attempt.held) == len(attempt.calls):
            # Nothing else can wake it, so what it once cancelled is executed after all.
            held, attempt.held = attempt.held, {}
            for child in held.values():
                commands += self._add(child, now)
        return commands

    @staticmethod
    def _is_recorded(attempt: LiveAttempt, action: ActionId) -> bool:
        return attempt.replay is not None and attempt.replay.knows(action)

    def _replay(self, key: AttemptKey, attempt: LiveAttempt, action: ActionId, call: CallId) -> list[Command]:
        """An attempt asks for a recorded outcome."""
        if attempt.replay is None:
            return []
        attempt.calls[call] = action
        attempt.replay.ask(action, call)
        return self._recorded(key, attempt, attempt.replay.ready())

    def _recorded(self, key: AttemptKey, attempt: LiveAttempt, pairs: list[tuple[ActionId, CallId]]) -> list[Command]:
        attempt.telling += len(pairs)
        return [TellRecorded(key, tuple(pairs))] if pairs else []

    def _abort(self, top: LiveAction, reason: str, cause: AbortCause, now: datetime) -> list[Command]:
        """End an action and all below it. Those with a process end when it is gone."""
        tree = [top]
        for live in tree:
            # Below one that is being aborted already, everything is.
            tree.extend(child for child in live.children.values() if child.abort_reason is None)
        for live in tree:
            if live.abort_reason is None:
                live.abort_reason = reason if live is top else "its parent was aborted"
                live.abort_cause = cause if live is top else AbortCause.PARENT
        commands: list[Command] = []
        for live in tree:
            match live.stage:
                case Stage.QUEUED | Stage.BACKING_OFF | Stage.SLEEPING | Stage.HELD | Stage.PAUSED:
                    commands.append(Withdraw(live.id))
                    commands += self._settle(live, Aborted(reason=live.abort_reason or reason), now)
                case Stage.STARTING | Stage.RUNNING | Stage.FINISHED | Stage.PAUSING:
                    at_once = live.stage is Stage.FINISHED
                    live.stage = Stage.ENDING
                    if live.attempt is not None and live.attempt.key is not None:
                        commands.append(EndTree(live.attempt.key, at_once))
                case Stage.ENDING | Stage.ENDED:
                    pass
                case _:
                    assert_never(live.stage)
        return commands

    def _check_end(self, now: datetime) -> list[Command]:
        if self.outcome is None or self.actions or self.keys or self._finished:
            return []
        if self._survivors:
            return [EndTree(key, at_once=True) for key in self._survivors.dismiss()]
        self._finished = True
        failure: Failure | None = None
        match self.outcome:
            case Succeeded():
                phase = ActionPhase.SUCCEEDED
            case Failed(failure=failure):
                phase = ActionPhase.FAILED
            case Aborted():
                phase = ActionPhase.ABORTED
                failure = None if self.root is None else self.root.failure
            case _:
                assert_never(self.outcome)
        self.record = msgspec.structs.replace(self.record, phase=phase, ended_at=now, failure=failure)
        self._unwritten.run(self.record)
        self._unwritten.change(ChangeKind.RUN_ENDED, phase, now)
        return [RunFinished(self.outcome)]


def _unrecorded(key: AttemptKey, call: CallId, parent: LiveAction) -> Tell:
    reason = parent.abort_reason or "it has ended"
    message = f"nothing was recorded: the action is being ended, {reason}"
    return Tell(key, CallRefused(call=call, error="RunAbortedError", message=message))


def _first_line(failure: Failure) -> str:
    lines = failure.message.splitlines()
    return f"{failure.code}: {lines[0]}" if lines else failure.code
