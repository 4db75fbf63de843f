"""A task described for forms, agents and other languages."""

from typing import Any, get_args

from volant.authoring.docstrings import read_docstring
from volant.authoring.task import Task
from volant.values.annotations import field_types, unwrap
from volant.values.schemas import Field, TaskSchema, object_schema
from volant.values.signatures import EMPTY
from volant.values.structures import is_named_tuple


def schema_of(task: Task[..., Any]) -> TaskSchema:
    """The JSON Schema of what a task takes and returns."""
    interface = task.interface
    texts = read_docstring(task.docs.description)
    types = interface.types
    inputs = {
        parameter.name: Field(types[parameter.name], parameter.default, texts.parameters.get(parameter.name))
        for parameter in interface.parameters
    }
    return TaskSchema(
        inputs=object_schema(inputs, title=task.name, description=texts.text or None),
        outputs=object_schema(_outputs(task), title=f"{task.name} outputs"),
    )


def _outputs(task: Task[..., Any]) -> dict[str, Field]:
    names = task.interface.output_names
    returns = task.interface.returns
    plain: Any = unwrap(returns) if returns is not EMPTY else Any
    if names == ("o0",) and (len(get_args(plain)) != 1 or getattr(plain, "__origin__", None) is not tuple):
        return {"o0": Field(Any if returns is EMPTY else returns)}
    if isinstance(plain, type) and is_named_tuple(plain):
        annotations = field_types(plain)
        return {name: Field(annotations.get(name, Any)) for name in names}
    return {name: Field(kind) for name, kind in zip(names, get_args(plain), strict=True)}
