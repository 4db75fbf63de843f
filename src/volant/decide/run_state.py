"""What one live run consists of, and what has to be written of it."""

from datetime import datetime, timedelta

import msgspec

from volant.decide.commands import Command, TakeBack
from volant.decide.live import LiveAction, LiveAttempt, Stage
from volant.decide.pausing import PARK_AFTER
from volant.decide.surviving import Survivors
from volant.decide.unwritten import Drained, Unwritten
from volant.model.failures import Failure
from volant.model.ids import ActionId, AttemptKey, RunId
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind, RunRecord
from volant.model.worker_protocol import AskStep, Outcome


class RunState:
    """One live run: its actions, the attempts of those, and rows that nobody has written yet."""

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

    def warn(self, message: str, now: datetime) -> None:
        """Say something to whoever watches, once per run."""
        if message not in self._warned and not self._finished:
            self._warned.add(message)
            self._unwritten.change(ChangeKind.WARNING, self.record.phase, now, message=message)

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended and nothing of it is alive."""
        return self._finished

    @property
    def is_ending(self) -> bool:
        """Whether the root has its outcome, or will have one because somebody asked for its end."""
        return self.outcome is not None or (self.root is not None and self.root.abort_reason is not None)

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
        """Whether something that was admitted can go on without what is queued, and without waiting for a time.

        What backs off or sleeps may do so for days, and nobody is to wait for that who needs only a place.
        """
        return self.is_working()

    def working(self, key: AttemptKey) -> list[Command]:
        """The attempt woke up."""
        live = self.keys.get(key)
        if live is None or live.attempt is None or not live.attempt.waits:
            return []
        live.attempt.waits = False
        return [TakeBack(key)]

    def _speaking(self, key: AttemptKey) -> LiveAction | None:
        """The action of an attempt that may still ask for something."""
        live = self.keys.get(key)
        return live if live is not None and live.stage in (Stage.RUNNING, Stage.STARTING) else None

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


def first_line(failure: Failure) -> str:
    lines = failure.message.splitlines()
    return f"{failure.code}: {lines[0]}" if lines else failure.code
