"""The rules of one run: events in, commands and rows out. No clock, no I/O.

Every public method is an event. It changes the live part of the run and returns what the engine has to
do. What has to be written collects in `drain`, whole rows of everything that changed; the engine commits
it and only then performs the `Tell` and `RunFinished` that were returned before.
"""

from datetime import datetime
from typing import assert_never

from volant.decide.calling import Calling
from volant.decide.commands import Accept, Command, EndTree, Release, WakeAt
from volant.decide.exits import failure_of
from volant.decide.live import AbortCause, LiveAction, LiveAttempt, Stage, outcome_of
from volant.decide.replay import Replay
from volant.decide.restoring import Past, lose, revive
from volant.decide.run_state import first_line
from volant.decide.surviving import Survivors
from volant.model.exits import Exit
from volant.model.failures import Failure
from volant.model.ids import ActionId, AttemptKey, SpecDigest
from volant.model.payloads import Inline, Payload
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import Aborted, Failed, Outcome, Succeeded


class RunMachine(Calling):
    """One live run."""

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
            # It came too late to count, but whoever said it waits for an answer. One that is said again has it coming.
            is_late = key in self.keys and self.keys[key].stage in (Stage.ENDING, Stage.PAUSING)
            return [Accept(key)] if is_late else []
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

    # Rules

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
        message = "" if attempt.failure is None else first_line(attempt.failure)
        self._unwritten.change(ChangeKind.ATTEMPT_ENDED, attempt.phase, now, live=live, message=message)
        live.attempt = None
        return []
