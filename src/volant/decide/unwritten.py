"""What a run has to write: whole rows of everything that changed, and the entries of its change feed."""

from datetime import datetime

import msgspec

from volant.decide.live import LiveAction, LiveAttempt
from volant.model.ids import ActionId, RunId
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, ChangeKind, RunRecord


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that changed since the last time."""

    run: RunRecord | None
    actions: tuple[ActionRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    changes: tuple[Change, ...]


class Unwritten:
    """Collects until `drain`. Rows are made then, so that one that changes often is written once."""

    def __init__(self, run: RunId, *, launcher: str, host: str) -> None:
        self._run = run
        self._launcher = launcher
        self._host = host
        self._seq = 0
        self._record: RunRecord | None = None
        self._actions: dict[ActionId, LiveAction] = {}
        self._attempts: dict[tuple[ActionId, int], LiveAttempt] = {}
        self._changes: list[Change] = []

    def continue_after(self, seq: int) -> None:
        """The feed has entries already; this is the place of the last."""
        self._seq = seq

    def __bool__(self) -> bool:
        return bool(self._changes or self._actions or self._attempts or self._record)

    def run(self, record: RunRecord) -> None:
        """The run's row changed to this."""
        self._record = record

    def action(self, live: LiveAction) -> None:
        """The row of an action changed."""
        self._actions[live.id] = live

    def attempt(self, live: LiveAction, attempt: LiveAttempt) -> None:
        """The row of an attempt changed."""
        self._attempts[live.id, attempt.number] = attempt

    def change(
        self,
        kind: ChangeKind,
        phase: ActionPhase,
        now: datetime,
        *,
        live: LiveAction | None = None,
        name: str = "",
        message: str = "",
    ) -> int:
        """An entry of the feed, about *live* or about the run; its place in the feed."""
        self._seq += 1
        if live is None:
            change = Change(run=self._run, seq=self._seq, kind=kind, at=now, phase=phase, name=name, message=message)
        else:
            change = Change(
                run=self._run,
                seq=self._seq,
                kind=kind,
                at=now,
                phase=phase,
                action=live.id,
                parent=None if live.parent is None else live.parent.id,
                name=live.spec.short_name,
                attempt=None if live.attempt is None else live.attempt.number,
                message=message,
                group=live.group if kind is ChangeKind.ACTION_CREATED else None,
            )
        self._changes.append(change)
        return self._seq

    def drain(self) -> Drained:
        """All that was collected, and forget it."""
        drained = Drained(
            run=self._record,
            actions=tuple([live.record(self._run) for live in self._actions.values()]),
            attempts=tuple(
                [
                    attempt.record(self._run, action, self._launcher, self._host)
                    for (action, _), attempt in self._attempts.items()
                ]
            ),
            changes=tuple(self._changes),
        )
        self._record = None
        self._actions.clear()
        self._attempts.clear()
        self._changes.clear()
        return drained
