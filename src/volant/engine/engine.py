"""The engine: performs what the rules command, and feeds back what happens.

One turn of the loop handles whatever arrived, then places what can start, then hands everything that
changed to the journal as one batch (`commits`). What has to be told waits for that batch's commit.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import ParamSpec, TypeVar, assert_never

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
from volant.decide.enforcement import STRICT_HINT, not_enforced, refusal_of_options, refusal_of_task
from volant.decide.exits import failure_to_start
from volant.decide.live import LiveAction, LiveAttempt, Stage
from volant.decide.pausing import PARK_AFTER
from volant.decide.placement import Admission, Capacity, Placement, Request
from volant.decide.retrying import SUSPECT_AFTER
from volant.decide.run_machine import RunMachine
from volant.decide.waiting import why_waiting
from volant.engine.commits import Commits, Listener
from volant.engine.containing import Containment
from volant.engine.live_run import KnownSpec, LiveRun, ProtocolError
from volant.engine.observing import CpuObserver
from volant.engine.recovering import Recovery
from volant.engine.replaying import Replays
from volant.engine.resuming import Interrupted
from volant.kit.clock import Clock
from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions
from volant.model.errors import EngineError, EngineGoneError, JournalError, NotSupportedError
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Payload
from volant.model.records import Change, RunRecord, SpecRecord
from volant.model.waits import Wait
from volant.model.worker_protocol import (
    Accepted,
    Answer,
    AskStep,
    AttemptFinished,
    CallRefused,
    CancelCall,
    Outcome,
    Rejoined,
    RunContext,
    SaveCheckpoint,
    SpecKnown,
    StartAttempt,
    StepEnded,
    SubmitCall,
    Waiting,
    Warned,
    WorkerToEngine,
    Working,
)
from volant.ports.journal import Journal
from volant.ports.launcher import AttemptOrder, Launcher

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("volant.engine")

_ACTION_ID = re.compile("[0-9a-f]{32}")
_LOOK_AGAIN = 0.01
"""Seconds between two looks whether killed processes are gone."""
_ACCEPTED = Accepted()
_NO_PLACE = Request(cpu=0, processes=0)
"""What an attempt asks for that runs in the client."""


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
    warnings: tuple[str, ...] = ()
    """What the client has to say of the run; it is committed with it, so that a run that ends at once has it too."""


class Engine:
    """Live runs, their places and their attempts. Everything happens on one loop."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        capacity: Capacity,
        host: str,
        log_folder: Callable[[RunId], str],
        on_committed: Listener,
        on_broken: Callable[[BaseException], None],
        on_given_up: Callable[[RunId, JournalError], None] = lambda _run, _error: None,
        park_after: timedelta = PARK_AFTER,
        first_key: int = 0,
        may_start: Callable[[], bool] = lambda: True,
    ) -> None:
        """*log_folder* makes the folder for the captured output of a run's attempts, and may raise `OSError`;
        *on_broken* hears that the journal refuses, *on_given_up* that this engine does not execute a run any more;
        *first_key* must be far from those that earlier engines counted from; *may_start* says whether it is sure that
        its runs are its own: if not, what is queued waits for `go_on`."""
        self.placement = Placement(capacity)
        self.runs: dict[RunId, LiveRun] = {}
        self._clock = clock
        self._host = host
        self._park_after = park_after
        self._log_folder = log_folder
        self._on_broken = on_broken
        self._on_given_up = on_given_up
        self._loop = asyncio.get_running_loop()
        self._next_key = first_key
        self._may_start = may_start
        self._attempts: dict[AttemptKey, LiveRun] = {}
        self._places: dict[AttemptKey, tuple[LiveRun, ActionId]] = {}
        self._waiting_actions: dict[tuple[RunId, ActionId], AttemptKey] = {}
        self._finished: dict[AttemptKey, asyncio.TimerHandle] = {}
        self._recoveries: dict[RunId, Recovery] = {}
        """Of runs that take over outcomes from others."""
        self._accepts_no_more = False
        self._observer = CpuObserver(
            self.placement, launcher_of=self._launcher_of, asks=self._asks, changed=self._place
        )
        self._journal = journal
        self._commits = Commits(
            journal,
            before=self._place,
            tell=self._perform_told,
            on_committed=on_committed,
            on_refused=self._refused,
            on_run_refused=self.give_up,
            on_broken=self._broke,
        )
        self._replays = Replays(
            journal,
            clock,
            flush=self._commits.flush,
            perform=self._perform,
            tell=self._tell,
            decided=self._decided,
            on_failed=self._commits.refuse,
        )

        def ended(live: LiveRun, changes: Sequence[Change]) -> None:
            self._forget(live)
            on_committed(live.run, changes)

        self._containment = Containment(
            journal,
            clock,
            flush=self._commits.flush,
            on_ended=ended,
            on_refused=self.give_up,
            on_failed=self._commits.refuse,
        )

    # What the service asks for

    async def submit(self, submission: Submission, launcher: Launcher) -> LiveRun:
        """Start a run; returns once it is committed.

        Raises:
            JournalError: nothing was written.
            NotSupportedError: it is strict and wants what cannot be had or enforced here; nothing was written.
            EngineGoneError: the engine is leaving; nothing was written.
            EngineError: its rules failed; nothing was written.
        """
        record = submission.record
        self._check_accepts(record.run)
        machine = RunMachine(
            record, host=self._host, park_after=self._park_after, looks_up=submission.options.reuse is not None
        )
        live = LiveRun(
            machine,
            launcher=launcher,
            context=submission.context,
            code=submission.code,
            options=submission.options,
            environ=submission.environ,
            is_placed=submission.options.mode != "inline",
        )
        known = live.learn(submission.spec, submission.spec_body, has_gpus=self._has_gpus)
        if refusal := refusal_of_options(live.options) or self._refusal(live, known):
            raise NotSupportedError(refusal, hint=STRICT_HINT)
        self._keep(known)
        self._take_in(live)
        self._decide(
            live,
            machine.create,
            spec=known.spec,
            spec_digest=known.digest,
            inputs=submission.inputs.payload,
            inputs_digest=submission.inputs.digest,
            now=self._clock.now(),
        )
        self._check_accepted(live)
        for option in not_enforced(live.options):
            live.said_not_enforced.add(option)
            self.warn(live, f"{option} is accepted but not enforced yet; the run's options give it")
        self._warn_of_no_effect(live, known)
        for warning in submission.warnings:
            self.warn(live, warning)
        await self._commits.flush(live)
        return live

    async def resume(
        self, interrupted: Interrupted, launcher: Launcher, *, context: RunContext, environ: Mapping[str, str]
    ) -> LiveRun:
        """Go on with a run that nobody executes; returns once that is committed.

        Raises:
            JournalError: nothing was written.
            EngineGoneError: the engine is leaving; nothing was written.
            EngineError: its rules failed; nothing was written.
        """
        record, past = interrupted.record, interrupted.past
        self._check_accepts(record.run)
        machine = RunMachine(
            record, host=self._host, park_after=self._park_after, looks_up=interrupted.options.reuse is not None
        )
        live = LiveRun(
            machine,
            launcher=launcher,
            context=context,
            code=interrupted.code,
            options=interrupted.options,
            environ=environ,
            is_placed=True,
        )
        live.committed_seq = past.seq
        for digest, body in interrupted.bodies.items():
            known = live.learn(digest, body, has_gpus=self._has_gpus)
            # It was said before the run was interrupted.
            live.said_not_enforced.update(known.spec.not_enforced, not_enforced(live.options))
        self._take_in(live)
        self._take_survivors(live, interrupted)
        self._decide(live, machine.restore, past, self._clock.now())
        self._check_accepted(live)
        await self._commits.flush(live)
        return live

    def _take_survivors(self, live: LiveRun, interrupted: Interrupted) -> None:
        for survivor in interrupted.past.survivors:
            self._attempts[survivor.key] = live
            self.placement.came()
            if live.log_folder is None:
                live.log_folder = self._log_folder(live.run)
        for key in interrupted.superfluous:
            live.launcher.end(key, grace=0)

    def _take_in(self, live: LiveRun) -> None:
        self.runs[live.run] = live
        if live.options.max_action_concurrency is not None:
            self.placement.bind(live.run, live.options.max_action_concurrency)
        if (reuse := live.options.reuse) is not None:
            self._recoveries[live.run] = Recovery(
                live,
                reuse,
                self._journal,
                self._clock,
                decide=self._decide,
                warn=self.warn,
                on_failed=self._commits.refuse,
            )

    def _check_accepts(self, run: RunId) -> None:
        if self._commits.is_over or self._accepts_no_more:
            msg = f"run '{run}' was not accepted: the engine is leaving"
            raise EngineGoneError(msg, hint="submit it again: that starts another engine")

    def _check_accepted(self, live: LiveRun) -> None:
        if live.is_broken:
            self._containment.leave(live)
            self._forget(live)
            msg = f"run '{live.run}' was not accepted: the engine failed, which is a mistake in Volant"
            raise EngineError(msg, hint="volant engine log has the traceback; nothing was written")

    def abort(self, run: RunId, action: ActionId | None, reason: str) -> None:
        """Abort a run, or one action of it and all below. Without effect on what has ended."""
        live = self.runs.get(run)
        if live is not None:
            self._decide(live, live.machine.abort, action, reason, self._clock.now())

    def is_ending(self, run: RunId) -> bool:
        """Whether a run has ended, or somebody asked for its end."""
        live = self.runs.get(run)
        return live is None or live.machine.is_ending

    def give_up(self, run: RunId, error: JournalError) -> None:
        """Stop executing a run at once and leave it in the journal as it is: it is another's, it cannot be written, or
        who executed it is gone."""
        live = self.runs.pop(run, None)
        if live is None:
            return
        log.warning("run %s is given up: %s", run, error)
        live.is_given_up = True
        self._decide(live, live.machine.abort, None, str(error), self._clock.now())
        for key in self._keys_of(live):
            # Also those that wait for an answer to their last word: it is not committed, and there will be none.
            live.launcher.end(key, grace=0)
        self.placement.unbind(run)
        if (recovery := self._recoveries.pop(run, None)) is not None:
            recovery.stop()
        self._commits.give_up(run, error)
        self._on_given_up(run, error)

    async def until_gone(self, run: RunId) -> None:
        """Return when nothing is left of a run that was given up."""
        while any(live.run == run and live.is_given_up for live in self._attempts.values()):  # noqa: ASYNC110 - rare
            await asyncio.sleep(_LOOK_AGAIN)

    def warn(self, live: LiveRun, message: str) -> None:
        """Tell whoever watches the run, once."""
        self._decided(live, live.machine.warn, message, self._clock.now())
        self._commits.changed(live)

    async def until_ended(self, run: RunId, action: ActionId | None = None) -> None:
        """Return when the end of a run, or of one action of it, is committed; at once if it is not live.

        Raises:
            JournalError: it will not be.
        """
        live = self.runs.get(run)
        if live is None or (action is not None and action not in live.machine.actions):
            await self._commits.flush()
        else:
            await self._commits.until_ended(run, action)

    def why_waiting(self, run: RunId, actions: Iterable[ActionId]) -> dict[ActionId, Wait]:
        """What these actions of a run wait for; those that work, have ended or are not here are absent."""
        live = self.runs.get(run)
        if live is None:
            return {}
        found = [action for name in actions if (action := live.machine.actions.get(name)) is not None]
        keys = {each.id: key for each in found if (key := self._waiting_actions.get((run, each.id))) is not None}
        return why_waiting(run, found, self.placement, keys)

    def attempts(self) -> list[tuple[RunId, LiveAction, LiveAttempt]]:
        """Attempts whose processes are not gone."""
        found: list[tuple[RunId, LiveAction, LiveAttempt]] = []
        for key, live in self._attempts.items():
            action = live.machine.keys.get(key)
            if action is not None and action.attempt is not None:
                found.append((live.run, action, action.attempt))
        return found

    @property
    def is_idle(self) -> bool:
        """Whether no run is live."""
        return not self.runs

    @property
    def only_time_helps(self) -> bool:
        """Whether nothing goes on until a timer of the clock is due, or somebody outside asks for something.

        No attempt works, starts or ends, and nothing is on its way to one. True only of a loop that has nothing else to
        do: what can be placed is placed at the end of each turn.
        """
        return not self._commits.is_telling and not any(
            live.is_broken or live.machine.is_working() for live in self.runs.values()
        )

    @property
    def live_actions(self) -> int:
        """Actions that have not ended."""
        return sum(len(live.machine.actions) for live in self.runs.values())

    @property
    def live_attempts(self) -> int:
        """Attempts whose processes are not gone."""
        return len(self._attempts)

    def go_on(self) -> None:
        """It may start attempts again."""
        for live in self.runs.values():
            self._commits.changed(live)

    def accept_no_more(self) -> None:
        """Refuse further runs: the engine is about to leave."""
        self._accepts_no_more = True

    async def close(self) -> None:
        """Start nothing more and write what is known. Live runs stay in the journal as they are.

        To be called before launchers are closed: what they end then was not lost.
        """
        await self._containment.close()
        await self._commits.close()
        self._observer.stop()
        await self._replays.close()
        for recovery in self._recoveries.values():
            await recovery.close()

    # What launchers say

    def attempt_started(self, key: AttemptKey, pid: int | None) -> None:
        live = self._attempts.get(key)
        if live is None:
            return
        action = live.machine.keys.get(key)
        path = None
        if live.is_placed and action is not None and action.attempt is not None:
            path = live.log_path(action.id, action.attempt.number)
        self._decide(live, live.machine.started, key, pid, path, self._clock.now())

    def attempt_said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None:
        live = self._attempts.get(key)
        if live is None:
            return
        try:
            self._hear(live, key, messages)
        except (ProtocolError, msgspec.MsgspecError) as error:
            # User code can write to its worker's socket; it harms its own attempt only.
            log.warning("attempt %d of run %s does not speak the protocol: %s", key, live.run, error)
            live.launcher.end(key, grace=0)

    def _hear(self, live: LiveRun, speaker: AttemptKey, messages: Sequence[WorkerToEngine]) -> None:
        machine = live.machine
        now = self._clock.now()
        for message in messages:
            if not isinstance(message, SpecKnown) and message.attempt_key != speaker:
                msg = f"it speaks for attempt {message.attempt_key}"
                raise ProtocolError(msg)
            match message:
                case SubmitCall():
                    known = live.spec(message.spec)
                    if live.options.strict and (refusal := self._refusal(live, known)):
                        self._refuse_call(live, speaker, message.call, refusal)
                        continue
                    _check_id(message.action)
                    self._decide(live, machine.called, speaker, message, known.spec, now)
                    self._replays.called(live, speaker)
                case AskStep():
                    _check_id(message.action)
                    self._decide(live, machine.step_asked, speaker, message, now)
                    self._replays.called(live, speaker)
                case StepEnded():
                    spec = live.spec(message.spec).spec
                    _check_id(message.action)
                    self._decide(live, machine.step_ended, speaker, message, spec, now)
                    self._replays.called(live, speaker)
                case SaveCheckpoint():
                    self._decide(live, machine.checkpoint_saved, speaker, message, now)
                case Waiting(told=told, for_engine=for_engine):
                    alone = for_engine and live.is_placed
                    self._decide(live, machine.waiting, speaker, told, now, for_engine=alone)
                case Working():
                    self._decide(live, machine.working, speaker)
                case CancelCall(call=call):
                    self._decide(live, machine.cancelled, speaker, call, now)
                case AttemptFinished(outcome=outcome):
                    self._finish(live, speaker, outcome)
                case Rejoined(told=told, asked=asked):
                    self._decide(live, machine.rejoined, speaker, told, frozenset(asked))
                case SpecKnown(spec=digest, body=body):
                    self._warn_of_no_effect(live, self._learn(live, digest, body))
                case Warned(message=text):
                    self.warn(live, text)
                case _:
                    assert_never(message)

    def _refuse_call(self, live: LiveRun, caller: AttemptKey, call: CallId, why: str) -> None:
        message = CallRefused(call=call, error=NotSupportedError.__name__, message=why, hint=STRICT_HINT)
        self._decide(live, live.machine.working, caller)
        self._perform(live, [Tell(caller, message)])

    def attempt_refused(self, key: AttemptKey, failure: Failure) -> None:
        live = self._attempts.get(key)
        if live is not None:
            self._decide(live, live.machine.refused, key, failure, self._clock.now())

    def attempt_gone(self, key: AttemptKey, ended: Exit) -> None:
        live = self._attempts.pop(key, None)
        if live is None:
            return
        timer = self._finished.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._replays.gone(key)
        self._observer.spoke(key)
        if live.is_placed:
            self.placement.gone()
        self._decide(live, live.machine.gone, key, ended, self._clock.now())
        if live.is_broken:
            self.placement.release(key)
            self._check_gone(live)

    def launcher_warned(self, key: AttemptKey, message: str) -> None:
        live = self._attempts.get(key)
        if live is not None:
            self.warn(live, message)

    # Performing commands

    def _finish(self, live: LiveRun, key: AttemptKey, outcome: Outcome) -> None:
        self._decide(live, live.machine.finished, key, outcome, self._clock.now())

    def _accept(self, live: LiveRun, key: AttemptKey) -> None:
        if key not in self._attempts:
            return
        live.launcher.tell(key, _ACCEPTED)
        if key not in self._finished:
            # It has the grace period to leave.
            self._finished[key] = self._loop.call_later(
                live.options.grace_period, partial(live.launcher.end, key, grace=0)
            )

    def _adopt(self, live: LiveRun, action: ActionId, key: AttemptKey) -> None:
        request = live.spec(live.machine.actions[action].spec_digest).request
        self.placement.take(key, run=live.run, request=request)
        live.launcher.adopt(key)

    def _perform(self, live: LiveRun, commands: Sequence[Command]) -> None:
        if live.is_broken:
            return
        for command in commands:
            match command:
                case Enqueue(action=action):
                    self._enqueue(live, action)
                case LookUp(action=action):
                    self._recoveries[live.run].look_up(action)
                case Withdraw(action=action):
                    live.stop_timer(action)
                    key = self._waiting_actions.pop((live.run, action), None)
                    if key is not None:
                        del self._places[key]
                        self.placement.withdraw(key)
                case Release(key=key):
                    self.placement.release(key)
                case Lend(key=key, for_calls=for_calls):
                    self._observer.spoke(key)
                    self.placement.lend(key, for_calls=for_calls)
                case TakeBack(key=key):
                    self._observer.spoke(key)
                    self.placement.take_back(key)
                case EndTree(key=key, at_once=at_once):
                    live.launcher.end(key, grace=0 if at_once or live.is_given_up else live.options.grace_period)
                case Adopt(action=action, key=key):
                    self._adopt(live, action, key)
                case Tell() | RunFinished() | Accept():
                    self._commits.then(live, command)
                case TellRecorded(key=key, calls=calls):
                    self._replays.tell(live, key, calls)
                case TellSoon(key=key):
                    self._replays.called(live, key)
                case WakeAt(action=action, at=at):
                    live.timers[action] = self._clock.call_at(at, partial(self._time_came, live, action, at))
                case _:
                    assert_never(command)
        self._commits.changed(live)

    def _time_came(self, live: LiveRun, action: ActionId, due: datetime) -> None:
        del live.timers[action]
        # The time has come, whatever became of the wall clock since.
        self._decide(live, live.machine.backoff_elapsed, action, max(due, self._clock.now()))

    def _perform_told(self, live: LiveRun, command: Tell | RunFinished | Accept) -> None:
        """What waited for a commit."""
        match command:
            case Tell(key=key, message=message):
                self._tell(live, key, message)
            case Accept(key=key):
                self._accept(live, key)
            case RunFinished():
                self._forget(live)
            case _:
                assert_never(command)

    def _tell(self, live: LiveRun, key: AttemptKey, message: Answer) -> None:
        if key not in self._attempts:
            return
        if commands := self._decided(live, live.machine.told, key):
            self._perform(live, commands)
        self.placement.answered(key)
        live.launcher.tell(key, message)

    def _forget(self, live: LiveRun) -> None:
        """The end of a run is committed."""
        self.runs.pop(live.run, None)
        self._recoveries.pop(live.run, None)
        self.placement.unbind(live.run)
        self._commits.run_ended(live.run)

    # Rules that fail

    def _decide(self, live: LiveRun, rule: Callable[P, Sequence[Command]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Let the rules of a run decide what follows, and do it."""
        self._perform(live, self._decided(live, rule, *args, **kwargs) or ())

    def _decided(self, live: LiveRun, rule: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """What the rules of a run say; None when they fail, now or before, and then only that run ends."""
        if live.is_broken:
            return None
        try:
            return rule(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # it is logged, and the run ends with it
            self._broke(live, error)
            return None

    def _broke(self, live: LiveRun, error: Exception) -> None:
        live.break_off()
        self._containment.broke(live, error)
        self._commits.drop(live)
        for key in [key for key, (owner, _) in self._places.items() if owner is live]:
            _, action = self._places.pop(key)
            del self._waiting_actions[live.run, action]
            if not self.placement.withdraw(key):
                self._give_place_back(live, key)
        for key in self._keys_of(live):
            live.launcher.end(key, grace=0)
        # Whoever let the rules decide may have more to do with the run.
        self._loop.call_soon(self._check_gone, live)

    def _give_place_back(self, live: LiveRun, key: AttemptKey) -> None:
        """It was admitted this moment, and nothing of it was started."""
        self.placement.release(key)
        if live.is_placed:
            self.placement.gone()

    def _check_gone(self, live: LiveRun) -> None:
        if not self._keys_of(live):
            self._containment.gone(live)

    def _keys_of(self, live: LiveRun) -> list[AttemptKey]:
        return [key for key, owner in self._attempts.items() if owner is live]

    def _refused(self, error: BaseException) -> None:
        log.error("the engine leaves, %d run(s) are left unfinished: %s", len(self.runs), error)
        self._on_broken(error)

    def _learn(self, live: LiveRun, digest: SpecDigest, body: bytes) -> KnownSpec:
        known = live.known(digest)
        if known is not None:
            return known
        known = live.learn(digest, body, has_gpus=self._has_gpus)
        self._keep(known)
        return known

    def _keep(self, known: KnownSpec) -> None:
        self._commits.add_spec(SpecRecord(spec=known.digest, body=known.body, used_at=self._clock.now()))

    @property
    def _has_gpus(self) -> bool:
        return self.placement.capacity.gpus > 0

    def _refusal(self, live: LiveRun, known: KnownSpec) -> str | None:
        excess = self.placement.excess(known.request)
        return refusal_of_task(live.options, known.spec, excess=excess, has_gpus=self._has_gpus)

    def _warn_of_no_effect(self, live: LiveRun, known: KnownSpec) -> None:
        for parameter in known.spec.not_enforced:
            if parameter not in live.said_not_enforced:
                live.said_not_enforced.add(parameter)
                self.warn(live, f"{parameter} is accepted but not enforced yet; task '{known.spec.task}' gives it")
        needs_process = known.spec.env_vars or live.options.env_vars
        if needs_process and not live.is_placed and "env_vars" not in live.said_not_enforced:
            live.said_not_enforced.add("env_vars")
            self.warn(
                live, f"env_vars have no effect in mode 'inline', which starts no process; task '{known.spec.task}'"
            )

    # Places

    def _enqueue(self, live: LiveRun, action: ActionId) -> None:
        self._next_key += 1
        key = AttemptKey(self._next_key)
        self._places[key] = (live, action)
        self._waiting_actions[live.run, action] = key
        if not live.is_placed and live.options.max_action_concurrency is None:
            self._loop.call_soon(self._admit, Admission(key))
            return
        found = live.machine.actions[action]
        request = live.spec(found.spec_digest).request if live.is_placed else _NO_PLACE
        self.placement.enqueue(key, run=live.run, depth=found.depth, request=request)

    def _place(self) -> None:
        placement = self.placement
        if not placement.queued or self._commits.is_over or not self._may_start():
            return
        admitted = placement.admit(can_progress=True)
        if not admitted and not placement.has_working and not self._can_progress():
            admitted = placement.admit(can_progress=False)
        for admission in admitted:
            self._admit(admission)
        if placement.queued:
            self._observer.watch()

    def _can_progress(self) -> bool:
        return any(live.is_broken or live.machine.can_progress() for live in self.runs.values())

    def _asks(self, key: AttemptKey) -> bool:
        live = self._attempts.get(key)
        return live is not None and live.machine.asks(key)

    def _launcher_of(self, key: AttemptKey) -> Launcher | None:
        live = self._attempts.get(key)
        return None if live is None else live.launcher

    def _admit(self, admission: Admission) -> None:
        key = admission.key
        place = self._places.pop(key, None)
        if place is None or self._commits.is_over:
            return
        live, action = place
        del self._waiting_actions[live.run, action]
        self._attempts[key] = live
        found = self._decided(live, live.machine.admitted, action, key)
        if found is None:
            self._loop.call_soon(self.attempt_gone, key, Exit())
            return
        if admission.reason is not None:
            self.warn(live, f"task '{found.spec.task}' was started beyond capacity: {admission.reason}")
        if found.attempts > 1:
            self._replays.prepare(live, action, key, partial(self._start, live, action, key))
        else:
            self._start(live, action, key)

    def _start(self, live: LiveRun, action: ActionId, key: AttemptKey) -> None:
        found = live.machine.keys.get(key)
        if found is None or found.attempt is None:
            return
        if live.is_broken or found.stage is not Stage.STARTING:
            # It was aborted while its children's outcomes were read: there is nothing to start.
            self.attempt_gone(key, Exit())
            return
        try:
            live.launcher.start(self._order(live, found, found.attempt.number, key))
        except OSError as error:
            log.error("attempt %d of action %s of run %s was not started: %s", key, action, live.run, error)
            failure = failure_to_start(error.errno, type(error).__name__, str(error))
            self._loop.call_soon(self._not_started, key, failure)
        except Exception as error:
            # Nobody thought of this; it is the failure of this attempt all the same, and of no other.
            log.exception("attempt %d of action %s of run %s was not started", key, action, live.run)
            failure = Failure(
                kind=FailureKind.SYSTEM,
                code=type(error).__name__,
                message=f"the attempt cannot be started: {error}",
                retryable=False,
            )
            self._loop.call_soon(self._not_started, key, failure)

    def _not_started(self, key: AttemptKey, failure: Failure) -> None:
        self.attempt_refused(key, failure)
        self.attempt_gone(key, Exit())

    def _order(self, live: LiveRun, action: LiveAction, attempt: int, key: AttemptKey) -> AttemptOrder:
        if live.log_folder is None and live.is_placed:
            live.log_folder = self._log_folder(live.run)
        known = live.spec(action.spec_digest)
        environment = live.environment(known.spec)
        return AttemptOrder(
            key=key,
            start=StartAttempt(
                attempt_key=key,
                context=live.context,
                action=action.id,
                parent=None if action.parent is None else action.parent.id,
                attempt=attempt,
                spec=known.digest,
                spec_body=known.body,
                inputs=action.inputs,
                group=action.group,
                checkpoint=action.checkpoint,
            ),
            code=live.code,
            environ=environment.variables,
            environment=environment.digest,
            label=known.spec.environment,
            log=live.log_path(action.id, attempt) or "",
            is_suspect=action.lost >= SUSPECT_AFTER,
        )


def _check_id(action: ActionId) -> None:
    if not _ACTION_ID.fullmatch(action):
        msg = f"{action!r} is no action id"
        raise ProtocolError(msg)
