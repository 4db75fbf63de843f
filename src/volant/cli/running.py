"""`volant run FILE [TASK] [OPTIONS]`: the task's parameters are options of their own."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from volant.api.options import RunContext, check_options
from volant.api.program import program
from volant.api.running import RunFunction
from volant.api.runs import Run
from volant.authoring.task import Task
from volant.cli.commands import Command, literal
from volant.cli.failing import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, WrongCommandLine, say, say_error, say_hint
from volant.cli.finding import FileFailed, choose_task, load_tasks, own_tasks
from volant.cli.jsons import as_json
from volant.cli.pairs import name_value_pairs
from volant.cli.parameters import given_arguments, options_of, spelt
from volant.cli.results import Form, show_end
from volant.cli.shapes import run_as_json
from volant.cli.showing import print_out
from volant.cli.task_words import place_of_task
from volant.cli.usages import Count, StrayWords
from volant.client.driving import drive
from volant.model.errors import DefinitionError

if TYPE_CHECKING:
    from volant.authoring.docstrings import Documented

_FEW = 3
"""Parameters that are shown as an example."""
_HELP_NAMES = ["-h", "--help"]
_HELP = {"help_option_names": _HELP_NAMES}


@click.command(
    "run",
    cls=Command,
    context_settings={**_HELP, "ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@click.option("--name", metavar="NAME", help="Name of the run; made up by default.")
@click.option("--mode", metavar="MODE", help="local (isolated processes, the default) or inline (this process).")
@click.option("--env", "env", multiple=True, metavar="K=V", help="An environment variable of every task; repeatable.")
@click.option("--label", "label", multiple=True, metavar="K=V", help="A label of the run; repeatable.")
@click.option("--queue", metavar="QUEUE", help="The queue of tasks that name none.")
@click.option("--max-action-concurrency", type=Count(1), metavar="N", help="So many actions run at once, at most.")
@click.option("--interruptible/--no-interruptible", default=None, help="Whether tasks may be preempted.")
@click.option("--overwrite-cache", is_flag=True, help="Execute what is cached, and cache it anew.")
@click.option(
    "--no-cache", "--disable-run-cache", "disable_run_cache", is_flag=True, help="Neither read nor write the cache."
)
@click.option("--raw-data-path", metavar="URL", help="Where tasks put raw data.")
@click.option("--detach", is_flag=True, help="Print the run's name as soon as it is accepted.")
@click.option("--follow", is_flag=True, help="Show what the tasks print while they run, with their names in front.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the task's inputs and outputs; run nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option(
    "--output", "-o", type=click.Choice([form.value for form in Form]), default="text", help="Form of the result."
)
@click.argument("file", metavar="FILE [TASK]")
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[TASK OPTIONS]")
@click.pass_context
def command(context: click.Context, /, file: str, rest: tuple[str, ...], **options: Any) -> int:
    """Run a task of a Python file and wait for its result.

    FILE is a Python file, or the dotted name of a module. The task's parameters are options: volant run pipeline.py
    main --month 7. Without a TASK the file's only entrypoint is run, or its only task. The result goes to standard
    output, all else to standard error.
    """
    if file.startswith("-"):
        raise click.NoSuchOption(file, ctx=context)
    try:
        tasks = load_tasks(file)
    except FileFailed as error:
        if error.lines:
            say(error.lines)
        say_error(str(error), error.hint)
        return EXIT_FAILED
    name, rest = _split_name(context, tasks, file, rest)
    wants_help = not set(rest).isdisjoint(_HELP_NAMES)
    task = choose_task(file, name, tasks)
    if task is None or (name is None and wants_help and len(own_tasks(tasks)) > 1):
        code = _list_tasks(file, tasks, is_asked=wants_help)
        if task is None:
            return code
        print_out(f"\nWithout a TASK it is {task.short_name}:\n")
    # The task's required options need not be there for it.
    if options["schema"] or ("--schema" in rest and "schema" not in task.interface.by_name):
        schema = task.json_schema
        print_out(as_json({"task": task.name, "inputs": schema.inputs, "outputs": schema.outputs}))
        return 0
    inner = _task_command(context, task, _texts(task) if wants_help else None)
    title = f"volant run {file} {name}" if name is not None else f"volant run {file}"
    parsed = inner.make_context(title, list(rest))
    options |= {
        key: value
        for key, value in parsed.params.items()
        if key in options and parsed.get_parameter_source(key) is ParameterSource.COMMANDLINE
    }
    return _run(task, given_arguments(task, parsed, parsed.params), options)


def _split_name(
    context: click.Context, tasks: Mapping[str, Task[..., Any]], file: str, rest: tuple[str, ...]
) -> tuple[str | None, tuple[str, ...]]:
    """The name of the task, if one is given, and what stands on either side of it: options of the run and its own."""
    place = place_of_task(rest, context.command.params)
    if place is None:
        return None, rest
    known = {*tasks, *(task.name for task in tasks.values())}
    if place > 0 and rest[place] not in known and choose_task(file, None, dict(tasks)) is not None:
        # The task that needs no name may have an option that is spelt like a flag of ours, with this as its value.
        return None, rest
    return rest[place], (*rest[:place], *rest[place + 1 :])


def _run(task: Task[..., Any], arguments: tuple[tuple[Any, ...], dict[str, Any]], options: dict[str, Any]) -> int:
    args, kwargs = arguments
    detach, form = bool(options["detach"]), Form(options["output"])
    if options["mode"] is not None:
        program.flags["mode"] = options["mode"]
    program.reporters.is_quiet = bool(options["quiet"])
    program.reporters.followed = program.settings().home if options["follow"] else None
    try:
        run = drive(partial(RunFunction(program, _checked(options)).to_end, task, args, kwargs), name="volant run")
    except KeyboardInterrupt:
        # What became of the run was shown.
        return EXIT_INTERRUPTED
    return _show_detached(run, form) if detach else show_end(run, form)


def _checked(options: Mapping[str, Any]) -> RunContext:
    """The options of the run.

    Raises:
        WrongCommandLine: one of them cannot be.
    """
    if options["detach"] and options["follow"]:
        raise WrongCommandLine(
            "--detach and --follow: a run that is left alone is not followed", hint="volant attach follows it later"
        )
    names = ("name", "queue", "max_action_concurrency", "interruptible", "overwrite_cache", "disable_run_cache")
    try:
        return check_options(
            {
                **{name: options[name] for name in (*names, "raw_data_path")},
                "env_vars": name_value_pairs("--env", options["env"]),
                "labels": name_value_pairs("--label", options["label"]),
                "wait": not options["detach"],
            },
            where="volant run",
        )
    except DefinitionError as error:
        raise WrongCommandLine(str(error), hint=error.hint) from error


def _show_detached(run: Run[Any], form: Form) -> int:
    if form.is_json:
        print_out(as_json(run_as_json(run.record), compact=form is Form.JSON_RAW))
    else:
        print_out(run.name)
        say_hint(f"volant attach {run.name} watches it")
    return 0


class _TaskCommand(Command):
    """A task as a command: its own options, then those of every run."""

    def __init__(self, *, own: Sequence[click.Parameter], ours: Sequence[click.Parameter], **settings: Any) -> None:
        super().__init__(params=[*own, *ours], **settings)
        self._own_params = own
        self._own = {id(parameter) for parameter in own}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say first that parameters are options: what stands alone is probably meant to be one."""
        _, stray, _ = self.make_parser(ctx).parse_args(list(args))
        if stray and self._own_params:
            options = " ".join(f"{each.opts[0]} {each.make_metavar(ctx)}" for each in self._own_params[:_FEW])
            raise StrayWords(stray, ctx, hint=f"parameters are options: {options}")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Both lists."""
        for title, is_own in (("Options of the task", True), ("Options of the run", False)):
            parameters = [each for each in self.get_params(ctx) if (id(each) in self._own) is is_own]
            rows = [row for row in (each.get_help_record(ctx) for each in parameters) if row is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _task_command(context: click.Context, task: Task[..., Any], texts: "Documented | None") -> click.Command:
    """A command with the options of the task, and those of ours that do not clash with them."""
    own = options_of(task, texts.parameters if texts is not None else None)
    taken = {name for option in own for name in (*option.opts, *option.secondary_opts)}
    ours = [
        option
        for option in context.command.params
        if isinstance(option, click.Option) and not taken.intersection((*option.opts, *option.secondary_opts))
    ]
    return _TaskCommand(
        name=task.short_name,
        own=own,
        ours=ours,
        help=(texts.text if texts is not None else "") or f"Run task {task.name}.",
        context_settings={**_HELP, "token_normalize_func": spelt},
    )


def _texts(task: Task[..., Any]) -> "Documented":
    from volant.authoring.docstrings import read_docstring

    return read_docstring(task.docs.description)


def _list_tasks(file: str, tasks: dict[str, Task[..., Any]], *, is_asked: bool) -> int:
    """The tasks to choose from: as help, or because none was named where there are several."""
    own = own_tasks(tasks)
    write = print_out if is_asked else say
    if not is_asked:
        several = "several entrypoints" if any(task.entrypoint for task in own.values()) else "no entrypoint"
        say_error(f"{file} has {len(own)} tasks and {several}, expected the name of one")
    write(f"The tasks of {file}:\n" if is_asked else "")
    for name, task in own.items():
        mark = "  (entrypoint)" if task.entrypoint else ""
        write(f"  {literal(name)}{task.interface.describe()}{mark}")
        if summary := task.docs.summary:
            write(f"      {summary}")
    write("")
    if is_asked:
        write(f"volant run {file} TASK --help shows the options of one.")
        return 0
    say_hint(f"volant run {file} {next(iter(own))}")
    return EXIT_USAGE
