"""What a function takes: its parameters, and how a call binds to them.

Binding follows Python exactly; the errors name the task and what was meant, which Python's do not.
"""

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, UnionType
from typing import Any, Final

import msgspec

from volant.kit.nearest import nearest
from volant.model.errors import ArgumentError, DefinitionError, DefinitionTypeError
from volant.values.annotations import describe
from volant.values.wire import class_of, found

EMPTY: Final = inspect.Parameter.empty
POSITIONAL_ONLY: Final = inspect.Parameter.POSITIONAL_ONLY
KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY
_NO_TYPES: Final = frozenset(
    (bool, int, float, complex, bytes, list, tuple, dict, set, frozenset, BuiltinFunctionType, FunctionType)
)
_TYPES_MEANT: Final[dict[Any, str]] = {any: "the type is typing.Any", callable: "the type is collections.abc.Callable"}
_MADE_OF_TYPES: Final = frozenset((list, dict, set, frozenset, tuple, typing.Union, UnionType))
"""What these have in brackets are types, which need not be so for classes of others."""
_COLLECTING: Final[dict[Any, str]] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter as it was written. `EMPTY` stands for an annotation or a default that is not there."""

    name: str
    kind: Any
    annotation: Any
    default: Any

    @property
    def is_required(self) -> bool:
        return self.default is EMPTY

    @property
    def is_positional(self) -> bool:
        return self.kind is not KEYWORD_ONLY


def parameters_of(function: Callable[..., Any], *, task: str) -> tuple[tuple[Parameter, ...], Any]:
    """The parameters and the return annotation.

    Raises:
        DefinitionError: the function cannot be a task; the message says why.
    """
    _check_function(function, task)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise DefinitionTypeError(f"{task}: found {found(function)}, which has no signature ({error})") from None
    for parameter in signature.parameters.values():
        _check_parameter(parameter, task)
    if signature.return_annotation is not EMPTY:
        _check_written(f"{task}: the return annotation", signature.return_annotation)
    parameters = tuple(
        Parameter(name=each.name, kind=each.kind, annotation=each.annotation, default=each.default)
        for each in signature.parameters.values()
    )
    return parameters, signature.return_annotation


def shown_parameters(parameters: Sequence[Parameter]) -> str:
    """Parameters as a person would write them: `(carrier: str, *, month: int = 1)`."""
    parts: list[str] = []
    before: Any = None
    for parameter in parameters:
        if before is POSITIONAL_ONLY and parameter.kind is not POSITIONAL_ONLY:
            parts.append("/")
        if parameter.kind is KEYWORD_ONLY and before is not KEYWORD_ONLY:
            parts.append("*")
        annotation = "Any" if parameter.annotation is EMPTY else describe(parameter.annotation)
        default = "" if parameter.is_required else f" = {parameter.default!r}"
        parts.append(f"{parameter.name}: {annotation}{default}")
        before = parameter.kind
    if before is POSITIONAL_ONLY:
        parts.append("/")
    return f"({', '.join(parts)})"


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function))


class Binding:
    """Binds calls to a list of parameters."""

    __slots__ = ("by_name", "parameters", "positional", "required", "task")

    def __init__(self, parameters: Sequence[Parameter], *, task: str) -> None:
        self.task = task
        self.parameters = tuple(parameters)
        self.by_name = {parameter.name: parameter for parameter in parameters}
        self.positional = tuple(parameter.name for parameter in parameters if parameter.is_positional)
        self.required = tuple(parameter.name for parameter in parameters if parameter.is_required)

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The arguments by name, in the order of the parameters; defaults are not filled in.

        Raises:
            ArgumentError: they do not bind.
        """
        if len(args) > len(self.positional):
            raise ArgumentError(self._surplus(args), hint=self.hint())
        bound: dict[str, object] = dict(zip(self.positional, args, strict=False))
        if kwargs:
            bound = self._with_keywords(bound, kwargs)
        if missing := [name for name in self.required if name not in bound]:
            raise ArgumentError(f"{self.task}: {self._missing(missing)}", hint=self.hint())
        return bound

    def _with_keywords(self, bound: dict[str, object], kwargs: Mapping[str, object]) -> dict[str, object]:
        for name in kwargs:
            parameter = self.by_name.get(name)
            if parameter is None:
                raise ArgumentError(f"{self.task}: found the argument {name!r}, {self._wanted(name)}", hint=self.hint())
            if parameter.kind is POSITIONAL_ONLY:
                message = f"{self.task}: found {name!r} as a keyword, wanted it by position only"
                raise ArgumentError(message, hint=self.hint())
            if name in bound:
                message = f"{self.task}: found two values for the argument {name!r}, wanted one"
                raise ArgumentError(message, hint=self.hint())
        given = {**bound, **kwargs}
        return {name: given[name] for name in self.by_name if name in given}

    def hint(self) -> str:
        """What the task takes, for somebody whose arguments it does not."""
        return f"the task takes {shown_parameters(self.parameters)}"

    def _surplus(self, args: Sequence[object]) -> str:
        count = len(self.positional)
        wanted = f"at most {count} ({', '.join(self.positional)})" if count else "none"
        return f"{self.task}: found {len(args)} positional argument{'s' * (len(args) > 1)}, wanted {wanted}"

    def _missing(self, names: Sequence[str]) -> str:
        listed = ", ".join(repr(name) for name in names)
        return f"missing the argument{'s' * (len(names) > 1)} {listed}"

    def _wanted(self, name: str) -> str:
        keywords = [each.name for each in self.parameters if each.kind is not POSITIONAL_ONLY]
        near = nearest(name, keywords)
        if near is not None:
            return f"did you mean {near!r}?"
        return f"wanted one of {', '.join(map(repr, keywords))}" if keywords else "wanted none"


def _check_function(function: Any, task: str) -> None:
    plain = inspect.unwrap(function) if callable(function) else function
    kind = class_of(function).__name__
    if class_of(function) in (staticmethod, classmethod):
        hint = f"put @{kind} above @env.task, or move the function out of the class"
        raise DefinitionTypeError(f"{task}: found a {kind}, wanted a function", hint=hint)
    if isinstance(function, type):
        hint = "write a function that makes and uses the object"
        raise DefinitionTypeError(f"{task}: found the class {function.__qualname__}, wanted a function", hint=hint)
    if not callable(function):
        raise DefinitionTypeError(f"{task}: found {found(function)}, wanted a function")
    if inspect.isasyncgenfunction(plain) or inspect.isgeneratorfunction(plain):
        raise DefinitionTypeError(
            f"{task}: found a generator function, wanted one that returns its result: "
            "what a generator yields has no place to be stored",
            hint="return a list",
        )


def _check_parameter(parameter: inspect.Parameter, task: str) -> None:
    name = _COLLECTING.get(parameter.kind, "") + parameter.name
    if parameter.kind in _COLLECTING:
        raise DefinitionError(
            f"{task}: found the parameter {name!r}, wanted parameters with names: "
            "every input of a task has a name and a type",
            hint=f"take a {'list' if len(name) - len(parameter.name) == 1 else 'dict'}: {_as_one(parameter)}",
        )
    if parameter.annotation is EMPTY and parameter.default is EMPTY:
        message = f"{task}: the parameter {name!r} is neither annotated nor has a default, wanted a type"
        raise DefinitionError(message, hint=f"for example {name}: int, or {name}: Any for whatever comes")
    _check_written(f"{task}: the annotation of {name!r}", parameter.annotation)


def _check_written(what: str, annotation: Any) -> None:
    if class_of(annotation) is not str:
        _check_annotation(what, annotation)
    elif not annotation.isidentifier():
        _check_syntax(what, annotation)


def _check_annotation(what: str, annotation: Any) -> None:
    """Refuse what is no type at a glance; the rest is seen when its plan is built."""
    kind = class_of(annotation)
    if kind not in _NO_TYPES:
        if typing.get_origin(annotation) in _MADE_OF_TYPES:
            for part in typing.get_args(annotation):
                _check_annotation(f"{what}, in {describe(annotation)}", part)
        return
    hint = _TYPES_MEANT.get(annotation) if kind in (BuiltinFunctionType, FunctionType) else _type_meant(annotation)
    raise DefinitionTypeError(f"{what} is {found(annotation)}, wanted a type", hint=hint)


def _check_syntax(what: str, annotation: str) -> None:
    try:
        compile(annotation, "<annotation>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        message = f"{what} is {annotation!r}, wanted a type: {reason}"
        raise DefinitionError(message, hint="an annotation in quotes is an expression too") from None


def _type_meant(annotation: Any) -> str | None:
    if isinstance(annotation, (list, tuple, dict, set)):
        parts: list[Any] = [*annotation, *annotation.values()] if isinstance(annotation, dict) else [*annotation]
        inner = ", ".join(describe(part) for part in parts)
        return f"a type of its own is written {class_of(annotation).__name__}[{inner}]"
    return f"Literal[{annotation!r}] takes only this value"


def _as_one(parameter: inspect.Parameter) -> str:
    """A parameter that collects arguments, written as one that takes them together."""
    inner = "Any" if parameter.annotation is EMPTY else describe(parameter.annotation)
    return (
        f"{parameter.name}: {'list[' if parameter.kind is inspect.Parameter.VAR_POSITIONAL else 'dict[str, '}{inner}]"
    )
