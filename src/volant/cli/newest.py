"""The run that is meant where none is named: the newest one."""

from volant.api.program import program
from volant.cli.failing import WrongCommandLine, say
from volant.client.connection import Connection
from volant.model.control_protocol import ListRuns, RunList
from volant.model.ids import RunId


async def meant_run(connection: Connection, name: str | None, *, told: bool = True) -> str:
    """The name that was given, or that of the newest run, which is said on standard error if *told*.

    Raises:
        WrongCommandLine: none was given, and the home has no runs.
    """
    if name is not None:
        return name
    page = await connection.ask(lambda number: ListRuns(request=number, limit=1), RunList)
    if not page.runs:
        msg = f"no run is named, and {program.settings().home} has none"
        raise WrongCommandLine(msg, hint="volant run FILE makes one")
    newest: RunId = page.runs[0].run
    if told:
        say(f"run {newest}, the newest one:")
    return newest
