"""Which functions can be tasks, as far as their kind goes; `values.signatures` looks at what they take."""

import inspect

from volant.authoring.validation import shown
from volant.model.errors import DefinitionError, DefinitionTypeError

_NO_METHOD = "move it out of the class; what it needs of the object becomes a parameter"


def check_function(function: object) -> None:
    """Refuse what has no name, no place of its own, or no body that another process could run.

    Raises:
        DefinitionError: the message says why it cannot be a task.
    """
    if inspect.ismethod(function):
        message = f"@env.task: {function.__qualname__} is a method of {type(function.__self__).__name__}, "
        message += "expected a function: a task cannot be a method, since it runs elsewhere"
        raise DefinitionError(message, hint=_NO_METHOD)
    if not isinstance(getattr(function, "__name__", None), str):
        settings = "settings are keywords, as in @env.task(retries=3)"
        hint = settings if isinstance(function, (str, int, float)) else "define a function with def and decorate that"
        message = f"@env.task: found {shown(function)}, expected a function: def or async def"
        raise DefinitionTypeError(message, hint=hint)
    if not inspect.isfunction(function):
        return
    if function.__name__ == "<lambda>":
        message = "@env.task: found a lambda, expected a def: a task needs a name"
        raise DefinitionError(message, hint="define a function with def and decorate that")
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].name in {"self", "cls"} and parameters[0].annotation is inspect.Parameter.empty:
        message = f"@env.task: {function.__qualname__} takes {parameters[0].name!r}, expected a function: "
        raise DefinitionError(message + "a task cannot be a method, since it runs elsewhere", hint=_NO_METHOD)
