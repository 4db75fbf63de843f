"""The result of a run whose task's module is not at hand: read for what it is made of, without importing anything."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from volant.api.runs import Run
from volant.cli.failing import say, say_error
from volant.cli.jsons import as_json
from volant.cli.results import Form
from volant.cli.shapes import run_as_json
from volant.cli.showing import print_out
from volant.model.errors import BlobError, ValueCodecError
from volant.values.rendering import as_json as structure_as_json
from volant.values.rendering import as_text
from volant.values.structural import read_value


def show_structure(run: Run[Any], form: Form, why: Exception) -> None:
    """Print the structure of the result; *why* is what kept the result itself from being shown."""
    try:
        value = read_value(run.encoded_result())
    except (ValueCodecError, BlobError) as error:
        say_error(f"the result is not shown: {error}")
        return
    if form.is_json:
        outputs = {f"o{index}": structure_as_json(part) for index, part in enumerate(_parts(value))}
        print_out(as_json(run_as_json(run.record, outputs), compact=form is Form.JSON_RAW))
        return
    if value is not None:
        print_out(value if isinstance(value, str) else as_text(value, full=True))
    if not _is_plain(value):
        reason = type(why.__cause__ or why).__name__
        say(f"(read without its task's module, which cannot be imported here: {reason})")


def _is_plain(value: Any) -> bool:
    """Whether it looks as it would with the module at hand."""
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in cast("Mapping[Any, Any]", value).items() for each in pair)
    if isinstance(value, (list, tuple)):
        return all(_is_plain(each) for each in cast("Sequence[Any]", value))
    return value is None or isinstance(value, (str, int, float, bool, bytes))


def _parts(value: Any) -> tuple[Any, ...]:
    # Whether a tuple is one output or several, only the task could tell; as without an annotation, it is several.
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)  # pyright: ignore[reportUnknownVariableType]
