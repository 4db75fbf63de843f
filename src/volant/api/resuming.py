"""`volant.resume`: going on with a run whose engine died."""

from collections.abc import Mapping
from typing import Any, Literal

from volant.api.program import Program, program
from volant.api.runs import Run
from volant.authoring.validation import choice, variables
from volant.client.driving import drive
from volant.client.rerunning import WhichCode, current_code, recorded_submission
from volant.client.watching import insist, resume_run
from volant.model.control_protocol import GetRun, ListInterrupted, RunDetails, RunList
from volant.model.records import RunRecord


class ResumeFunction:
    """Resumes a run; `resume(name)` blocks, `await resume.aio(name)` does not."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __call__(
        self,
        name: str,
        *,
        env_vars: Mapping[str, str] | None = None,
        code: Literal["original", "current"] = "original",
        wait: bool = True,
    ) -> Run[Any]:
        """Go on with the run of this name, wait for its end, and return the `Run`.

        Actions whose outcome was told are not executed again: their callers get the recorded outcomes. Attempts that
        outlived the engine go on; those that are gone too count as lost, and others take their place, which see the
        environment variables of this process. A run that an engine executes already is only waited for.

        Args:
            name: the run's name, or as much of it as is unique.
            env_vars: the environment variables that the run was submitted with: only their names were kept.
            code: `"original"`, as it was when the run was submitted, or `"current"`, as it is in the same files now;
                attempts that outlived the engine finish with the code that they began with.
            wait: False returns as soon as the run goes on.

        Raises:
            RunNotFoundError: there is none of this name, or several.
            EngineError: it has ended.
            TaskError: the root task failed, as `volant.run` raises it.
        """
        wanted = _checked(env_vars, code)
        run = drive(lambda: self._resume(name, *wanted, wait=wait), name="volant.resume")
        run.raise_failure()
        return run

    async def aio(
        self,
        name: str,
        *,
        env_vars: Mapping[str, str] | None = None,
        code: Literal["original", "current"] = "original",
        wait: bool = True,
    ) -> Run[Any]:
        """As the call, for async code."""
        run = await self._resume(name, *_checked(env_vars, code), wait=wait)
        run.raise_failure()
        return run

    async def _resume(self, name: str, env_vars: dict[str, str], which: WhichCode, *, wait: bool) -> Run[Any]:
        client = self._program.client()

        async def ask() -> RunRecord:
            async with client.connection() as connection:
                code = None
                if which is WhichCode.CURRENT:
                    found = await connection.ask(lambda number: GetRun(request=number, run=name), RunDetails)
                    code = current_code(recorded_submission(found.run)[1], client.blobs)
                return await resume_run(connection, name, env_vars=env_vars, code=code)

        run = Run[Any](client, await insist(ask), env_vars=env_vars, resumed=True)
        if wait:
            await run.wait.aio()
        return run


resume = ResumeFunction(program)
"""Go on with the run of this name, whose engine died; wait for its end, and return the `Run`.

Actions whose outcome was told are not executed again: their callers get the recorded outcomes. Attempts that outlived
the engine go on; those that are gone too count as lost, and others take their place, which see the environment
variables of this process. A run that an engine executes already is only waited for. `await resume.aio(name)` is the
same for async code.

Args:
    name: the run's name, or as much of it as is unique.
    env_vars: the environment variables that the run was submitted with: only their names were kept.
    code: `"original"`, as it was when the run was submitted, or `"current"`, as it is in the same files now;
        attempts that outlived the engine finish with the code that they began with.
    wait: False returns as soon as the run goes on.

Raises:
    RunNotFoundError: there is none of this name, or several.
    EngineError: it has ended.
    TaskError: the root task failed, as `volant.run` raises it.
"""


def _checked(env_vars: object, code: object) -> tuple[dict[str, str], WhichCode]:
    given = {} if env_vars is None else variables("volant.resume", "env_vars", env_vars)
    return given, WhichCode(choice("volant.resume", "code", code, tuple(which.value for which in WhichCode)))


async def interrupted_runs(program: Program) -> tuple[RunRecord, ...]:
    """Runs that have not ended and that no engine executes, oldest first."""
    async with program.client().connection() as connection:
        page = await connection.ask(lambda number: ListInterrupted(request=number), RunList)
    return page.runs
