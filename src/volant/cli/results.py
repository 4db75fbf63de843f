"""The result of a run on standard output, in the form that was asked for."""

import enum
import pprint
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, assert_never, cast

from volant.api.runs import Run
from volant.cli.failing import say_error
from volant.cli.jsons import as_json, fields_of
from volant.cli.shapes import run_as_json
from volant.cli.showing import print_out, show_failure
from volant.model.errors import BlobError, NotSupportedError, ValueCodecError
from volant.model.phases import ActionPhase
from volant.settings.terminal import wants_colour

_WIDTH = 100


class Form(enum.StrEnum):
    """How a result is written."""

    TEXT = "text"
    """Text as it is, nothing for None, all else as Python writes it."""
    JSON = "json"
    """The run and its outputs, indented."""
    JSON_RAW = "json-raw"
    """The same on one line."""
    TABLE = "table"
    """Rows and columns, where the result has them."""

    @property
    def is_json(self) -> bool:
        """Whether programs read it."""
        return self in (Form.JSON, Form.JSON_RAW)


def show_end(run: Run[Any], form: Form) -> int:
    """A run that has ended: its result, or on standard error why there is none; the exit code.

    Where the module of its task cannot be imported, the result is read without it.
    """
    if run.record.phase is not ActionPhase.SUCCEEDED:
        if form.is_json:
            print_out(as_json(run_as_json(run.record), compact=form is Form.JSON_RAW))
        return show_failure(run)
    try:
        match form:
            case Form.TEXT:
                print_text(run.result())
            case Form.TABLE:
                print_out(as_table(run.result()))
            case Form.JSON | Form.JSON_RAW:
                shown = run_as_json(run.record, run.outputs().as_dict())
                print_out(as_json(shown, compact=form is Form.JSON_RAW))
            case _:
                assert_never(form)
    except (NotSupportedError, ValueCodecError) as error:
        # Whoever submitted the run has its task and never comes here.
        from volant.cli.recorded import show_structure

        show_structure(run, form, error)
    except BlobError as error:
        say_error(f"the result is not shown: {error}")
    return 0


def print_text(value: object) -> None:
    """Text as it is, nothing for None, all else as Python writes it, as wide as there is room."""
    if value is None:
        return
    if isinstance(value, str):
        print_out(value)
        return
    width = shutil.get_terminal_size((_WIDTH, 24)).columns if wants_colour(sys.stdout) else _WIDTH
    print_out(pprint.pformat(value, width=max(width, 20), sort_dicts=False, compact=True))


def as_table(value: object) -> str:
    """A list of records as rows with a heading, another list as rows, one record as names and values."""
    if value is None:
        return ""
    columns = fields_of(value)
    if columns is not None:
        return _aligned([("name", "value"), *((name, each) for name, each in columns.items())])
    if not isinstance(value, (list, tuple, set, frozenset)):
        return _aligned([("value",), (value,)])
    found = list(cast("Iterable[object]", value))
    records = [fields_of(each) for each in found]
    if not found or any(record is None for record in records):
        return _aligned([("value",), *((each,) for each in found)])
    names = list(dict.fromkeys(name for record in records if record is not None for name in record))
    return _aligned([tuple(names), *(tuple((record or {}).get(name) for name in names) for record in records)])


def _aligned(rows: Sequence[Sequence[object]]) -> str:
    from rich.cells import cell_len

    cells = [[_cell(each) for each in row] for row in rows]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(cells[0]))]
    numeric = [
        all(isinstance(row[column], (int, float)) or row[column] is None for row in rows[1:])
        for column in range(len(widths))
    ]
    lines: list[str] = []
    for row in cells:
        padded = (
            " " * (width - cell_len(text)) + text if right else text + " " * (width - cell_len(text))
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.split()) if "\n" in text else text
