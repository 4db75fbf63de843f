"""The table of commands. A command's module is imported when the command is asked for, and not for `--help`."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, TextIO

import click

from volant.cli.commands import Command, Group
from volant.kit.version import VERSION

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


class Entry(NamedTuple):
    """Where a command is, and its line in the list."""

    module: str
    help: str


COMMANDS = {
    "run": Entry("volant.cli.running", "Run a task of a Python file and wait for its result."),
    "attach": Entry("volant.cli.attaching", "Watch a run that is under way."),
    "resume": Entry("volant.cli.resuming", "Go on with runs whose engine died."),
    "abort": Entry("volant.cli.aborting", "Abort a run, or one action of it."),
    "rerun": Entry("volant.cli.rerunning", "Run the task of a run again, all of it or what did not succeed."),
    "get": Entry("volant.cli.getting", "List runs, actions, workers, environments, or show one."),
    "logs": Entry("volant.cli.get.logs", "Print what a run or an action wrote."),
    "delete": Entry("volant.cli.deleting", "Forget runs that have ended."),
    "engine": Entry("volant.cli.engine", "Look at the engine of the home, start or stop it."),
    "db": Entry("volant.cli.database", "Upgrade, check and back up the journal's database."),
    "doctor": Entry("volant.cli.doctor", "Show what this machine offers."),
    "init": Entry("volant.cli.initializing", "Write a small project to begin with."),
    "completion": Entry("volant.cli.completion", "Print the script that lets a shell complete commands."),
}
"""Each module has the command as `command`."""


class TableGroup(Group):
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
        return Command(name=cmd_name, help=entry.help)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        entry = self.entries.get(args[0])
        if entry is None:
            from volant.kit.nearest import did_you_mean

            ctx.fail(f"there is no {self.kind} {args[0]!r}{did_you_mean(args[0], self.entries)}")
        return args[0], _load(entry), args[1:]


@click.command(cls=TableGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="FOLDER", help="The home to use instead of VOLANT_HOME or ~/.volant.")
@click.version_option(VERSION, "--version", prog_name="volant")
def volant(home: str | None) -> None:
    """Typed, durable, isolated tasks in plain Python."""
    if home is not None:
        from volant.api.program import program

        program.flags["home"] = home


def run_command_line(arguments: Sequence[str]) -> int:
    """Do what the arguments say and give the exit code; what went wrong is on standard error."""
    _say_what_cannot_be_encoded()
    try:
        code: object = volant.main(list(arguments), prog_name="volant", standalone_mode=False)
        _flush(sys.stdout)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read has read enough; what a command had to do it has done before it printed.
        return 0
    except Exception as error:  # noqa: BLE001 - the boundary of the program: said in words, with its traceback if ours
        from volant.cli.failing import report_error

        return report_error(error)
    return code if isinstance(code, int) else 0


def _load(entry: Entry) -> click.Command:
    found: click.Command = importlib.import_module(entry.module).command
    return found


def _say_what_cannot_be_encoded() -> None:
    """Let characters that the terminal's encoding does not have be written as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _flush(stream: TextIO | None) -> None:
    if stream is not None and not stream.closed:
        stream.flush()
