"""Running tasks from tests: every run that ends is returned, whether it succeeded or not."""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, ParamSpec, TypeVar, Unpack

import msgspec

from volant.api.options import RunContext, RunContextOptions, check_options
from volant.api.runs import Run
from volant.authoring.session import current_session
from volant.authoring.task import Task
from volant.client.driving import drive
from volant.client.executing import execute
from volant.client.submission import prepare
from volant.model.errors import ArgumentError, CallError, NestedRunError, NotSupportedError
from volant.settings.loading import submission_environ
from volant.settings.tree import Mode
from volant.testing.carrying import with_stubs
from volant.testing.finished import FinishedRun
from volant.testing.printing import Printing
from volant.testing.sessions import TestHome
from volant.testing.stubbing import StubTask

P = ParamSpec("P")
R = TypeVar("R")

# It is another one for every test, and a zygote serves attempts of one environment only.
_NOT_FOR_ATTEMPTS = ("PYTEST_CURRENT_TEST",)


class RunTask:
    """Runs a task to its end: `run_task(task, *args)`, or `await run_task.aio(task, *args)` where a loop runs."""

    def __init__(
        self,
        home: TestHome,
        *,
        mode: Mode,
        stubs: StubTask,
        context: RunContext | None = None,
        printing: Printing | None = None,
        made: list[FinishedRun[Any]] | None = None,
    ) -> None:
        self._home = home
        self._mode = mode
        self._stubs = stubs
        self._context = context or RunContext()
        self._printing = printing or Printing()
        self.made: list[FinishedRun[Any]] = [] if made is None else made
        """The runs so far, in the order of their ends."""

    def __call__(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> FinishedRun[R]:
        """Run *task* and return the run that has ended, however it ended.

        Raises:
            ArgumentError: the arguments do not fit the task; nothing was run.
        """
        __tracebackhide__ = True
        try:
            return drive(lambda: self._to_end(task, args, kwargs), name="run_task")
        except ArgumentError as error:
            # The test is where the mistake is: the report of it shows none of our frames.
            raise error.with_traceback(None)  # noqa: B904 - the same error, with what caused it

    async def aio(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> FinishedRun[R]:
        """As the call, for async tests.

        Raises:
            CallError: the loop that runs is not one of asyncio.
        """
        _check_loop()
        return await self._to_end(task, args, kwargs)

    def with_runcontext(self, mode: str | None = None, **options: Unpack[RunContextOptions]) -> "RunTask":
        """The same with options for the runs, as `volant.with_runcontext` takes them.

        Raises:
            DefinitionError: an option that there is not, or a value that cannot be.
            NotSupportedError: a mode in which a run does not end with the test.
        """
        context = check_options({**options, "mode": mode}, where="run_task.with_runcontext")
        if not context.wait:
            msg = "run_task.with_runcontext: wait is False, but a test gets a run that has ended"
            raise NotSupportedError(msg, hint="use volant.with_runcontext(wait=False).run(task)")
        return RunTask(
            self._home,
            mode=testable_mode("run_task.with_runcontext", context.mode or self._mode),
            stubs=self._stubs,
            context=context,
            printing=self._printing,
            made=self.made,
        )

    async def _to_end(self, task: Task[..., R], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> FinishedRun[R]:
        _check(task)
        settings = self._home.program.settings({"mode": self._mode.value}, place="run_task")
        environ = submission_environ()
        for name in _NOT_FOR_ATTEMPTS:
            environ.pop(name, None)
        # What stubs answered must not be found in the cache by another test.
        context = msgspec.structs.replace(
            self._context, disable_run_cache=self._context.disable_run_cache or bool(self._stubs.made)
        )
        prepared = prepare(
            task,
            (args, kwargs),
            context.for_engine(settings, self._mode),
            environ=environ,
            warnings=context.warnings,
        )
        if self._mode is Mode.LOCAL:
            prepared = with_stubs(prepared, self._stubs)
        client = self._home.program.client(settings)
        with self._printing.copied() as parts:
            executed = await execute(client, prepared, wait=True, mode=self._mode)
        run = Run(client, executed.run, task=task, end=executed.end)
        finished = FinishedRun(run, client=client, printed="".join(parts) if self._mode is Mode.INLINE else None)
        self.made.append(finished)
        if self._mode is Mode.INLINE and finished.failure and finished.failure.code == KeyboardInterrupt.__name__:
            # It was meant for the tests; the task that it reached was only in the way.
            raise KeyboardInterrupt
        return finished


def testable_mode(where: str, mode: str) -> Mode:
    """A mode whose runs stay on this machine.

    Raises:
        NotSupportedError: it is another one, or there is none of this name.
    """
    if mode in (Mode.INLINE.value, Mode.LOCAL.value):
        return Mode(mode)
    msg = f"{where}: mode is {mode!r}, expected 'inline' or 'local'"
    raise NotSupportedError(msg, hint="tests run on this machine")


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        msg = "run_task.aio was awaited where no asyncio loop runs"
        raise CallError(msg, hint="with anyio, use the backend 'asyncio' for this test") from None


def _check(task: object) -> None:
    session = current_session()
    if session is not None:
        msg = f"run_task was called inside task {session.info.task!r}, which is part of a run"
        raise NestedRunError(msg, hint="call the task itself: await task(...), or task(...) from a sync task")
    if not isinstance(task, Task):
        hint = "decorate it: @env.task" if callable(task) else "pass the task itself, then its arguments"
        if inspect.iscoroutine(task):
            task.close()  # nobody will await it, and this error says why
            hint = f"pass the task without calling it: run_task({task.__name__}, ...)"
        found = getattr(task, "__qualname__", None) or repr(task)
        msg = f"run_task: the first argument is {found} ({type(task).__name__}), expected a task"
        raise ArgumentError(msg, hint=hint)
