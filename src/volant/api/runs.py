"""`volant.Run`: a run, with the ways to find some."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from volant.api.filters import check_labels, check_limit, check_phases, check_since
from volant.api.program import program
from volant.client.driving import BothWays
from volant.client.listing import Listing, Pages
from volant.client.runs import RunHandle
from volant.model.control_protocol import GetRun, ListRuns, RunDetails, RunList
from volant.model.errors import ArgumentError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase

R = TypeVar("R")


async def _get(name: str) -> "Run[Any]":
    """The run of this name, or of the only name that begins so.

    Raises:
        RunNotFoundError: there is none, or several.
    """
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"Run.get: name is {name!r} ({type(name).__name__}), expected the name of a run"
        raise ArgumentError(message, hint="run.name is the name; `volant get runs` lists all")
    client = program.client()
    async with client.connection() as connection:
        details = await connection.ask(lambda number: GetRun(request=number, run=name), RunDetails)
    return Run(client, details.run)


def _listall(
    in_phase: Collection[ActionPhase | str] | None = None,
    task_name: str | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    since: datetime | timedelta | None = None,
    limit: int | None = 100,
) -> "Pages[Run[Any]]":
    """The runs of the home, newest first; *since* is an instant, or so long ago; a *limit* of None means all of them.

    `for run in Run.listall(in_phase=["failed"])`, and `async for` with `Run.listall.aio`.

    Raises:
        DefinitionError: a phase that there is not, or another value that cannot be.
    """
    phases = check_phases("Run.listall", in_phase)
    wanted = check_labels("Run.listall", labels)
    created = check_since("Run.listall", since)

    async def fetch(before: str, size: int) -> "tuple[list[Run[Any]], str | None]":
        client = program.client()
        async with client.connection() as connection:
            page = await connection.ask(
                lambda number: ListRuns(
                    request=number,
                    phases=phases,
                    task=task_name,
                    labels=wanted,
                    since=created,
                    before=RunId(before) if before else None,
                    limit=size,
                ),
                RunList,
            )
        return [Run(client, record) for record in page.runs], page.runs[-1].run if len(page.runs) == size else None

    return Pages(fetch, first="", limit=check_limit("Run.listall", limit))


class Run(RunHandle[R]):
    """One submission of a root task. It goes on, and this object stays good, when the program that made it is gone.

    Every method blocks; its `.aio` twin is awaited: `run.wait()`, `await run.wait.aio()`.
    """

    get = BothWays(_get, "Run.get", _get.__doc__)
    listall = Listing(_listall, "Run.listall", _listall.__doc__)
