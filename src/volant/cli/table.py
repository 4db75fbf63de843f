"""The table of commands. A command's module is imported when the command is asked for, and not for `--help`."""

import importlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import click
from rich_click import RichCommand, RichGroup

from volant.api.program import program
from volant.cli.failing import EXIT_INTERRUPTED, report_error
from volant.client.starting import EngineStart
from volant.kit.nearest import did_you_mean
from volant.kit.version import VERSION


class Entry(NamedTuple):
    """Where a command is, and its line in the list."""

    module: str
    help: str


COMMANDS = {
    "run": Entry("volant.cli.running", "Run a task of a Python file and wait for its result."),
    "attach": Entry("volant.cli.attaching", "Watch a run that is under way."),
    "resume": Entry("volant.cli.resuming", "Go on with runs whose engine died."),
    "abort": Entry("volant.cli.aborting", "Abort a run, or one action of it."),
    "rerun": Entry("volant.cli.rerunning", "Run the task of a run again, with the same inputs."),
    "get": Entry("volant.cli.getting", "List runs, actions, workers, environments, or show one."),
    "logs": Entry("volant.cli.get.logs", "Print what a run or an action wrote."),
    "delete": Entry("volant.cli.deleting", "Forget runs that have ended."),
    "engine": Entry("volant.cli.engine", "Look at the engine of the home, start or stop it."),
    "doctor": Entry("volant.cli.doctor", "Show what this machine offers."),
    "init": Entry("volant.cli.initializing", "Write a small project to begin with."),
    "completion": Entry("volant.cli.completion", "Print the script that lets a shell complete commands."),
}
"""Each module has the command as `command`."""


class TableGroup(RichGroup):
    """A group whose commands are imported when they are invoked."""

    entries: ClassVar[Mapping[str, Entry]] = COMMANDS
    kind = "command"
    """What one that there is not is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """What stands for a command in the list; the command itself where its parameters are wanted."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        if ctx.resilient_parsing:
            return _load(entry)
        return RichCommand(name=cmd_name, help=entry.help)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        entry = self.entries.get(args[0])
        if entry is None:
            ctx.fail(f"there is no {self.kind} {args[0]!r}{did_you_mean(args[0], self.entries)}")
        return args[0], _load(entry), args[1:]


@click.command(cls=TableGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="FOLDER", help="The home to use instead of VOLANT_HOME or ~/.volant.")
@click.version_option(VERSION, "--version", prog_name="volant")
def volant(home: str | None) -> None:
    """Typed, durable, isolated tasks in plain Python."""
    if home is not None:
        program.flags["home"] = home


def run_command_line(arguments: Sequence[str], start: EngineStart | None) -> int:
    """Do what the arguments say and give the exit code; what went wrong is on standard error."""
    program.early_start = start
    try:
        code: object = volant.main(list(arguments), prog_name="volant", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary of the program: said in words, with its traceback if ours
        return report_error(error)
    finally:
        if program.early_start is not None:
            program.early_start.close()
    return code if isinstance(code, int) else 0


def _load(entry: Entry) -> click.Command:
    found: click.Command = importlib.import_module(entry.module).command
    return found
