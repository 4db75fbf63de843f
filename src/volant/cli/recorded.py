"""The end of a run that another program submitted: its result, or why there is none."""

from typing import Any

import click

from volant.api.runs import Run
from volant.cli.shapes import run_as_json
from volant.cli.showing import print_json, print_result, show_failure
from volant.model.errors import BlobError, NotSupportedError, ValueCodecError
from volant.model.phases import ActionPhase
from volant.values.rendering import as_json, as_text
from volant.values.structural import read_value


def show_end(run: Run[Any], *, as_data: bool) -> int:
    """Print the result of a run that has ended, or its failure; the exit code.

    Where the module of its task cannot be imported, the result is read without it.
    """
    if run.phase is not ActionPhase.SUCCEEDED:
        if as_data:
            print_json(run_as_json(run.record))
        return show_failure(run)
    try:
        if as_data:
            print_json(run_as_json(run.record, run.outputs().as_dict()))
        else:
            print_result(run.result())
    except (NotSupportedError, ValueCodecError) as error:
        _show_structure(run, error, as_data=as_data)
    except BlobError as error:
        click.echo(f"the result is not shown: {error}", err=True)
    return 0


def _parts(value: Any) -> tuple[Any, ...]:
    # Whether a tuple is one output or several, only the task could tell; as without an annotation, it is several.
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)  # pyright: ignore[reportUnknownVariableType]


def _show_structure(run: Run[Any], why: Exception, *, as_data: bool) -> None:
    try:
        value = read_value(run.encoded_result())
    except (ValueCodecError, BlobError) as error:
        click.echo(f"the result is not shown: {error}", err=True)
        return
    if as_data:
        print_json(run_as_json(run.record, {f"o{index}": as_json(part) for index, part in enumerate(_parts(value))}))
        return
    if value is not None:
        click.echo(value if isinstance(value, str) else as_text(value, full=True))
    if not isinstance(value, (str, int, float, bool, type(None))):
        click.echo(f"(read without its task's module: {why})", err=True)
