"""A task's inputs and outputs: what its function takes and returns, as values and as bytes."""

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Optional

from volant.model.errors import ArgumentError, DefinitionError, DefinitionTypeError, ValueCodecError
from volant.values.annotations import describe, is_unresolved, unwrap
from volant.values.codec import PLANNER, Encoded, decode_plan, encode_plan, read_payload, too_deep, write_payload
from volant.values.outputs import names_of_outputs, outputs_in
from volant.values.plans import Plan
from volant.values.scopes import Scope
from volant.values.signatures import (
    EMPTY,
    POSITIONAL_ONLY,
    Binding,
    Parameter,
    is_async,
    parameters_of,
    shown_parameters,
)
from volant.values.wire import (
    STRUCT,
    Fault,
    Misread,
    OpenBlobs,
    Sink,
    Source,
    Unencodable,
    class_of,
    read_size,
    read_text,
    sized,
    text_bytes,
    write_size,
)

__all__ = ["EMPTY", "Interface", "Parameter"]

_RETURN: Final = "return"
_PLAIN: Final = frozenset((bool, int, float, str))
_NOWHERE: Final = 1 << 62
"""A `Sink.probe` that no pickled part has."""


class Interface:
    """What a task takes and returns.

    Cheap to make: annotations are evaluated, and plans built, at the first call that needs them.
    """

    __slots__ = (
        "_binding",
        "_scope",
        "_slots",
        "_types",
        "function",
        "is_async",
        "name",
        "parameters",
        "return_annotation",
    )

    def __init__(
        self, function: Callable[..., Any], *, name: str, scope: Scope, types: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.function = function
        self.is_async = is_async(function)
        self.parameters, self.return_annotation = parameters_of(function, task=self.title)
        self._binding = Binding(self.parameters, task=self.title)
        self._types: dict[str, Any] = dict(types or {})
        self._slots: tuple[tuple[Parameter, bytes, Plan], ...] | None = None
        self._scope = scope
        self._settle()

    @classmethod
    def of(cls, function: Callable[..., Any], *, name: str) -> "Interface":
        """The interface of a function, for the task *name*.

        Raises:
            DefinitionError: the function cannot be a task; the message says why.
        """
        made = cls(function, name=name, scope=Scope.of(function))
        made._check_defaults()
        return made

    @property
    def title(self) -> str:
        """The task as errors name it."""
        return f"task {self.name!r}"

    @property
    def by_name(self) -> Mapping[str, Parameter]:
        """The parameters by name, in order."""
        return self._binding.by_name

    @property
    def types(self) -> Mapping[str, Any]:
        """The evaluated annotation of each parameter; `Any` for one that has none.

        Raises:
            DefinitionError: a name in an annotation is still not defined.
        """
        return {parameter.name: self._type(parameter.name, parameter.annotation) for parameter in self.parameters}

    @property
    def returns(self) -> Any:
        """The evaluated return annotation; `EMPTY` without one."""
        if self.return_annotation is EMPTY:
            return EMPTY
        return self._type(_RETURN, self.return_annotation)

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The arguments of a call by name, exactly as Python binds them; defaults are not filled in.

        Raises:
            ArgumentError: an argument is missing, surplus, misspelt or given twice.
        """
        return self._binding.bind(args, kwargs)

    def check_value(self, name: str, value: object) -> None:
        """See that a value fits a parameter, as far as its annotation can be evaluated by now.

        Raises:
            ArgumentError: it does not.
            DefinitionError: the annotation is no type.
        """
        parameter = self.by_name[name]
        if parameter.annotation is EMPTY or _fits_plainly(value, parameter.annotation):
            return
        try:
            annotation = self._type(name, parameter.annotation)
        except DefinitionError:
            return  # a name that is defined further down; the first call tells
        plan = self._plan_of(parameter, annotation)
        with contextlib.suppress(ValueCodecError):  # fits or not, it cannot be stored; a default never has to be
            encode_plan(plan, value, where=name, name=name)

    def encode_inputs(self, arguments: Mapping[str, object]) -> Encoded:
        """The bytes of a call's arguments.

        Defaults that were not passed are filled in where they have a digest, so that leaving one
        out and passing it is the same call. The others are left to the function.

        Raises:
            ArgumentError: a value is not of its parameter's type.
            ValueCodecError: a value cannot be encoded at all.
        """
        try:
            return write_payload(partial(self._write_inputs, arguments), where=self.title)
        except ArgumentError as error:
            error.hint = error.hint or self._binding.hint()
            raise

    def decode_inputs(
        self, data: bytes, *, blobs: OpenBlobs | None = None
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments to call the function with; *blobs* gives the store of their parts.

        Raises:
            BlobError: a part cannot be read.
            ValueCodecError: the bytes are not the arguments of this function.
        """
        values = self.decode_arguments(data, blobs=blobs)
        args: list[object] = []
        kwargs: dict[str, object] = {}
        for parameter in self.parameters:
            name = parameter.name
            if parameter.kind is POSITIONAL_ONLY:
                args.append(values.get(name, parameter.default))
            elif name in values:
                kwargs[name] = values[name]
        return tuple(args), kwargs

    def decode_arguments(self, data: bytes, *, blobs: OpenBlobs | None = None) -> dict[str, object]:
        """The arguments by name, without defaults that were left to the function.

        Raises:
            ValueCodecError: the bytes are not the arguments of this function.
        """
        values: dict[str, object] = read_payload(self._read_inputs, data, where=self.title, blobs=blobs)
        return values

    def encode_output(self, value: object) -> Encoded:
        """The bytes of what the function returned.

        Raises:
            ArgumentError: the value is not of the return type.
            ValueCodecError: the value cannot be encoded at all.
        """
        plan = self._return_plan()
        try:
            return encode_plan(plan, value, where=f"{self.title}, return value", name="result")
        except ArgumentError as error:
            error.hint = error.hint or f"return what is annotated, {plan.label}, or annotate what is returned"
            raise

    def decode_output(self, data: bytes, *, blobs: OpenBlobs | None = None) -> Any:
        """What the function returned.

        Raises:
            ValueCodecError: the bytes are not of the return type.
        """
        return decode_plan(self._return_plan(), data, where=f"{self.title}, return value", name="result", blobs=blobs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs: those of a NamedTuple, `o0`, `o1`, ... of a tuple, `o0` of all else.

        `None` is no output, a tuple of any length is one. So is whatever comes without a return annotation.
        """
        return names_of_outputs(self.returns)

    def outputs(self, value: Any) -> dict[str, Any]:
        """The outputs in a returned value, by name; without a return annotation the value decides."""
        return outputs_in(value, self.returns)

    def outputs_as_tuple(self, value: Any) -> tuple[Any, ...]:
        """The outputs in a returned value, in order."""
        return tuple(self.outputs(value).values())

    def describe(self) -> str:
        """The signature as a person would write it: `(carrier: str, month: int = 1) -> float`."""
        result = "" if self.return_annotation is EMPTY else f" -> {describe(self.return_annotation)}"
        return f"{shown_parameters(self.parameters)}{result}"

    def __repr__(self) -> str:
        return f"Interface({self.name}{self.describe()})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel with evaluated annotations: the function body that defined them stays behind."""
        for name, annotation in self._unevaluated().items():
            try:
                self._type(name, annotation)
            except DefinitionError:
                continue
        return _restored, (self.function, self.name, self._types)

    def _check_defaults(self) -> None:
        """Refuse a default that its own annotation does not take.

        Raises:
            DefinitionTypeError: there is one.
        """
        for parameter in self.parameters:
            if parameter.default is EMPTY or parameter.default is None:
                continue
            try:
                self.check_value(parameter.name, parameter.default)
            except ArgumentError as error:
                message = f"{self.title}: the default of {str(error).removeprefix(f'{parameter.name}, at ')}"
                hint = error.hint.replace("pass ", "write ", 1) if error.hint is not None else None
                raise DefinitionTypeError(message, hint=hint) from None

    def _settle(self) -> None:
        """Evaluate what can be evaluated while the enclosing function bodies are there; then let go of them."""
        if not self._scope.frames:
            return
        for name, annotation in self._unevaluated().items():
            try:
                self._types[name] = self._scope.evaluate(annotation)
            except NameError:
                continue
        self._let_go()

    def _let_go(self) -> None:
        """Forget the frames of enclosing functions once nothing is left to look up."""
        if self._scope.frames and not self._unevaluated():
            self._scope = Scope(self.function)

    def _unevaluated(self) -> dict[str, Any]:
        """Annotations that are still strings."""
        written = {each.name: each.annotation for each in self.parameters} | {_RETURN: self.return_annotation}
        return {
            name: annotation
            for name, annotation in written.items()
            if name not in self._types and is_unresolved(annotation)
        }

    def _type(self, name: str, annotation: Any) -> Any:
        if annotation is EMPTY:
            return Any
        if name not in self._types:
            self._types[name] = self._evaluated(name, annotation)
            self._let_go()
        return self._types[name]

    def _evaluated(self, name: str, annotation: Any) -> Any:
        if not is_unresolved(annotation):
            return annotation
        try:
            return self._scope.evaluate(annotation)
        except Exception as error:
            owner = "return value" if name == _RETURN else f"parameter {name!r}"
            raise DefinitionError(
                f"{self.title}, {owner}: the annotation {describe(annotation)!r} cannot be evaluated: {error}",
                hint="import the name where the task is defined, outside of `if TYPE_CHECKING:`",
            ) from error

    def _plans(self) -> tuple[tuple[Parameter, bytes, Plan], ...]:
        if self._slots is None:
            self._slots = tuple(
                (parameter, text_bytes(parameter.name), self._plan(parameter)) for parameter in self.parameters
            )
        return self._slots

    def _plan(self, parameter: Parameter) -> Plan:
        return self._plan_of(parameter, self._type(parameter.name, parameter.annotation))

    def _plan_of(self, parameter: Parameter, annotation: Any) -> Plan:
        try:
            if parameter.default is None:
                return PLANNER.plan(Optional[unwrap(annotation)])  # noqa: UP045 - it may not have an `|`
            return PLANNER.plan(annotation)
        except DefinitionError as error:
            raise DefinitionError(f"{self.title}, parameter {parameter.name!r}: {error}") from error

    def _return_plan(self) -> Plan:
        try:
            return PLANNER.plan(self.returns)
        except DefinitionError as error:
            raise DefinitionError(f"{self.title}, return value: {error}") from error

    def _write_inputs(self, arguments: Mapping[str, object], out: Sink) -> None:
        plans = self._plans()
        if unknown := arguments.keys() - self._binding.by_name.keys():
            raise ArgumentError(f"{self.title}: found arguments {sorted(unknown)}, which it does not have")
        out.append(STRUCT)
        start = len(out)
        write_size(len(plans), out)
        written = 0
        for parameter, head, plan in plans:
            if parameter.name in arguments:
                out += head
                self._write_argument(parameter, plan, arguments[parameter.name], out)
                written += 1
            elif parameter.default is not EMPTY:
                written += self._write_default(parameter, head, plan, out)
        if written < len(plans):
            out[start : start + len(sized(len(plans)))] = sized(written)

    def _write_argument(self, parameter: Parameter, plan: Plan, value: object, out: Sink) -> None:
        try:
            plan.write(value, out)
        except RecursionError:
            fault = too_deep(value, parameter.name)
            fault.parameter = parameter.name
            raise fault from None
        except Fault as fault:
            fault.parameter = parameter.name
            raise

    def _write_default(self, parameter: Parameter, head: bytes, plan: Plan, out: Sink) -> bool:
        """Write a default, unless it has no digest."""
        mark = out.mark()
        probe = out.probe
        out += head
        out.digestable = True
        try:
            out.probe = _NOWHERE if probe >= 0 else -1
            self._write_argument(parameter, plan, parameter.default, out)
        except Unencodable:
            out.digestable = False
        finally:
            out.probe = probe
        if not out.digestable:
            out.rollback(mark)
            return False
        out.digestable = mark.digestable
        return True

    def _read_inputs(self, source: Source) -> dict[str, object]:
        if source.peek() != STRUCT:
            raise Misread("found a single value, wanted arguments")
        source.pos += 1
        plans = {parameter.name: plan for parameter, _, plan in self._plans()}
        values: dict[str, object] = {}
        for _ in range(read_size(source)):
            name = read_text(source)
            if name not in plans or name in values:
                raise Misread(f"found the argument {name!r}, wanted one of {', '.join(map(repr, plans))}")
            try:
                values[name] = plans[name].read(source)
            except Fault as fault:
                fault.parameter = name
                raise
        if missing := [name for name in self._binding.required if name not in values]:
            raise Misread(f"the argument {missing[0]!r} is missing and has no default")
        return values


def _restored(function: Callable[..., Any], name: str, types: Mapping[str, Any]) -> Interface:
    return Interface(function, name=name, scope=Scope(function), types=types)


def _fits_plainly(value: object, annotation: object) -> bool:
    """Whether it is what most defaults are: a plain value of exactly the annotated class."""
    cls = class_of(value)
    return cls in _PLAIN and (annotation is cls or annotation == cls.__name__)
