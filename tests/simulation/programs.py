"""Little random programs: what the tasks of a simulated run do, and what an undisturbed run of them gives.

A program is a tree of tasks. What a task gives does not depend on the order of its calls, on which call wins a race, or
on how often it is executed: so there is one right result, whatever happens to the run.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from random import Random

import msgspec

from volant.model.ids import ActionId, SpecDigest
from volant.model.specs import ActionKind, ActionSpec, BackoffSpec, Loader, LoaderKind, ResourceSpec, RetrySpec

ALWAYS = 1_000_000
"""So often fails a task that always fails."""


@dataclass(frozen=True)
class Gather:
    """Call all at once, in any order, and wait for all of them."""

    tasks: tuple["Task", ...]
    is_tolerant: bool
    """Whether it goes on when one fails; otherwise the first failure that arrives is its own."""


@dataclass(frozen=True)
class Race:
    """Call all at once; whoever is told first has won, which may be a timer. The others are cancelled, or left alone;
    the winner's sequel is called."""

    tasks: tuple["Task", ...]
    timer: float | None
    """Seconds."""
    cancels: bool
    sequels: tuple["Task", ...]


@dataclass(frozen=True)
class Chain:
    """Call one after the other."""

    tasks: tuple["Task", ...]


@dataclass(frozen=True)
class Cancel:
    """Call, and lose interest after a while."""

    task: "Task"
    after: float


@dataclass(frozen=True)
class Forget:
    """Call, and never look."""

    task: "Task"


@dataclass(frozen=True)
class Timer:
    """A durable sleep, which the engine keeps."""

    seconds: float


@dataclass(frozen=True)
class Step:
    """A traced function, which gives something else each time that it is executed."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Sleep:
    seconds: float
    is_blocking: bool
    """Whether the process hears nothing meanwhile."""


@dataclass(frozen=True)
class Fail:
    """Fail, if this is one of the first executions that come here."""

    times: int
    by_exit: bool


Statement = Gather | Race | Chain | Cancel | Forget | Timer | Step | Sleep | Fail


@dataclass(frozen=True)
class Result:
    """What a task gives: bytes, or the code of its failure."""

    data: bytes = b""
    failure: str | None = None


@dataclass(frozen=True)
class Task:
    """A task and its only input, which is its name."""

    name: str
    statements: tuple[Statement, ...]
    retries: int = 0
    backoff: float | None = None
    """Seconds."""
    cpu: int = 1000
    has_digest: bool = True

    @cached_property
    def spec_body(self) -> bytes:
        backoff = None
        if self.backoff is not None:
            backoff = BackoffSpec(base=timedelta(seconds=self.backoff), factor=2.0)
        spec = ActionSpec(
            task=f"simulated.{self.name}",
            short_name=self.name,
            environment="simulated",
            loader=Loader(kind=LoaderKind.MODULE, module="simulated", qualname=self.name),
            is_async=True,
            resources=ResourceSpec(cpu=self.cpu),
            retries=RetrySpec(count=self.retries, backoff=backoff),
        )
        return msgspec.msgpack.encode(spec)

    @cached_property
    def spec(self) -> ActionSpec:
        return msgspec.msgpack.decode(self.spec_body, type=ActionSpec)

    @cached_property
    def digest(self) -> SpecDigest:
        return SpecDigest(hashlib.blake2b(self.spec_body, digest_size=8).hexdigest())

    @cached_property
    def expected(self) -> Result:
        """What it gives when nothing disturbs it."""
        parts: list[bytes] = []
        for statement in self.statements:
            match statement:
                case Gather(tasks=tasks, is_tolerant=is_tolerant):
                    results = [task.expected for task in tasks]
                    if not is_tolerant and any(result.failure for result in results):
                        return Result(failure="ChildFailed")
                    parts += [part_of(result) for result in results]
                case Chain(tasks=tasks):
                    parts += [part_of(task.expected) for task in tasks]
                case Fail(times=times, by_exit=by_exit):
                    if times > self.retries:
                        return Result(failure="ExitCode" if by_exit else "ValueError")
                case Race() | Cancel() | Forget() | Timer() | Step() | Sleep():
                    pass
        return Result(data=result_of(self.name, parts))

    def called(self) -> Iterator["Task"]:
        """What it calls."""
        for statement in self.statements:
            match statement:
                case Gather(tasks=tasks) | Chain(tasks=tasks):
                    yield from tasks
                case Race(tasks=tasks, sequels=sequels):
                    yield from tasks
                    yield from sequels
                case Cancel(task=task) | Forget(task=task):
                    yield task
                case Timer() | Step() | Sleep() | Fail():
                    pass


TIMER = ActionSpec(
    task="volant.durable.sleep",
    short_name="volant.durable.sleep",
    environment="simulated",
    loader=Loader(kind=LoaderKind.MODULE),
    is_async=False,
    kind=ActionKind.TIMER,
)
STEP = msgspec.structs.replace(TIMER, task="simulated.step", short_name="step", kind=ActionKind.STEP)


def part_of(result: Result) -> bytes:
    """What a caller that goes on anyway makes of a result."""
    return result.data if result.failure is None else f"failed {result.failure}".encode()


def result_of(name: str, parts: list[bytes]) -> bytes:
    """What a task gives, from what it was given."""
    return hashlib.blake2b(name.encode() + b"\0".join(parts), digest_size=6).hexdigest().encode()


@dataclass
class Program:
    """The tasks of one run."""

    root: Task
    tasks: dict[str, Task] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rest = [self.root]
        while rest:
            task = rest.pop()
            self.tasks[task.name] = task
            rest += task.called()


def random_program(random: Random, name: str) -> Program:
    """A program whose root is called *name*."""
    return Program(_Author(random).task(name, depth=random.choice([1, 2, 2, 3, 3, 4])))


class _Author:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._left = random.choice([4, 12, 25])
        """Tasks that may still be thought of."""

    def task(self, name: str, *, depth: int) -> Task:
        random = self._random
        self._left -= 1
        retries = random.choice([0, 0, 1, 1, 2, 3])
        statements: list[Statement] = []
        for number in range(random.randint(1, 2 if depth < 3 else 3) if depth else random.randint(0, 2)):
            statement = self._statement(f"{name}.{number}", depth, retries)
            # One that fails twice would need more retries than it has.
            if not isinstance(statement, Fail) or not any(isinstance(each, Fail) for each in statements):
                statements.append(statement)
        return Task(
            name=name,
            statements=tuple(statements),
            retries=retries,
            backoff=random.choice([None, None, 0.1, 2.0]),
            cpu=random.choice([1000, 1000, 1000, 500, 2000, 5000, 0]),
            has_digest=random.random() < 0.9,
        )

    def _statement(self, name: str, depth: int, retries: int) -> Statement:
        random = self._random
        if depth and self._left > 0:
            match random.choice(["gather", "gather", "gather", "race", "race", "chain", "cancel", "forget", "other"]):
                case "gather":
                    return Gather(self._tasks(name, depth), is_tolerant=random.random() < 0.6)
                case "race":
                    tasks = self._tasks(name, depth)
                    sequels = tuple(self.task(f"{task.name}+", depth=0) for task in tasks)
                    timer = random.choice([None, None, None, 0.01, 1.0])
                    return Race(tasks, timer=timer, cancels=random.random() < 0.6, sequels=sequels)
                case "chain":
                    return Chain(self._tasks(name, depth)[:3])
                case "cancel":
                    return Cancel(self.task(f"{name}c", depth=depth - 1), after=random.choice([0.0, 0.01, 0.5]))
                case "forget":
                    return Forget(self.task(f"{name}f", depth=depth - 1))
                case _:
                    pass
        if random.random() < 0.15:
            return Timer(random.choice([0.0, 0.05, 1.0, 12.0]))
        if random.random() < 0.2:
            return Step(name, random.choice([0.0, 0.01, 0.5]))
        if random.random() < 0.6:
            return Sleep(random.choice([0.001, 0.01, 0.01, 0.1, 1.0]), is_blocking=random.random() < 0.2)
        times = ALWAYS if random.random() < 0.2 else random.randint(1, max(1, retries))
        if times > retries:
            times = ALWAYS
        return Fail(times, by_exit=random.random() < 0.3)

    def _tasks(self, name: str, depth: int) -> tuple[Task, ...]:
        random = self._random
        tasks = [
            self.task(f"{name}{letter}", depth=depth - 1) for letter in "abcde"[: random.choice([1, 2, 2, 3, 3, 4, 5])]
        ]
        if random.random() < 0.3:
            # Equal calls.
            tasks += random.choices(tasks, k=2)
        return tuple(tasks)


def label(action: ActionId, name: str) -> str:
    """An action, for people."""
    return f"{name}#{action[:5]}"
