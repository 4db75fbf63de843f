"""What user code asks for: calls of tasks, steps, timers, checkpoints, and that it waits."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from volant.decide.commands import Command, Enqueue, Lend, LookUp, Tell
from volant.decide.live import AbortCause, LiveAction, Stage, outcome_of
from volant.decide.pausing import may_be_put_away
from volant.decide.settling import Settling
from volant.decide.stepping import due_after, step_of, taken_step
from volant.model.ids import ActionId, AttemptKey, CallId
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, ChangeKind
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import (
    Acknowledged,
    AskStep,
    CallRefused,
    Failed,
    Outcome,
    SaveCheckpoint,
    StepEnded,
    SubmitCall,
)


class Calling(Settling):
    """Events from workers."""

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
        live = LiveAction.below(parent, call, spec, now)
        if call.delay is not None:
            live.due_at = due_after(call.delay, now)
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


def _unrecorded(key: AttemptKey, call: CallId, parent: LiveAction) -> Tell:
    reason = parent.abort_reason or "it has ended"
    message = f"nothing was recorded: the action is being ended, {reason}"
    return Tell(key, CallRefused(call=call, error="RunAbortedError", message=message))
