"""`volant run FILE [TASK] [OPTIONS]`: the task's parameters are options of their own."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from volant.api.options import check_options
from volant.api.program import program
from volant.api.running import RunFunction
from volant.api.runs import Run
from volant.authoring.task import Task
from volant.cli.commands import Command
from volant.cli.failing import EXIT_FAILED, say_error
from volant.cli.finding import FileFailed, choose_task, load_tasks
from volant.cli.parameters import given_arguments, options_of, spelt
from volant.cli.showing import print_json, print_result, run_as_json, show_failure
from volant.client.driving import drive
from volant.client.reporting import Silent
from volant.model.phases import ActionPhase

_HELP = {"help_option_names": ["-h", "--help"]}


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
@click.option("--max-action-concurrency", type=int, metavar="N", help="So many actions run at once, at most.")
@click.option("--interruptible/--no-interruptible", default=None, help="Whether tasks may be preempted.")
@click.option("--overwrite-cache", is_flag=True, help="Execute what is cached, and cache it anew.")
@click.option("--disable-run-cache", is_flag=True, help="Neither read nor write the cache.")
@click.option("--raw-data-path", metavar="URL", help="Where tasks put raw data.")
@click.option("--detach", is_flag=True, help="Print the run's name as soon as it is accepted.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
@click.argument("file", metavar="FILE [TASK]")
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[TASK OPTIONS]")
@click.pass_context
def command(context: click.Context, /, file: str, rest: tuple[str, ...], **options: Any) -> int:
    """Run a task of a Python file and wait for its result.

    The task's parameters are options: volant run pipeline.py main --month 7. Without a TASK the file's only entrypoint
    is run, or its only task. The result goes to standard output, all else to standard error.
    """
    name = rest[0] if rest and not rest[0].startswith("-") else None
    try:
        tasks = load_tasks(file)
    except FileFailed as error:
        click.echo(error.lines, err=True)
        say_error(str(error))
        return EXIT_FAILED
    if name is None and rest and set(rest) & {"-h", "--help"} and len(tasks) > 1:
        return _list_tasks(file, tasks)
    task = choose_task(file, name, tasks)
    inner = _task_command(context, file, task)
    title = f"volant run {file} {name}" if name is not None else f"volant run {file}"
    parsed = inner.make_context(title, list(rest if name is None else rest[1:]))
    options |= {
        key: value
        for key, value in parsed.params.items()
        if key in options and parsed.get_parameter_source(key) is ParameterSource.COMMANDLINE
    }
    return _run(task, given_arguments(task, parsed, parsed.params), options)


def _run(task: Task[..., Any], arguments: tuple[tuple[Any, ...], dict[str, Any]], options: dict[str, Any]) -> int:
    args, kwargs = arguments
    detach, as_json = bool(options["detach"]), options["output"] == "json"
    if options["mode"] is not None:
        program.flags["mode"] = options["mode"]
    if options["quiet"]:
        program.reporters = lambda _mode: Silent()
    context = check_options(
        {
            "name": options["name"],
            "env_vars": _pairs("--env", options["env"]),
            "labels": _pairs("--label", options["label"]),
            "queue": options["queue"],
            "max_action_concurrency": options["max_action_concurrency"],
            "interruptible": options["interruptible"],
            "overwrite_cache": options["overwrite_cache"],
            "disable_run_cache": options["disable_run_cache"],
            "raw_data_path": options["raw_data_path"],
            "wait": not detach,
        },
        where="volant run",
    )
    function = RunFunction(program, context)
    run = drive(partial(function.to_end, task, args, kwargs), name="volant run")
    return _show_detached(run, as_json=as_json) if detach else _show(run, as_json=as_json)


def _show(run: Run[Any], *, as_json: bool) -> int:
    if run.record.phase is not ActionPhase.SUCCEEDED:
        if as_json:
            print_json(run_as_json(run.record))
        return show_failure(run)
    if as_json:
        print_json(run_as_json(run.record, run.outputs().as_dict()))
    else:
        print_result(run.result())
    return 0


def _show_detached(run: Run[Any], *, as_json: bool) -> int:
    if as_json:
        print_json(run_as_json(run.record))
    else:
        click.echo(run.name)
        click.echo(f"volant attach {run.name} watches it", err=True)
    return 0


def _task_command(context: click.Context, file: str, task: Task[..., Any]) -> click.Command:
    """A command with the options of the task, and those of ours that do not clash with them."""
    own = options_of(task)
    taken = {name for option in own for name in (*option.opts, *option.secondary_opts)}
    ours = [
        option
        for option in context.command.params
        if isinstance(option, click.Option) and not taken.intersection((*option.opts, *option.secondary_opts))
    ]
    text = task.docs.description or f"Run task {task.name}."
    context_settings = {**_HELP, "token_normalize_func": spelt}
    return Command(name=task.short_name, params=[*own, *ours], help=text, context_settings=context_settings)


def _list_tasks(file: str, tasks: dict[str, Task[..., Any]]) -> int:
    click.echo(f"The tasks of {file}:\n")
    for name, task in tasks.items():
        mark = "  (entrypoint)" if task.entrypoint else ""
        click.echo(f"  {name}{task.interface.describe()}{mark}")
    click.echo(f"\nvolant run {file} TASK --help shows the options of one.")
    return 0


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"{option}: found {text!r}, expected NAME=VALUE"
            raise click.UsageError(msg)
        pairs[name] = value
    return pairs
