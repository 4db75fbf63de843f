"""`volant db upgrade|check|backup`: looking after the journal's database. No engine is started."""

from pathlib import Path

import click

from volant.api.program import program
from volant.cli.commands import Command, Group
from volant.cli.failing import EXIT_FAILED
from volant.cli.get.options import output_option
from volant.cli.showing import print_json
from volant.client.driving import drive
from volant.kit.homes import prepare_home
from volant.kit.quantities import format_bytes
from volant.wiring.maintaining import maintenance_of
from volant.wiring.stores import journal_place


@click.group("db", cls=Group)
def command() -> None:
    """Upgrade, check and back up the journal's database.

    It is the one of the home, or the one that the setting `database` names. Engines may be using it meanwhile.
    """


@command.command("upgrade", cls=Command)
@output_option
def upgrade(output: str) -> None:
    """Bring the schema to the version of this release.

    An engine makes the tables of an empty database by itself. An older one is only upgraded here: engines of older
    releases may be using it, and cannot once it is newer than they know.
    """
    settings = program.settings()
    maintenance = maintenance_of(settings)
    prepare_home(settings.home)
    done = drive(maintenance.upgrade, name="volant db upgrade")
    if output == "json":
        print_json({"database": journal_place(settings), "before": done.before, "after": done.after})
    elif done.before == done.after:
        click.echo(f"{journal_place(settings)} has version {done.after} already", err=True)
    else:
        click.echo(f"{journal_place(settings)} was version {done.before}, now {done.after}", err=True)


@command.command("check", cls=Command)
@output_option
def check(output: str) -> int:
    """Compare the schema with this release's and read every row. The exit code is 1 when something is wrong."""
    settings = program.settings()
    maintenance = maintenance_of(settings)
    found = drive(maintenance.check, name="volant db check")
    if output == "json":
        counts = {"runs": found.runs, "actions": found.actions, "changes": found.changes}
        print_json({"database": journal_place(settings), **counts, "problems": list(found.problems)})
    else:
        for problem in found.problems:
            click.echo(problem)
        counted = f"{found.runs:,} runs, {found.actions:,} actions, {found.changes:,} changes"
        verdict = f"{len(found.problems)} problems" if found.problems else "no problem"
        click.echo(f"{journal_place(settings)}: {counted}, {verdict}", err=True)
    return EXIT_FAILED if found.problems else 0


@command.command("backup", cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write everything that is committed now to FILE, which must not be there yet.

    Of a SQLite journal the file is one too; of a Postgres database it is an archive for pg_restore.
    """
    maintenance = maintenance_of(program.settings())
    drive(lambda: maintenance.backup(file.absolute()), name="volant db backup")
    click.echo(f"wrote {file} ({format_bytes(file.stat().st_size)})", err=True)
