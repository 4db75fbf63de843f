"""`volant.run` and `volant.with_runcontext`: what scripts call."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from volant.api.options import RunContext, RunContextOptions, check_options, unheeded
from volant.api.program import Program, program
from volant.api.runs import Run
from volant.authoring.session import current_session
from volant.authoring.task import Task
from volant.authoring.validation import known_keywords
from volant.bundle.loading import is_importing_tasks
from volant.client.driving import drive
from volant.client.executing import execute
from volant.client.submission import prepare
from volant.model.errors import ArgumentError, CallError, NestedRunError, NotSupportedError
from volant.settings.loading import submission_environ
from volant.settings.tree import Mode, Settings

P = ParamSpec("P")
R = TypeVar("R")


class RunFunction:
    """Submits a task; `run(task, *args)` blocks, `await run.aio(task, *args)` does not."""

    def __init__(self, program: Program, context: RunContext) -> None:
        self._program = program
        self._context = context

    def __call__(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Run *task*, wait for its end, and return the `Run`.

        Raises:
            ArgumentError: the arguments do not fit the task; nothing was written.
            TaskError: the task failed; where its exception's class can be extended it is an instance of that too.
        """
        _refuse_nesting()
        run = drive(lambda: self.to_end(task, args, kwargs), name="volant.run")
        run.raise_failure()
        return run

    async def aio(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """As the call, for async code."""
        run = await self.to_end(task, args, kwargs)
        run.raise_failure()
        return run

    async def to_end(self, task: Task[..., R], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Run[R]:
        """As `aio`, but a run that failed is returned too."""
        _refuse_nesting()
        _check_task(task)
        context = self._context
        settings = self._program.settings({"mode": context.mode}, place="with_runcontext")
        mode = _executable_mode(settings, self._program.endpoint, wait=context.wait)
        client = self._program.client(settings)
        client.start_engine()
        try:
            prepared = prepare(
                task,
                (args, kwargs),
                context.for_engine(settings, mode),
                environ=submission_environ(),
                warnings=(*context.warnings, *unheeded(settings)),
            )
        except BaseException:
            client.let_engine_be()
            raise
        executed = await execute(client, prepared, wait=context.wait, mode=mode)
        return Run(client, executed.run, task=task, end=executed.end, env_vars=context.env_vars)


if not TYPE_CHECKING:
    # What is missing is said in our words; a type checker keeps the task's own parameters.
    RunFunction.__call__ = known_keywords("volant.run")(RunFunction.__call__)
    RunFunction.aio = known_keywords("volant.run.aio")(RunFunction.aio)


class Runner:
    """Options for runs; made by `with_runcontext`. It can be used any number of times."""

    def __init__(self, program: Program, context: RunContext) -> None:
        self.run = RunFunction(program, context)
        """As `volant.run`, with these options."""


run = RunFunction(program, RunContext())
"""Submit a task, wait for the end of the run, and return the `Run`.

The arguments are those of the task. `await run.aio(task, ...)` is the same for async code, and `with_runcontext(...)`
has options such as a name or a mode; with its `wait=False` the run is returned as soon as it is accepted. Ctrl-C, or
cancelling `run.aio`, aborts the run.

Raises:
    ArgumentError: the arguments do not fit the task; nothing was written.
    NestedRunError: called inside a task, or while a worker imports the module; nothing was written.
    NotSupportedError: the task asks for something that this version cannot do; nothing was written.
    CallError: called, not as `.aio`, where an event loop is running.
    EngineError: the engine cannot be started or reached, or it went away.
    TaskError: the task failed; where its exception's class can be extended it is an instance of that too.
"""


@known_keywords("with_runcontext")
def with_runcontext(mode: str | None = None, **options: Unpack[RunContextOptions]) -> Runner:
    """Options for the runs that are submitted through what it returns: `with_runcontext(name="x").run(task)`.

    Raises:
        UnknownParameterError: an option that there is not; the nearest one is named.
        DefinitionError: a value that cannot be.
    """
    return Runner(program, check_options({"mode": mode, **options}))


def _refuse_nesting() -> None:
    if is_importing_tasks():
        msg = (
            "volant.run was reached while this module is imported for its tasks, by a command or a worker, where it "
            "would start a run each time: put it under `if __name__ == '__main__':`"
        )
        raise NestedRunError(msg, hint="put the call under: if __name__ == '__main__':")
    session = current_session()
    if session is not None:
        msg = f"volant.run was called inside task {session.info.task!r}, which is part of run {session.info.run!r}"
        raise NestedRunError(msg, hint="call the task itself: await task(...), or task(...) from a sync task")


def _check_task(task: object) -> None:
    if isinstance(task, Task):
        return
    found = getattr(task, "__qualname__", None) or repr(task)
    hint = "decorate it: @env.task" if callable(task) else "pass the task itself, then its arguments"
    if inspect.iscoroutine(task):
        task.close()  # nobody will await it, and this error says why
        hint = f"pass the task without calling it: volant.run({task.__name__}, ...)"
    msg = f"volant.run: the first argument is {found} ({type(task).__name__}), expected a task"
    raise ArgumentError(msg, hint=hint)


def _executable_mode(settings: Settings, endpoint: str | None, *, wait: bool) -> Mode:
    match settings.mode:
        case Mode.LOCAL:
            return Mode.LOCAL
        case Mode.HYBRID:
            return Mode.LOCAL
        case Mode.INLINE:
            if not wait:
                msg = "mode='inline' with wait=False: the calling process executes the run, so it has to wait for it"
                raise CallError(msg, hint="leave out wait=False, or use mode='local'")
            return Mode.INLINE
        case Mode.REMOTE:
            where = f"the server {endpoint}" if endpoint else "no server: no endpoint is set"
            msg = f"mode 'remote' (from {settings.sources['mode']}): there is {where}; servers are not supported yet"
            raise NotSupportedError(msg, hint="use mode='local', or set VOLANT_MODE=local")
