"""The rules of one run: events in, commands and rows out. No clock, no I/O.

Every public method is an event. It changes the live part of the run and returns what the engine has to
do. What has to be written collects in `drain`, whole rows of everything that changed; the engine commits
it and only then performs the `Tell` and `RunFinished` that were returned before.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

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
from volant.decide.exits import failure_of
from volant.decide.live import Earlier, LiveAction, LiveAttempt, Stage, outcome_of
from volant.decide.replay import Replay
from volant.decide.retrying import RunAgain, after_failure
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Payload
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, ChangeKind, RunRecord
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import Aborted, ChildEnded, Failed, Outcome, SubmitCall, Succeeded


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that changed since the last time."""

    run: RunRecord | None
    actions: tuple[ActionRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    changes: tuple[Change, ...]


class RunMachine:
    """One live run."""

    def __init__(self, record: RunRecord, *, host: str) -> None:
        self.record = record
        self.run: RunId = record.run
        self.actions: dict[ActionId, LiveAction] = {}
        self.keys: dict[AttemptKey, LiveAction] = {}
        self.root: LiveAction | None = None
        self.outcome: Outcome | None = None
        self._host = host
        self._seq = 0
        self._run_changed = False
        self._changed_actions: dict[ActionId, LiveAction] = {}
        self._changed_attempts: dict[tuple[ActionId, int], LiveAttempt] = {}
        self._changes: list[Change] = []
        self._warned: set[str] = set()
        self._finished = False

    # Events from the client

    def create(
        self, *, spec: ActionSpec, spec_digest: SpecDigest, inputs: Payload, inputs_digest: str | None, now: datetime
    ) -> list[Command]:
        """The run was submitted."""
        self._run_changed = True
        self._change(ChangeKind.RUN_CREATED, self.record.phase, now, name=spec.short_name)
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

    def abort(self, action: ActionId | None, reason: str, now: datetime) -> list[Command]:
        """Somebody asked for the end of the run, or of one action and all below it."""
        live = self.root if action is None else self.actions.get(action)
        return [] if live is None else self._abort(live, reason, now)

    def warn(self, message: str, now: datetime, *, action: ActionId | None = None) -> None:
        """Say something to whoever watches, once per run."""
        if message not in self._warned:
            self._warned.add(message)
            self._change(ChangeKind.WARNING, self.record.phase, now, action=action, message=message)

    # Events from placement and launchers

    def admitted(self, action: ActionId, key: AttemptKey, now: datetime) -> LiveAction:
        """The action has a place; the engine starts its next attempt under *key*."""
        live = self.actions[action]
        attempt = LiveAttempt(live.attempts, live.queued_at)
        attempt.key = key
        attempt.phase = ActionPhase.INITIALIZING
        live.attempts += 1
        live.attempt = attempt
        live.stage = Stage.STARTING
        live.phase = ActionPhase.INITIALIZING
        self.keys[key] = live
        return live

    def recorded_children(self, key: AttemptKey, children: Iterable[Earlier]) -> None:
        """The attempt is not the first of its action: its children of before, as the journal has them."""
        live = self.keys.get(key)
        if live is None or live.attempt is None:
            return
        replayed: list[Earlier] = []
        for child in children:
            if child.action in self.actions:
                continue
            if child.phase is ActionPhase.SUCCEEDED or (
                child.phase is not ActionPhase.ABORTED and child.parent_failures == live.user_failures
            ):
                replayed.append(child)
            else:
                live.attempt.earlier[child.action] = child
        replayed.sort(key=lambda child: child.seq)
        live.attempt.replay = Replay(child.action for child in replayed)

    def started(self, key: AttemptKey, pid: int | None, log: str | None, now: datetime) -> list[Command]:
        """The attempt has a process."""
        live = self.keys.get(key)
        if live is None or live.attempt is None:
            return []
        attempt = live.attempt
        attempt.pid = pid
        attempt.log = log
        attempt.started_at = now
        self._changed_attempts[live.id, attempt.number] = attempt
        if live.stage is not Stage.STARTING:
            return []
        live.stage = Stage.RUNNING
        live.phase = ActionPhase.RUNNING
        attempt.phase = ActionPhase.RUNNING
        live.started_at = now
        self._changed_actions[live.id] = live
        if live is self.root and self.record.phase is not ActionPhase.RUNNING:
            self.record = msgspec.structs.replace(self.record, phase=ActionPhase.RUNNING)
            self._run_changed = True
        self._change(ChangeKind.ATTEMPT_STARTED, ActionPhase.RUNNING, now, live=live)
        return []

    def finished(self, key: AttemptKey, outcome: Outcome, now: datetime) -> list[Command]:
        """The worker has said its last word."""
        live = self.keys.get(key)
        if live is None or live.attempt is None or live.stage not in (Stage.RUNNING, Stage.STARTING):
            return []
        live.stage = Stage.FINISHED
        live.attempt.ended_at = now
        commands: list[Command] = [Release(key)]
        match outcome:
            case Succeeded():
                live.attempt.phase = ActionPhase.SUCCEEDED
                return commands + self._settle(live, outcome, now)
            case Failed(failure=failure):
                return commands + self._failed(live, live.attempt, failure, now)
            case Aborted():
                live.attempt.phase = ActionPhase.ABORTED
                return commands + self._settle(live, outcome, now)
            case _:
                assert_never(outcome)

    def gone(self, key: AttemptKey, ended: Exit, now: datetime) -> list[Command]:
        """The attempt's process, and all it had started, is gone."""
        live = self.keys.pop(key, None)
        if live is None:
            return []
        attempt = live.attempt
        if attempt is None or attempt.key != key:
            return self._check_end(now)
        attempt.cpu_seconds = ended.cpu_seconds
        attempt.peak_memory = ended.peak_memory
        if attempt.ended_at is None:
            attempt.ended_at = now
            attempt.exit_status = ended.text
        self._changed_attempts[live.id, attempt.number] = attempt
        commands: list[Command] = [Release(key)]
        match live.stage:
            case Stage.ENDED:
                return commands + self._check_end(now)
            case Stage.ENDING:
                attempt.phase = ActionPhase.ABORTED
                return commands + self._settle(live, Aborted(reason=live.abort_reason or "aborted"), now)
            case Stage.RUNNING | Stage.STARTING:
                commands += self._failed(live, attempt, failure_of(ended), now)
            case Stage.FINISHED:
                pass
            case Stage.BACKING_OFF | Stage.QUEUED | Stage.HELD:
                return commands
            case _:
                assert_never(live.stage)
        if live.stage is Stage.FINISHED:
            return commands + self._again(live, now)
        return commands + self._check_end(now)

    def backoff_elapsed(self, action: ActionId, now: datetime) -> list[Command]:
        """The time of the next attempt has come."""
        live = self.actions.get(action)
        if live is None or live.stage is not Stage.BACKING_OFF or (live.not_before or now) > now:
            return []
        return self._enqueue(live, now)

    # Events from workers

    def called(self, key: AttemptKey, call: SubmitCall, spec: ActionSpec, now: datetime) -> list[Command]:
        """User code called a task."""
        parent = self._speaking(key)
        if parent is None or parent.attempt is None:
            return []
        attempt = parent.attempt
        attempt.calls[call.call] = call.action
        attempt.waits = False
        live = self.actions.get(call.action)
        if live is not None:
            live.callers.append((key, call.call))
            live.parent_failures = parent.user_failures
            return []
        if attempt.replay is not None and attempt.replay.knows(call.action):
            attempt.replay.ask(call.action, call.call)
            return self._recorded(key, attempt.replay.ready())
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
        live.parent_failures = parent.user_failures
        live.callers.append((key, call.call))
        parent.children[live.id] = live
        earlier = attempt.earlier.pop(live.id, None)
        if earlier is None:
            return self._add(live, now)
        live.created_at = earlier.created_at
        live.attempts = earlier.attempts
        if earlier.phase is ActionPhase.ABORTED:
            self.actions[live.id] = live
            attempt.held[call.call] = live
            live.stage = Stage.HELD
            return []
        return self._add(live, now)

    def cancelled(self, key: AttemptKey, call: CallId, now: datetime) -> list[Command]:
        """User code no longer waits for a call."""
        parent = self._speaking(key)
        if parent is None or parent.attempt is None:
            return []
        attempt = parent.attempt
        action = attempt.calls.get(call)
        if action is None:
            return []
        if attempt.replay is not None and (recorded := attempt.replay.forget(call)) is not None:
            return self._recorded(key, [(recorded, call)])
        attempt.held.pop(call, None)
        live = self.actions.get(action)
        return [] if live is None else self._abort(live, "cancelled by its caller", now)

    def waiting(self, key: AttemptKey, told: int, now: datetime) -> list[Command]:
        """The attempt has nothing to do until something arrives."""
        live = self._speaking(key)
        if live is None or live.attempt is None:
            return []
        attempt = live.attempt
        if told != attempt.told:
            return []
        attempt.waits = True
        if attempt.replay is not None and (pairs := attempt.replay.waiting()):
            return self._recorded(key, pairs)
        commands: list[Command] = [Lend(key)]
        if attempt.held and len(attempt.held) == len(attempt.calls):
            # Nothing else can wake it, so what it once cancelled is executed after all.
            held, attempt.held = attempt.held, {}
            for child in held.values():
                commands += self._add(child, now)
        return commands

    def working(self, key: AttemptKey) -> list[Command]:
        """The attempt woke up."""
        live = self._speaking(key)
        if live is None or live.attempt is None or not live.attempt.waits:
            return []
        live.attempt.waits = False
        return [TakeBack(key)]

    def told(self, key: AttemptKey) -> list[Command]:
        """An answer is on its way to the attempt, which is about to wake up."""
        live = self.keys.get(key)
        if live is None or live.attempt is None:
            return []
        live.attempt.told += 1
        return self.working(key)

    def answer(self, key: AttemptKey, call: CallId, record: ActionRecord) -> ChildEnded | None:
        """The recorded outcome of a call, for the attempt that asked; None when it is not there any more."""
        live = self.keys.get(key)
        outcome = outcome_of(record)
        if live is None or live.attempt is None or outcome is None:
            return None
        if live.attempt.calls.pop(call, None) is None:
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
        return bool(self._changes or self._changed_actions or self._changed_attempts or self._run_changed)

    def can_progress(self) -> bool:
        """Whether something that was admitted can go on without what is queued."""
        for live in self.keys.values():
            attempt = live.attempt
            if attempt is None or not attempt.waits or live.stage is not Stage.RUNNING:
                return True
            if not attempt.calls:
                return True
        return any(action.stage is Stage.BACKING_OFF for action in self.actions.values())

    def drain(self) -> Drained:
        """Rows of everything that changed since the last time, and forget that they did."""
        launcher = self.record.mode
        drained = Drained(
            run=self.record if self._run_changed else None,
            actions=tuple([live.record(self.run) for live in self._changed_actions.values()]),
            attempts=tuple(
                [
                    attempt.record(self.run, action, launcher, self._host)
                    for (action, _), attempt in self._changed_attempts.items()
                ]
            ),
            changes=tuple(self._changes),
        )
        self._run_changed = False
        self._changed_actions.clear()
        self._changed_attempts.clear()
        self._changes.clear()
        return drained

    # Rules

    def _speaking(self, key: AttemptKey) -> LiveAction | None:
        """The action of an attempt that may still ask for something."""
        live = self.keys.get(key)
        if live is None or live.attempt is None or live.attempt.key != key:
            return None
        return live if live.stage in (Stage.RUNNING, Stage.STARTING) else None

    def _add(self, live: LiveAction, now: datetime) -> list[Command]:
        self.actions[live.id] = live
        self._change(ChangeKind.ACTION_CREATED, ActionPhase.QUEUED, now, live=live)
        return self._enqueue(live, now)

    def _enqueue(self, live: LiveAction, now: datetime) -> list[Command]:
        live.queued_at = now
        live.stage = Stage.QUEUED
        live.phase = ActionPhase.QUEUED
        self._changed_actions[live.id] = live
        return [Enqueue(live.id)]

    def _failed(self, live: LiveAction, attempt: LiveAttempt, failure: Failure, now: datetime) -> list[Command]:
        """An attempt failed: again, or for good. Another attempt starts when the process of this one is gone."""
        attempt.failure = failure
        attempt.phase = ActionPhase.FAILED
        if failure.kind is FailureKind.LOST:
            live.lost += 1
        else:
            live.user_failures += 1
        decision = after_failure(live.spec.retries, failure, user_failures=live.user_failures, lost=live.lost, now=now)
        live.stage = Stage.FINISHED
        if isinstance(decision, RunAgain):
            live.not_before = decision.at
            self._changed_attempts[live.id, attempt.number] = attempt
            self._change(ChangeKind.ATTEMPT_ENDED, ActionPhase.FAILED, now, live=live, message=_first_line(failure))
            return []
        told = msgspec.structs.replace(failure, attempts=live.attempts, action=str(live.id), task=live.spec.task)
        return self._settle(live, Failed(failure=told), now)

    def _again(self, live: LiveAction, now: datetime) -> list[Command]:
        for caller in live.children.values():
            caller.callers.clear()
        at = live.not_before
        if at is not None and at > now:
            live.stage = Stage.BACKING_OFF
            live.phase = ActionPhase.QUEUED
            self._changed_actions[live.id] = live
            return [WakeAt(live.id, at)]
        return self._enqueue(live, now)

    def _settle(self, live: LiveAction, outcome: Outcome, now: datetime) -> list[Command]:
        """The action has its outcome; what still runs below it is aborted."""
        live.stage = Stage.ENDED
        live.ended_at = now
        match outcome:
            case Succeeded(outputs=outputs):
                live.phase = ActionPhase.SUCCEEDED
                live.outputs = outputs
            case Failed(failure=failure):
                live.phase = ActionPhase.FAILED
                live.failure = failure
            case Aborted(reason=reason):
                live.phase = ActionPhase.ABORTED
                live.failure = Failure(
                    kind=FailureKind.ABORTED,
                    code="Aborted",
                    message=reason,
                    attempts=live.attempts,
                    action=str(live.id),
                    task=live.spec.task,
                )
            case _:
                assert_never(outcome)
        message = "" if live.failure is None else _first_line(live.failure)
        seq = self._change(ChangeKind.ACTION_ENDED, live.phase, now, live=live, message=message)
        live.outcome_seq = seq
        self._changed_actions[live.id] = live
        del self.actions[live.id]
        commands = self._tell(live, outcome, seq)
        if live.parent is not None:
            live.parent.children.pop(live.id, None)
        for child in list(live.children.values()):
            commands += self._abort(child, "its parent has ended", now)
        if live is self.root:
            self.outcome = outcome
        return commands + self._check_end(now)

    def _tell(self, live: LiveAction, outcome: Outcome, seq: int) -> list[Command]:
        commands: list[Command] = []
        for key, call in live.callers:
            caller = self.keys.get(key)
            if caller is None or caller.attempt is None or caller.attempt.calls.pop(call, None) is None:
                continue
            message = ChildEnded(call=call, action=live.id, seq=seq, outcome=outcome, attempts=live.attempts)
            commands.append(Tell(key, message))
        live.callers.clear()
        return commands

    def _recorded(self, key: AttemptKey, pairs: list[tuple[ActionId, CallId]]) -> list[Command]:
        return [TellRecorded(key, tuple(pairs))] if pairs else []

    def _abort(self, top: LiveAction, reason: str, now: datetime) -> list[Command]:
        """End an action and all below it. Those with a process end when it is gone."""
        tree = [top]
        for live in tree:
            tree.extend(live.children.values())
        commands: list[Command] = []
        for live in tree:
            if live.abort_reason is None:
                live.abort_reason = reason if live is top else "its parent was aborted"
            match live.stage:
                case Stage.QUEUED:
                    commands.append(Withdraw(live.id))
                    commands += self._settle(live, Aborted(reason=live.abort_reason), now)
                case Stage.BACKING_OFF | Stage.HELD:
                    commands += self._settle(live, Aborted(reason=live.abort_reason), now)
                case Stage.STARTING | Stage.RUNNING | Stage.FINISHED:
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
        self._run_changed = True
        self._change(ChangeKind.RUN_ENDED, phase, now)
        return [RunFinished(self.outcome)]

    def _change(
        self,
        kind: ChangeKind,
        phase: ActionPhase,
        now: datetime,
        *,
        live: LiveAction | None = None,
        action: ActionId | None = None,
        name: str = "",
        message: str = "",
    ) -> int:
        self._seq += 1
        if live is None:
            change = Change(
                run=self.run, seq=self._seq, kind=kind, at=now, phase=phase, action=action, name=name, message=message
            )
        else:
            change = Change(
                run=self.run,
                seq=self._seq,
                kind=kind,
                at=now,
                phase=phase,
                action=live.id,
                parent=None if live.parent is None else live.parent.id,
                name=live.spec.short_name,
                attempt=None if live.attempt is None else live.attempt.number,
                message=message,
            )
        self._changes.append(change)
        return self._seq


def _first_line(failure: Failure) -> str:
    lines = failure.message.splitlines()
    return f"{failure.code}: {lines[0]}" if lines else failure.code
