"""How actions end, and what that means for those above and below them."""

from datetime import datetime
from typing import assert_never

import msgspec

from volant.decide.answering import Answering
from volant.decide.commands import Command, EndTree, RunFinished, Tell, Withdraw
from volant.decide.live import AbortCause, Earlier, LiveAction, LiveAttempt, Stage
from volant.decide.pausing import may_be_put_away
from volant.decide.retrying import RunAgain, after_failure
from volant.decide.run_state import first_line
from volant.model.failures import Failure, FailureKind
from volant.model.ids import AttemptKey
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind
from volant.model.worker_protocol import Aborted, ChildEnded, Failed, Outcome, Succeeded


class Settling(Answering):
    """Ends actions and attempts, and at last the run."""

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
        message = "" if live.failure is None else first_line(live.failure)
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
                ChangeKind.ATTEMPT_ENDED, ActionPhase.FAILED, now, live=live, message=first_line(failure)
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
