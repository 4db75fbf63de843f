"""How actions come to their next attempt: a place, a time, or an attempt that outlived its engine."""

from datetime import datetime

from volant.decide.commands import Adopt, Command, Enqueue, LookUp, WakeAt
from volant.decide.live import LiveAction, LiveAttempt, Stage
from volant.decide.replay import Replay
from volant.decide.run_state import RunState
from volant.decide.surviving import Survivor
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind


class Queueing(RunState):
    """Adds actions to a run, and queues them."""

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
