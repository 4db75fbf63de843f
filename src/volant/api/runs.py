"""`volant.Run`: a run, with the way to find one by name."""

from typing import Any, ClassVar, TypeVar

from volant.api.program import program
from volant.client.driving import BothWays
from volant.client.runs import RunHandle
from volant.model.control_protocol import GetRun, RunDetails
from volant.model.errors import ArgumentError

R = TypeVar("R")


class Run(RunHandle[R]):
    """One submission of a root task. It goes on, and this object stays good, when the program that made it is gone.

    Every method blocks; its `.aio` twin is awaited: `run.wait()`, `await run.wait.aio()`.
    """

    get: ClassVar[BothWays[[str], "Run[Any]"]]
    """The run of this name, or of the only name that begins so.

    Raises:
        RunNotFoundError: there is none, or several.
    """


async def _get(name: str) -> Run[Any]:
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"Run.get: name is {name!r} ({type(name).__name__}), expected the name of a run"
        raise ArgumentError(message, hint="run.name is the name; `volant get runs` lists all")
    client = program.client()
    async with client.connection() as connection:
        details = await connection.ask(lambda number: GetRun(request=number, run=name), RunDetails)
    return Run(client, details.run)


Run.get = BothWays(_get, "Run.get", "The run of this name, or of the only name that begins so.")
