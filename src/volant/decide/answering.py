"""What attempts are told of the actions that they called, and when.

Recorded outcomes come in the order of their commits, so that a race has the same winner again; see `replay`.
"""

from collections.abc import Iterable
from datetime import datetime

from volant.decide.commands import Command, TellRecorded, TellSoon
from volant.decide.live import Earlier, LiveAction, LiveAttempt, outcome_of
from volant.decide.queueing import Queueing
from volant.decide.replay import Replay
from volant.model.ids import ActionId, AttemptKey, CallId
from volant.model.records import ActionRecord
from volant.model.specs import ActionKind
from volant.model.worker_protocol import ChildEnded


class Answering(Queueing):
    """Answers calls with outcomes that are recorded, in their order."""

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
