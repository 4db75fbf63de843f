"""`volant get logs RUN [ACTION]`, `volant logs`: what attempts wrote, together, each line with who wrote it."""

import asyncio
import sys
from collections.abc import Iterable

import click
import msgspec

from volant.api.program import program
from volant.cli.commands import Command
from volant.cli.failing import EXIT_INTERRUPTED
from volant.cli.get.options import output_option
from volant.cli.newest import meant_run
from volant.cli.usages import Count
from volant.client.connection import Connection
from volant.client.driving import drive
from volant.client.following import follow as follow_lines
from volant.client.logs import lines_of, log_file
from volant.client.tailing import RunTail
from volant.client.writers import Writer, head_of, readable, writers_of
from volant.model.control_protocol import ActionDetails, GetAction, GetRun, RunDetails
from volant.model.ids import ActionId
from volant.model.records import RunRecord
from volant.settings.terminal import wants_colour


@click.command("logs", cls=Command)
@click.argument("run", required=False)
@click.argument("action", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until the run or the action has ended.")
@click.option("--attempt", type=Count(1), metavar="N", help="Only the N-th attempt of each action.")
@click.option("--tail", "-n", type=Count(0), metavar="N", help="Only the last N lines of each attempt.")
@output_option
def command(
    *, run: str | None, action: str | None, follow: bool, attempt: int | None, tail: int | None, output: str
) -> int:
    """Print what the attempts of a run wrote, or those of one action of it; without a RUN, of the newest one.

    Where several wrote something, each line begins with who did: the task, the beginning of the action's id, and the
    attempt where there was more than one.
    """
    shown = _Lines(output)
    number = None if attempt is None else attempt - 1
    try:
        drive(lambda: _show(run, action, number, tail, shown, follow=follow), name="volant get logs")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


async def _show(
    run: str | None, action: str | None, attempt: int | None, tail: int | None, shown: "_Lines", *, follow: bool
) -> None:
    home = program.settings().home
    async with program.client().connection() as connection:
        record, only = await _meant(connection, run, action)
        # Whoever follows reads the same, whether the run has ended by then or not.
        is_alone = attempt is not None and only is not None
        if follow and not record.phase.is_final:
            followed = RunTail(home, record.run, action=only, attempt=attempt, last=tail)
            shown.begin(record, is_alone=is_alone, is_one=only is not None)
            async for writer, lines in follow_lines(connection, record.run, followed, action=only):
                shown.print(writer, lines)
            return
        writers = await writers_of(connection, home, record.run, action=only, attempt=attempt)
    shown.begin(record, is_alone=is_alone if follow else len(writers) <= 1, is_one=only is not None)
    for writer in writers:
        shown.print(writer, lines_of(log_file(home, record.run, writer.action, writer.attempt), tail=tail))
        await asyncio.sleep(0)
    if not writers:
        click.echo(f"nothing was written by {'this action' if only else f'run {record.run}'}, or it is gone", err=True)


async def _meant(connection: Connection, run: str | None, action: str | None) -> tuple[RunRecord, ActionId | None]:
    name = await meant_run(connection, run)
    details = await connection.ask(lambda number: GetRun(request=number, run=name), RunDetails)
    if action is None:
        return details.run, None
    found = await connection.ask(
        lambda number: GetAction(request=number, run=details.run.run, action=action), ActionDetails
    )
    return details.run, found.action.action


class _Lines:
    """Prints lines with who wrote them."""

    def __init__(self, output: str) -> None:
        self._as_json = output == "json"
        self._colour = wants_colour(sys.stdout)
        self._run = ""
        self._is_alone = False
        self._is_one = False

    def begin(self, run: RunRecord, *, is_alone: bool, is_one: bool) -> None:
        """*is_alone*: one attempt has written all there is; *is_one*: all attempts are of one action."""
        self._run = run.run
        self._is_alone = is_alone
        self._is_one = is_one

    def print(self, writer: Writer, lines: Iterable[str]) -> None:
        head = "" if self._is_alone else head_of(writer, is_one=self._is_one, colour=self._colour) + " "
        for line in lines:
            if self._as_json:
                shape = {
                    "run": self._run,
                    "action": writer.action,
                    "name": writer.name,
                    "attempt": writer.attempt + 1,
                    "line": line,
                }
                click.echo(msgspec.json.encode(shape).decode())
            else:
                # What is alone in a pipe or a file is as it was written.
                is_raw = self._is_alone and not sys.stdout.isatty()
                click.echo(line if is_raw else head + readable(line, colour=self._colour))
