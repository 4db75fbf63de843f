"""`volant.resume`: going on with a run whose engine died."""

from typing import Any

from volant.api.program import Program, program
from volant.api.runs import Run
from volant.client.driving import drive
from volant.client.watching import resume_run
from volant.model.control_protocol import ListInterrupted, RunList
from volant.model.records import RunRecord


class ResumeFunction:
    """Resumes a run; `resume(name)` blocks, `await resume.aio(name)` does not."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __call__(self, name: str, *, wait: bool = True) -> Run[Any]:
        """Go on with the run of this name, wait for its end, and return the `Run`.

        Actions whose outcome was told are not executed again: their callers get the recorded outcomes. What was under
        way when the engine died is executed again, and its attempt counts as lost. Attempts see the environment
        variables of this process. A run that an engine executes already is only waited for.

        Args:
            name: the run's name, or as much of it as is unique.
            wait: False returns as soon as the run goes on.

        Raises:
            RunNotFoundError: there is none of this name, or several.
            EngineError: it has ended.
            TaskError: the root task failed, as `volant.run` raises it.
        """
        run = drive(lambda: self._resume(name, wait=wait), name="volant.resume")
        run.raise_failure()
        return run

    async def aio(self, name: str, *, wait: bool = True) -> Run[Any]:
        """As the call, for async code."""
        run = await self._resume(name, wait=wait)
        run.raise_failure()
        return run

    async def _resume(self, name: str, *, wait: bool) -> Run[Any]:
        client = self._program.client()
        async with client.connection() as connection:
            record = await resume_run(connection, name)
        run = Run[Any](client, record)
        if wait:
            await run.wait.aio()
        return run


resume = ResumeFunction(program)
"""Go on with the run of this name, whose engine died; wait for its end, and return the `Run`.

Actions whose outcome was told are not executed again: their callers get the recorded outcomes. What was under way when
the engine died is executed again, and its attempt counts as lost. Attempts see the environment variables of this
process. A run that an engine executes already is only waited for. `await resume.aio(name)` is the same for async code.

Args:
    name: the run's name, or as much of it as is unique.
    wait: False returns as soon as the run goes on.

Raises:
    RunNotFoundError: there is none of this name, or several.
    EngineError: it has ended.
    TaskError: the root task failed, as `volant.run` raises it.
"""


async def interrupted_runs(program: Program) -> tuple[RunRecord, ...]:
    """Runs that have not ended and that no engine executes, oldest first."""
    async with program.client().connection() as connection:
        page = await connection.ask(lambda number: ListInterrupted(request=number), RunList)
    return page.runs
