"""A launcher whose attempts are processes of the simulated machine, which play programs over the real protocol.

A worker names its calls, counts its answers and says that it waits with the code that real workers use (`worker.calls`,
`worker.naming`). It calls in another order each time, and is lost, slow or deaf as the world wishes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import msgspec

from tests.simulation.laws import Laws
from tests.simulation.machine import Machine, Pipe, Process
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
    Acknowledged,
    Answer,
    AskStep,
    AttemptFinished,
    CallRefused,
    ChildEnded,
    EngineToWorker,
    Failed,
    Outcome,
    StartAttempt,
    StepEnded,
    SubmitCall,
    Succeeded,
    WorkerToEngine,
)
from volant.ports.launcher import AttemptOrder, LauncherEvents
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

    def workers_of(self, run: RunId, engine: str) -> list[str]:
        """Live workers of a run that an engine has started."""
        return [worker.process.name for worker in self.live if worker.run == run and worker.engine == engine]

    def may_lose(self, run: RunId, action: ActionId) -> bool:
        """Count one more loss of an action, unless that would be too many."""
        losses = self.losses.get((run, action), 0)
        if losses >= MOST_LOSSES:
            return False
        self.losses[run, action] = losses + 1
        return True


_REFUSED = Aborted(reason="the call was refused")


class _ChildFailed(Exception):
    pass


class _UserError(Exception):
    pass


class _Exited(BaseException):
    pass


class Worker:
    """One attempt and its process."""

    def __init__(
        self, place: Workplace, start: StartAttempt, engine: str, say: Callable[[Sequence[WorkerToEngine]], None]
    ) -> None:
        self.place = place
        self.engine = engine
        self.start = start
        self.run = start.context.run
        self.action = start.action
        spec = msgspec.msgpack.decode(start.spec_body, type=ActionSpec)
        self.task = place.programs[self.run].tasks[spec.short_name]
        self.name = f"{label(self.action, self.task.name)}/{start.attempt}"
        self.failures_before = 0
        """How often its action had failed before it; the engine does not tell, the simulation knows."""
        self.process = Process(place.machine, f"w{start.attempt_key}")
        self.ended = Exit(signal=9)
        self._line = Line(lambda messages, _: say(messages))
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
        if isinstance(message, ChildEnded | CallRefused | Acknowledged):
            self.process.arrive(self._line.hear, message)

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
        self._line.post(AttemptFinished(attempt_key=self.start.attempt_key, outcome=outcome))
        self._line.flush()
        if self.place.machine.random.random() < self.place.dangers.repeated:
            self._line.post(AttemptFinished(attempt_key=self.start.attempt_key, outcome=outcome))
            self._line.flush()
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


class SimulatedLauncher:
    """The `Launcher` of one engine, which runs in *process*."""

    def __init__(self, place: Workplace, process: Process, engine: str) -> None:
        self.events: LauncherEvents
        self.failures_of: Callable[[RunId, ActionId], int] = lambda run, action: 0
        self.workers: dict[AttemptKey, Worker] = {}
        self._place = place
        self._machine = place.machine
        self._process = process
        self._engine = engine
        self._ways_in: dict[AttemptKey, Pipe] = {}
        self._ways_out: dict[AttemptKey, Pipe] = {}
        self._is_closed = False
        process.on_death.append(self._engine_died)

    def start(self, order: AttemptOrder) -> None:
        self._process.step()
        random, dangers, start = self._machine.random, self._place.dangers, order.start
        run, action = start.context.run, start.action
        if random.random() < dangers.no_room and self._place.may_lose(run, action):
            raise OSError(11, "no more processes")
        key = order.key
        # What was said arrives on the engine's loop, never within a call to the launcher.
        way_out = self._ways_out[key] = Pipe(self._machine, partial(self._process.arrive, self._said, key))
        worker = Worker(self._place, start, self._engine, way_out.send)
        worker.failures_before = self.failures_of(run, action)
        self._place.laws.started(start, worker.task.name, by=self._engine)
        self._machine.note(self._engine, f"starts {worker.name} of {run} as {worker.process.name}")
        self.workers[key] = worker
        self._place.live[worker] = None
        self._ways_in[key] = Pipe(self._machine, worker.hear)
        delay = random.random() * 0.003
        if random.random() < dangers.slow_start:
            delay += random.random()
        if random.random() < dangers.refused and self._place.may_lose(run, action):
            self._machine.after(delay, self._refuse, key)
        else:
            self._machine.after(delay, worker.begin)
            self._machine.after(delay + random.random() * 0.01, self._process.arrive, self._begun, key)
            worker.process.on_death.append(partial(self._worker_died, key))
            if random.random() < dangers.lost:
                self._machine.after(delay + random.expovariate(1.0), self._lose, worker)
        self._process.step()

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        self._process.step()
        worker = self.workers.get(key)
        if worker is None:
            return
        if isinstance(message, ChildEnded):
            self._place.laws.tells_parent(worker.run, message, by=self._engine)
            said = type(message.outcome).__name__
            self._machine.note(self._engine, f"tells {worker.process.name}: {message.action[:5]} {said}")
        self._ways_in[key].send(message)
        self._process.step()

    def end(self, key: AttemptKey, *, grace: float) -> None:
        self._process.step()
        worker = self.workers.get(key)
        if worker is None:
            return
        random = self._machine.random
        self._machine.note(self._engine, f"ends {worker.process.name}, grace {grace:g} s")
        delay = random.random() * 0.002
        if grace and random.random() < self._place.dangers.stubborn:
            delay += grace
        self._machine.after(delay, self._kill, worker)

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        random = self._machine.random
        return {key for key in keys if key in self.workers and random.random() < 0.3}

    async def close(self) -> None:
        self._is_closed = True
        for worker in list(self.workers.values()):
            self._kill(worker)
        while self.workers:
            await asyncio.sleep(0.01)

    # What becomes of them

    def _lose(self, worker: Worker) -> None:
        if worker.process.is_alive and self._place.may_lose(worker.run, worker.action):
            self._machine.note(worker.process.name, "is killed")
            self._kill(worker)

    def _kill(self, worker: Worker) -> None:
        if worker.process.is_alive:
            worker.ended = Exit(signal=9)
            worker.process.die()

    def _refuse(self, key: AttemptKey) -> None:
        worker = self.workers[key]
        failure = Failure(kind=FailureKind.LOST, code="OSError", message="there is no socket")
        self._place.live.pop(worker, None)
        self._process.arrive(lambda: self.events.attempt_refused(key, failure))
        self._process.arrive(self._gone, key, Exit())

    def _worker_died(self, key: AttemptKey) -> None:
        """Its zygote notices, and says so when its last words are read."""
        worker = self.workers[key]
        when = max(self._ways_out[key].arrives_at, self._machine.now + 0.003) + self._machine.random.random() * 0.01
        self._machine.at(when, self._process.arrive, self._gone, key, worker.ended)

    def _engine_died(self) -> None:
        """Its workers see that the connection has ended, and end."""
        for key, worker in self.workers.items():
            self._ways_in[key].cut()
            self._ways_out[key].cut()
            self._machine.after(self._machine.random.random() * 1.5, worker.process.die)

    # On the engine's loop

    def _begun(self, key: AttemptKey) -> None:
        if key in self.workers:
            self.events.attempt_started(key, 1000 + key)

    def _said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None:
        if key in self.workers:
            self.events.attempt_said(key, messages)

    def _gone(self, key: AttemptKey, ended: Exit) -> None:
        worker = self.workers.pop(key)
        self._machine.note(self._engine, f"hears that {worker.process.name} is gone ({ended.text})")
        self.events.attempt_gone(key, ended)


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
