"""Attempts as processes of the simulated machine, which play programs over the real protocol.

A worker names its calls, counts its answers, says that it waits, and says all again to the next engine with the code
that real workers use (`worker.calls`, `worker.naming`). It calls in another order each time, and is lost, slow or deaf
as the world wishes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from tests.simulation.laws import Laws
from tests.simulation.machine import Machine, Process
from tests.simulation.programs import (
    STEP,
    TIMER,
    Cancel,
    Chain,
    Fail,
    Forget,
    Gather,
    Program,
    Race,
    Result,
    Sleep,
    Step,
    Task,
    Timer,
    label,
    part_of,
    result_of,
)
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, RunId
from volant.model.payloads import Inline
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import (
    Aborted,
    Accepted,
    Acknowledged,
    Answer,
    AskStep,
    AttemptFinished,
    CallRefused,
    ChildEnded,
    EngineToWorker,
    Failed,
    Outcome,
    Resync,
    StartAttempt,
    StepEnded,
    SubmitCall,
    Succeeded,
    WorkerToEngine,
)
from volant.worker.calls import Call, Caller, Line
from volant.worker.naming import ActionNames

MOST_LOSSES = 3
"""As many workers of one action may be lost without the action failing for that."""


class Dangers(msgspec.Struct, kw_only=True):
    """What may become of workers: shares of attempts, or of messages."""

    lost: float = 0.0
    refused: float = 0.0
    no_room: float = 0.0
    slow_start: float = 0.0
    repeated: float = 0.0
    stubborn: float = 0.3
    """Of those that are told to end: they do so only when they are killed."""
    orphaned: float = 0.0
    """Of those whose engine dies, and that could outlive it."""
    late: float = 0.0
    """Of zygotes and workers that could return to the next engine: they take their time."""


class Guardian(Protocol):
    """A zygote."""

    home: str
    name: str
    forks: "dict[AttemptKey, Worker]"

    def die(self) -> None: ...
    def wake(self) -> None: ...


class Employer(Protocol):
    """An engine, as those see it who have lost theirs."""

    def take_in(self, worker: "Worker") -> None:
        """A worker has come back, and waits for somebody to go on with its run."""
        ...


class Workplace:
    """What workers of all engines have in common."""

    def __init__(self, machine: Machine, programs: dict[RunId, Program], laws: Laws) -> None:
        self.machine = machine
        self.programs = programs
        self.laws = laws
        self.dangers = Dangers()
        self.failures: dict[tuple[RunId, ActionId, int], int] = {}
        """How often a `Fail` was come to."""
        self.losses: dict[tuple[RunId, ActionId], int] = {}
        self.live: dict[Worker, None] = {}
        self.roots: dict[tuple[RunId, ActionId], ActionId] = {}
        """Of actions that were started: a run that was never stored may be submitted again, with another root."""
        self.zygotes: dict[Guardian, None] = {}
        self._zygotes_so_far = 0
        self.window = 0.0
        """Seconds for which attempts wait for another engine; 0: they end with theirs."""
        self.employer: Callable[[str], Employer | None] = lambda home: None
        """The engine of a home, if one is there that listens."""

    def workers_of(self, run: RunId, engine: str) -> list[str]:
        """Live workers of a run that an engine has started or taken over."""
        root = self.laws.root_of(run)
        return [
            worker.process.name
            for worker in self.live
            if worker.run == run and worker.engine == engine and self.roots[run, worker.action] == root
        ]

    def left_of(self, run: RunId, action: ActionId, home: str) -> list[str]:
        """Live attempts of an action in a home that nobody has told to end."""
        return [
            worker.process.name
            for worker in self.live
            if (worker.run, worker.action, worker.home) == (run, action, home) and not worker.is_ending
        ]

    def may_lose(self, run: RunId, action: ActionId) -> bool:
        """Count one more loss of an action, unless that would be too many."""
        if self.losses.get((run, action), 0) >= MOST_LOSSES:
            return False
        self.count_loss(run, action)
        return True

    def count_loss(self, run: RunId, action: ActionId) -> None:
        """An attempt of an action is lost."""
        self.losses[run, action] = self.losses.get((run, action), 0) + 1

    def next_zygote(self) -> int:
        """The number of another zygote."""
        self._zygotes_so_far += 1
        return self._zygotes_so_far


_REFUSED = Aborted(reason="the call was refused")


class _ChildFailed(Exception):
    pass


class _UserError(Exception):
    pass


class _Exited(BaseException):
    pass


class Worker:
    """One attempt and its process."""

    def __init__(self, place: Workplace, start: StartAttempt, engine: str, home: str) -> None:
        self.place = place
        self.engine = engine
        """Who has it now, or had it last."""
        self.home = home
        self.start = start
        self.key = start.attempt_key
        self.run = start.context.run
        self.action = start.action
        place.roots[self.run, self.action] = (
            self.action if start.parent is None else place.roots[self.run, start.parent]
        )
        spec = msgspec.msgpack.decode(start.spec_body, type=ActionSpec)
        self.task = place.programs[self.run].tasks[spec.short_name]
        self.name = f"{label(self.action, self.task.name)}/{start.attempt}"
        self.failures_before = 0
        """How often its action had failed before it; the engine does not tell, the simulation knows."""
        self.process = Process(place.machine, f"w{start.attempt_key}")
        self.ended = Exit(signal=9)
        self.is_ending = False
        """Somebody has told it to end, or its time is over, or it is done."""
        self.say: Callable[[Sequence[WorkerToEngine]], None] = lambda messages: None
        """The way to its engine, which loses everything when that is gone."""
        self._is_cut_off = False
        self._last_word: AttemptFinished | None = None
        self._is_accepted = asyncio.Event()
        self._line = Line(self._write)
        self._caller = Caller(start.attempt_key)
        self._names = ActionNames(self.action)
        self._inbox: deque[tuple[Call, Answer]] = deque()
        self._calls: dict[asyncio.Future[Any], Call] = {}
        self._was_napping = False
        self.process.on_idle = self._idle
        self.process.on_death.append(lambda: self.place.live.pop(self, None))

    def begin(self) -> None:
        """Run the task's function."""
        if self.process.is_alive:
            self.process.start(self._main())

    def hear(self, message: EngineToWorker) -> None:
        """Something arrives from the engine."""
        match message:
            case ChildEnded() | CallRefused() | Acknowledged():
                self.process.arrive(self._line.hear, message)
            case Accepted():
                self.process.arrive(self._is_accepted.set)
            case Resync():
                self.process.arrive(self._say_again)
            case _:
                raise AssertionError(message)

    # Its way to the next engine: as in `worker.process` and `worker.returning`

    def lose_engine(self) -> None:
        """The connection has ended; it notices when it reads."""
        self.process.arrive(self._cut_off)

    def _write(self, messages: Sequence[WorkerToEngine], _bodies: Sequence[bytes]) -> None:
        if not self._is_cut_off:
            self.say(messages)

    def _cut_off(self) -> None:
        self._is_cut_off = True
        random = self.place.machine.random
        is_late = random.random() < self.place.dangers.late
        self.place.machine.after(random.uniform(0.2, 3.0) if is_late else random.uniform(0.0, 0.2), self._look)

    def _look(self) -> None:
        if not self.process.is_alive or self._is_accepted.is_set():
            return
        employer = self.place.employer(self.home)
        if employer is None:
            self.place.machine.after(self.place.machine.random.uniform(0.01, 0.2), self._look)
        else:
            employer.take_in(self)

    def _say_again(self) -> None:
        self._line.say_again(self._caller, connect=self._go_over, last=self._last_word)

    def _go_over(self) -> None:
        self._is_cut_off = False

    # The event loop's side: as in `worker.loops`, one answer at a time, when there is nothing else to do

    def _idle(self) -> None:
        if self._inbox:
            call, answer = self._inbox.popleft()
            call.take(answer)
            # Perhaps nobody waits for it; then it is the next one's turn.
            self.process.loop.call_soon(_nothing)
        else:
            self._line.say_waiting(self._caller)
        self._line.flush()

    def _deliver(self, call: Call, answer: Answer) -> None:
        self._inbox.append((call, answer))

    async def _nap(self, seconds: float, *, is_blocking: bool = False) -> None:
        if is_blocking:
            self._line.flush()
            self.process.sleep(seconds)
            await asyncio.sleep(0)
            return
        await asyncio.sleep(seconds)
        self._line.say_working(self._caller)
        self._line.flush()

    # The task's side

    async def _main(self) -> None:
        self.process.machine.note(self.process.name, f"executes {self.name} of {self.run}")
        try:
            outcome: Outcome = Succeeded(outputs=Inline(data=await self._execute()))
        except _UserError:
            outcome = self._failed("ValueError")
        except _ChildFailed:
            outcome = self._failed("ChildFailed")
        except _Exited:
            self.ended = Exit(code=3)
            self._line.flush()
            self.process.die()
            return
        self._line.end(self._caller)
        self._last_word = AttemptFinished(attempt_key=self.start.attempt_key, outcome=outcome)
        self._line.post(self._last_word)
        self._line.flush()
        if self.place.machine.random.random() < self.place.dangers.repeated:
            self._line.post(self._last_word)
            self._line.flush()
        if self.place.window:
            await self._is_accepted.wait()
        # Exit handlers, buffers; some are slow.
        await asyncio.sleep(self.place.machine.random.choice([0.0, 0.001, 0.001, 0.1, 10.0]))
        self.ended = Exit(code=0)
        self.process.die()

    def _failed(self, code: str) -> Failed:
        return Failed(failure=Failure(kind=FailureKind.USER, code=code, message=f"from {self.task.name}"))

    async def _execute(self) -> bytes:
        parts: list[bytes] = []
        for number, statement in enumerate(self.task.statements):
            match statement:
                case Gather(tasks=tasks, is_tolerant=is_tolerant):
                    parts += [part_of(result) for result in await self._gather(tasks, is_tolerant=is_tolerant)]
                case Chain(tasks=tasks):
                    parts += [part_of(_result(await self._call(task))) for task in tasks]
                case Race():
                    await self._race(number, statement)
                case Cancel(task=task, after=after):
                    call = self._call(task)
                    await self._nap(after)
                    self._cancel(call)
                    await call
                case Forget(task=task):
                    self._call(task)
                case Timer(seconds=seconds):
                    if isinstance(await self._timer(seconds), Aborted):
                        raise _ChildFailed
                case Step():
                    await self._step(statement)
                case Sleep(seconds=seconds, is_blocking=is_blocking):
                    await self._nap(seconds, is_blocking=is_blocking)
                case Fail(times=times, by_exit=by_exit):
                    self._fail(number, times, by_exit=by_exit)
        return result_of(self.task.name, parts)

    def _fail(self, number: int, times: int, *, by_exit: bool) -> None:
        failures = self.place.failures
        at = (self.run, self.action, number)
        failures[at] = failures.get(at, 0) + 1
        if failures[at] <= times:
            raise _Exited if by_exit else _UserError

    async def _gather(self, tasks: Sequence[Task], *, is_tolerant: bool) -> list[Result]:
        calls = self._call_all(tasks)
        if not is_tolerant:
            failed = self.process.loop.create_future()

            def look(done: "asyncio.Future[Outcome]") -> None:
                if not isinstance(done.result(), Succeeded) and not failed.done():
                    failed.set_result(None)

            for call in calls:
                call.add_done_callback(look)
            everything = asyncio.gather(*calls)
            await asyncio.wait([everything, failed], return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                raise _ChildFailed
        return [_result(outcome) for outcome in await asyncio.gather(*calls)]

    async def _race(self, number: int, race: Race) -> None:
        calls = self._call_all(race.tasks)
        first: asyncio.Future[str] = self.process.loop.create_future()

        def look(name: str, done: "asyncio.Future[Outcome]") -> None:
            if not first.done():
                first.set_result("" if isinstance(done.result(), Aborted) else name)

        for task, call in zip(race.tasks, calls, strict=True):
            call.add_done_callback(partial(look, task.name))
        if race.timer is not None:
            calls.append(self._timer(race.timer))
            calls[-1].add_done_callback(partial(look, "the timer"))
        winner = await first
        if not winner:
            # It is being ended: that says nothing of who is faster.
            raise _ChildFailed
        self.place.laws.won(self.run, self.action, self.failures_before, number, winner)
        if race.cancels:
            for call in calls:
                self._cancel(call)
        for sequel in [task for task in race.sequels if task.name == f"{winner}+"][:1]:
            await self._call(sequel)

    async def _step(self, step: Step) -> None:
        laws, key = self.place.laws, self.start.attempt_key
        action = self._names.next(STEP.task, step.name)
        if self.start.attempt > 0:
            recorded = await self._ask(lambda call: AskStep(attempt_key=key, call=call, action=action))
            if recorded is not None:
                laws.stepped(self.run, action, recorded)
                return
        laws.executes_step(self.run, action, by=self.engine)
        await self._nap(step.seconds)
        value = f"{self.place.machine.random.getrandbits(32):08x}".encode()
        spec = self._line.tell_spec(STEP)
        told = await self._ask(
            lambda call: StepEnded(
                attempt_key=key,
                call=call,
                action=action,
                spec=spec,
                inputs=Inline(data=step.name.encode()),
                inputs_digest=step.name,
                outcome=Succeeded(outputs=Inline(data=value)),
                seconds=step.seconds,
            )
        )
        laws.stepped(self.run, action, told or b"")

    async def _ask(self, message: Callable[[CallId], AskStep | StepEnded]) -> bytes | None:
        """What is recorded of a step, or None."""
        call = self._line.new_call(self._caller)
        call.deliver = self._deliver
        future: asyncio.Future[Answer | None] = self.process.loop.create_future()
        call.wake = lambda: future.set_result(call.answer)
        self._line.submit(call, message(call.id))
        match await future:
            case ChildEnded(outcome=Succeeded(outputs=Inline(data=data))):
                return data
            case Acknowledged():
                return None
            case _:
                # It is being ended.
                raise _ChildFailed

    def _timer(self, seconds: float) -> "asyncio.Future[Outcome]":
        digest = f"{seconds}"
        return self._submit(TIMER, digest=digest, data=digest.encode(), delay=seconds)

    def _call_all(self, tasks: Sequence[Task]) -> "list[asyncio.Future[Outcome]]":
        """Their calls in the order of *tasks*, though made in any other."""
        order = list(range(len(tasks)))
        self.place.machine.random.shuffle(order)
        calls = {number: self._call(tasks[number]) for number in order}
        return [calls[number] for number in range(len(tasks))]

    def _call(self, task: Task) -> "asyncio.Future[Outcome]":
        digest = task.name if task.has_digest else None
        return self._submit(task.spec, digest=digest, data=task.name.encode())

    def _submit(
        self, spec: ActionSpec, *, digest: str | None, data: bytes, delay: float | None = None
    ) -> "asyncio.Future[Outcome]":
        call = self._line.new_call(self._caller)
        call.deliver = self._deliver
        future: asyncio.Future[Outcome] = self.process.loop.create_future()
        call.wake = partial(_answered, call, future)
        told_spec = self._line.tell_spec(spec)
        message = SubmitCall(
            attempt_key=self.start.attempt_key,
            call=call.id,
            action=self._names.next(spec.task, digest),
            spec=told_spec,
            inputs=Inline(data=data),
            inputs_digest=digest,
            delay=delay,
        )
        self._line.submit(call, message)
        self._calls[future] = call
        if self.place.machine.random.random() < 0.3:
            self._line.flush()
        return future

    def _cancel(self, future: "asyncio.Future[Outcome]") -> None:
        if not future.done():
            self._line.cancel(self._calls[future])


def _nothing() -> None:
    return


def _answered(call: Call, future: "asyncio.Future[Outcome]") -> None:
    answer: Any = call.answer
    if not future.done():
        future.set_result(_REFUSED if isinstance(answer, CallRefused) else answer.outcome)


def _result(outcome: Outcome) -> Result:
    match outcome:
        case Succeeded(outputs=outputs):
            return Result(data=outputs.data if isinstance(outputs, Inline) else b"")
        case Failed(failure=failure):
            return Result(failure=failure.code)
        case Aborted():
            return Result(failure="Aborted")
