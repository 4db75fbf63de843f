"""A task: a typed function that a run executes elsewhere, and that outside a run is the plain function.

What a call does depends on the session around it. Without one the function is called. With one the
arguments are bound, the levels of settings are merged into a spec, and the session takes over.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, Unpack, cast

from volant.authoring.declarations import Declaration, declared_by_caller
from volant.authoring.documentation import Documentation
from volant.authoring.functions import check_function
from volant.authoring.images import Image, as_image
from volant.authoring.links import Link
from volant.authoring.locating import place_of
from volant.authoring.merging import merged_spec
from volant.authoring.parameters import PARAMETERS, Level, OverrideSettings, Settings, checked_settings
from volant.authoring.resolvers import find_by_name
from volant.authoring.reuse import ReusePolicy
from volant.authoring.session import Session, current_group, current_session
from volant.authoring.triggers import Trigger, TriggerTime
from volant.authoring.validation import known_keywords
from volant.kit.nearest import did_you_mean
from volant.model.errors import (
    ArgumentError,
    CallError,
    DefinitionError,
    DefinitionTypeError,
    SyncTaskCallInAsyncContextError,
    UnknownParameterError,
)
from volant.model.ids import TaskName
from volant.model.specs import ActionSpec, LoaderKind
from volant.values.interfaces import Interface

if TYPE_CHECKING:
    from volant.authoring.environment import TaskEnvironment
    from volant.values.schemas import TaskSchema

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Task(Generic[P, R_co]):
    """A function with its settings; `AsyncTask` and `SyncTask` say what a plain call returns.

    A task belongs to an environment from the moment it is decorated; one that was made directly
    gets its environment by `TaskEnvironment.from_task`.

    Attributes:
        root: the task as it was decorated, before any `override`.
        func: the plain function.
        interface: what it takes and returns.
        declaration: where it was decorated.
    """

    root: "Task[P, R_co]"
    func: Callable[P, Any]
    interface: Interface
    declaration: Declaration

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        environment: "TaskEnvironment | None" = None,
        image: Image | str | None = None,
        settings: Settings | None = None,
    ) -> None:
        if isinstance(function, Task):
            message = f"@env.task: {function!r} is a task already, expected a function"
            raise DefinitionTypeError(
                message, hint="decorate a function once; other settings come with task.override(...)"
            )
        check_function(function)
        functools.update_wrapper(self, function)
        self.func = function
        self.root = self
        self.image = None if image is None else as_image(f"task {function.__name__!r}", image)
        self.declaration = _declared(function)
        self._environment = environment
        self._own: Settings = settings or {}
        self._overrides: Settings = {}
        self._set_up()
        self._check_inputs()

    def _set_up(self) -> None:
        """Fill in what follows from the rest, after construction and after unpickling."""
        owner = self._environment
        self.name = TaskName(self.func.__name__ if owner is None else f"{owner.name}.{self.func.__name__}")
        self.interface = Interface.of(self.func, name=self.name)
        self._spec: tuple[int, ActionSpec] | None = None

    @property
    def environment(self) -> "TaskEnvironment":
        """The environment the task belongs to.

        Raises:
            DefinitionError: none so far.
        """
        if self._environment is None:
            message = f"task {self.name!r} belongs to no environment, expected one"
            raise DefinitionError(message, hint=f"TaskEnvironment.from_task('my_env', {self.func.__name__})")
        return self._environment

    @property
    def has_environment(self) -> bool:
        """Whether the task belongs to an environment."""
        return self._environment is not None

    def belong_to(self, environment: "TaskEnvironment") -> None:
        """Make the task one of *environment*, once."""
        self._environment = environment
        self._set_up()

    @property
    def settings(self) -> Settings:
        """What the levels give now, the most specific winning."""
        inherited: Settings = {} if self._environment is None else self._environment.settings
        return {**inherited, **self._own, **self._overrides}

    @property
    def short_name(self) -> str:
        """What people see instead of the full name."""
        return self.settings.get("short_name", self.func.__name__)

    @property
    def docs(self) -> Documentation:
        """What the command line says about the task; by default the function's docstring."""
        return self._own.get("docs") or Documentation(inspect.getdoc(self.func) or "")

    @property
    def json_schema(self) -> "TaskSchema":
        """The JSON Schema of its `inputs` and `outputs`, with what the docstring says about them.

        Raises:
            DefinitionError: a name in an annotation is not defined.
        """
        from volant.authoring.describing import schema_of

        return schema_of(self)

    @property
    def entrypoint(self) -> bool:
        """Whether the file runs this task when none is named."""
        return self._own.get("entrypoint", False)

    @property
    def report(self) -> bool:
        """Whether the task may write an HTML report."""
        return self._own.get("report", False)

    @property
    def links(self) -> tuple[Link, ...]:
        """Links shown with the action."""
        return self.settings.get("links", ())

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """What runs the task by itself, once deployed."""
        return self._own.get("triggers", ())

    @known_keywords("task.override()")
    def override(self, **changes: Unpack[OverrideSettings]) -> Self:
        """The same task with other settings, for the calls that are made of what is returned.

        Absent and None keep a setting; any other value counts, `0`, `{}` and `()` too.

        Raises:
            UnknownParameterError: a parameter that is set elsewhere, or nowhere.
            DefinitionError: a value that cannot be.
        """
        where = f"task {self.name!r}.override()"
        for name in changes:
            if name not in PARAMETERS and name in self.interface.by_name:
                message = f"{where} has no parameter {name!r}, which is an argument of the task"
                raise UnknownParameterError(message, hint=f"pass it in the call: {self.func.__name__}({name}=...)")
        given = checked_settings(where, Level.OVERRIDE, cast("dict[str, object]", changes))
        made = self.with_overrides({**self._overrides, **given})
        made._check_reuse(where, given)
        made._check_inputs()
        return made

    def with_overrides(self, overrides: Settings) -> Self:
        """A copy with exactly these overrides, which were checked before."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._overrides = overrides
        made._spec = None
        return made

    def spec(self) -> ActionSpec:
        """The settings of a call made now, merged and frozen; the same object until a setting changes.

        Raises:
            NotSupportedError: this version lacks something that cannot be ignored.
            DefinitionError: the environment was changed so that the settings do not fit together.
        """
        environment = self.environment
        known = self._spec
        if known is not None and known[0] == environment.version and not _may_be_outdated(known[1]):
            return known[1]
        self._check_reuse(f"task {self.name!r}", {})
        spec = merged_spec(self, self.settings)
        if known is not None and known[1] == spec:
            spec = known[1]
        self._spec = environment.version, spec
        return spec

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the task, or outside a run its function."""
        raise NotImplementedError

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, R_co]:
        """An awaitable of the result, for any task: also a sync one, which async code cannot call directly.

        Raises:
            ArgumentError: the arguments do not bind, or a value does not fit its type; nothing was written.
            TaskError: when awaited, what the task raised, as its own type too.
        """
        raise NotImplementedError

    def prepare(self, session: Session, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """Refuse what cannot be called, before anything is sent."""
        if session.in_traced_step:
            message = f"task {self.name!r} is called inside a traced function, expected a call from a task"
            raise CallError(
                message, hint="call the task from the task itself, and give its result to the traced function"
            )
        arguments = self.interface.bind(args, kwargs)
        self.spec()
        return arguments

    def _check_reuse(self, where: str, given: Settings) -> None:
        """What warm workers do not allow: settings of their own per task, and sync tasks side by side."""
        reusable = self.settings.get("reusable", "off")
        if reusable == "off":
            return
        for name in ("resources", "env_vars", "secrets"):
            if name in self._overrides:
                message = f"{where}: {name} belongs to a warm worker and cannot differ per task, "
                message += f"expected reusable='off' in the same override as {name}"
                raise DefinitionError(message, hint=f"{self.func.__name__}.override({name}=..., reusable='off')")
        check_concurrency(where, reusable, is_async=self.interface.is_async)
        self.environment.check_plugin(where, reusable)

    def _check_inputs(self) -> None:
        """Names of inputs in settings are names of parameters."""
        names = [parameter.name for parameter in self.interface.parameters]
        where = f"task {self.name!r}"
        mine: Settings = {**self._own, **self._overrides}
        if "cache" in mine:
            _check_names(where, "Cache.ignored_inputs", mine["cache"].ignored_inputs, names, self.interface.describe())
        for trigger in mine.get("triggers", ()):
            self._check_trigger(where, trigger, names)

    def _check_trigger(self, where: str, trigger: Trigger, names: list[str]) -> None:
        """A trigger has what the task needs, since nobody is there to add it."""
        what = f"the inputs of Trigger {trigger.name!r}"
        _check_names(where, what, tuple(trigger.inputs), names, self.interface.describe())
        for parameter in self.interface.parameters:
            if parameter.is_required and parameter.name not in trigger.inputs:
                message = f"{where}: {what} lack {parameter.name!r}, which has no default"
                hint = f'inputs={{"{parameter.name}": ...}}; TriggerTime stands for the time that it fired for'
                raise DefinitionError(message, hint=hint)
        for name, value in trigger.inputs.items():
            if value is not TriggerTime:
                try:
                    self.interface.check_value(name, value)
                except ArgumentError as error:
                    raise DefinitionTypeError(f"{where}: {what}: {error}", hint=error.hint) from None

    def __setattr__(self, name: str, value: object) -> None:
        if name in OverrideSettings.__annotations__:
            message = f"task {self.name!r}: {name} is not assigned; {self.func.__name__}.override({name}=...) "
            raise AttributeError(message + "gives a task with another one")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        place = place_of(self)
        # Functions of a main script travel by value (cloudpickle), and so do its tasks: in the process that
        # opens the pickle, `__main__` may be another script.
        if place is None or place[0] == "__main__":
            return super().__reduce_ex__(protocol)
        return _restored, (*place, self._overrides)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["interface"], state["_spec"]
        state["annotations"] = _evaluated_annotations(self.interface)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        annotations = state.pop("annotations")
        self.__dict__.update(state)
        # Names in annotations of a function body are evaluated while that body runs, which is elsewhere.
        inspect.unwrap(self.func).__annotations__.update(annotations)
        self._set_up()
        if self._environment is not None and self.root is self:
            self._environment.adopt(self)


class AsyncTask(Task[P, R_co]):
    """A task whose function is `async def`: a call returns an awaitable. A sync task gets its result with
    `asyncio.run(task(...))` or with `volant.map`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, R_co]:
        session = current_session()
        if session is None:
            return cast("Coroutine[object, None, R_co]", self.func(*args, **kwargs))
        return session.call(self, self.prepare(session, args, kwargs), group=current_group())

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, R_co]:
        """The same as a call."""
        return self(*args, **kwargs)


class SyncTask(Task[P, R_co]):
    """A task whose function is `def`: a call blocks until the result is there. Async code uses `.aio`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        session = current_session()
        if session is None:
            return cast("R_co", self.func(*args, **kwargs))
        if in_running_loop():
            message = f"task {self.name!r} is a sync task called from async code, where it would block the event loop"
            raise SyncTaskCallInAsyncContextError(message, hint=f"await {self.func.__name__}.aio(...) instead")
        return session.call_blocking(self, self.prepare(session, args, kwargs), group=current_group())

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, R_co]:
        """An awaitable of the result. Outside a run the function is called when it is awaited."""
        session = current_session()
        if session is None:
            return self._call_plain(*args, **kwargs)
        return session.call(self, self.prepare(session, args, kwargs), group=current_group())

    async def _call_plain(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return cast("R_co", self.func(*args, **kwargs))


def in_running_loop() -> bool:
    """Whether an event loop runs in this thread. A program that never imported asyncio has none."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def check_concurrency(where: str, reusable: ReusePolicy, *, is_async: bool) -> None:
    """Refuse a sync task in workers that run several actions at once."""
    if reusable.concurrency > 1 and not is_async:
        message = f"{where}: a sync task in an environment with ReusePolicy(concurrency={reusable.concurrency}), "
        message += "expected an async def, or concurrency=1: sync tasks would block each other"
        raise DefinitionError(message, hint="make the function an async def, or leave concurrency out")


def _check_names(where: str, what: str, found: tuple[str, ...], names: list[str], signature: str) -> None:
    for name in found:
        if name not in names:
            listed = ", ".join(repr(each) for each in names) or "none, it takes no inputs"
            message = f"{where}: {what} name {name!r}, expected names of its inputs: {listed}"
            raise DefinitionError(message + did_you_mean(name, names), hint=f"the task takes {signature}")


def _declared(function: Callable[..., Any]) -> Declaration:
    caller = declared_by_caller()
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    return Declaration(
        file=caller.file if code is None else code.co_filename,
        line=caller.line if code is None else code.co_firstlineno,
        qualname=getattr(plain, "__qualname__", ""),
        module=caller.module,
        code=caller.code,
    )


def _may_be_outdated(spec: ActionSpec) -> bool:
    """Whether what the spec carries by value may have changed since: a notebook's cells are edited between two
    submissions. Within a run it stays as it is."""
    return spec.loader.kind is LoaderKind.VALUE and current_session() is None


def _evaluated_annotations(interface: Interface) -> dict[str, Any]:
    """The annotations that are text and can be evaluated here."""
    found: dict[str, Any] = {}
    if any(isinstance(parameter.annotation, str) for parameter in interface.parameters):
        found.update(interface.types)
    if isinstance(interface.return_annotation, str):
        found["return"] = interface.returns
    return found


def _restored(module: str, qualname: str, overrides: Settings) -> "Task[..., Any]":
    task = find_by_name(module, qualname)
    if not isinstance(task, Task):
        raise DefinitionTypeError(f"{module}:{qualname} is {task!r}, expected a task")
    found = cast("Task[..., Any]", task)
    return found.with_overrides(overrides) if overrides else found
