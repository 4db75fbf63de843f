"""Environments: shared settings of a set of tasks, and the decorator that makes them."""

import functools
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from volant.authoring.caching import Cache, CacheRequest
from volant.authoring.declarations import declared_by_caller
from volant.authoring.images import Image
from volant.authoring.includes import checked_patterns
from volant.authoring.parameters import EnvironmentSettings, Level, Settings, TaskSettings, checked_settings, misplaced
from volant.authoring.plugins import default_plugins
from volant.authoring.pods import PodTemplate
from volant.authoring.registry import default_registry
from volant.authoring.resources import Resources
from volant.authoring.reuse import ReusePolicy
from volant.authoring.sandbox import Sandbox
from volant.authoring.secrets import Secret, SecretRequest
from volant.authoring.task import AsyncTask, SyncTask, Task, check_concurrency
from volant.authoring.validation import (
    instance_of,
    is_sequence,
    known_keywords,
    refuse_type,
    refuse_value,
    text,
)
from volant.kit.nearest import did_you_mean
from volant.model.errors import DefinitionError, DuplicateNameError
from volant.values.signatures import is_async

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_PICKLED = ("_depends_on", "_name", "declaration", "include_folder", "settings", "version")
_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*", re.ASCII)


class TaskDecorator(Protocol):
    """What `@env.task(...)` with parentheses returns."""

    # An async function is a function too; the first overload that fits is meant to win.
    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncTask[P, R]: ...


class Setting(Generic[T]):
    """An attribute of an environment that can be assigned; tasks read it when they are called."""

    def __init__(self, default: T) -> None:
        self._default = default
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, environment: None, owner: type) -> "Setting[T]": ...

    @overload
    def __get__(self, environment: "TaskEnvironment", owner: type) -> T: ...

    def __get__(self, environment: "TaskEnvironment | None", owner: type) -> "Setting[T] | T":
        if environment is None:
            return self
        value = cast("dict[str, Any]", environment.settings).get(self._name, self._default)
        # A dict that could be written to would change behind the version's back.
        return cast("T", MappingProxyType(value)) if isinstance(self._default, MappingProxyType) else value

    def __set__(self, environment: "TaskEnvironment", value: object) -> None:
        environment.change(self._name, value)


class TaskEnvironment:
    """Shared settings of a set of tasks.

    Every parameter but the name can be left out, and is an attribute afterwards. What is assigned to an attribute
    later counts for the calls made from then on.

    Args:
        name: prefixes the names of the tasks; lower-case letters and digits with single `-` or `_` between, a letter
            first.
        image: the software the tasks need; default the running interpreter.
        resources: cores, memory, accelerators and disk of an attempt.
        env_vars: environment variables, set before the user's modules are imported.
        secrets: names of secrets the tasks read.
        depends_on: environments whose tasks are called from here; deployed together.
        description: up to 255 characters.
        pod_template: for Kubernetes, its name or the template.
        interruptible: whether attempts may be preempted.
        include: paths and globs of files that travel beside the code, relative to the declaring file.
        cache: whether results are reused; default `"disable"`.
        reusable: warm workers; not together with `plugin_config` unless the plugin allows it.
        plugin_config: an instance of a registered type, which chooses the plugin that runs the tasks.
        queue: the name of a queue of the configuration.

    Raises:
        DefinitionError: a value that cannot be, or a name that another environment of this process has.
    """

    # No __dict__: a misspelt attribute is an error, and not a setting that nobody reads.
    __slots__ = (*_PICKLED, "__weakref__", "_tasks")

    image = Setting[Image | str]("auto")
    resources = Setting[Resources | None](None)
    env_vars = Setting[Mapping[str, str]](MappingProxyType({}))
    secrets = Setting[tuple[Secret, ...]](())
    description = Setting[str]("")
    pod_template = Setting[PodTemplate | str | None](None)
    interruptible = Setting[bool](False)
    include = Setting[tuple[str, ...]](())
    cache = Setting[Cache](Cache("disable"))
    reusable = Setting[ReusePolicy | Literal["off"] | None](None)
    plugin_config = Setting[Any](None)
    queue = Setting[str | None](None)

    @known_keywords("TaskEnvironment", lambda name, _: misplaced("TaskEnvironment", Level.ENVIRONMENT, name))
    def __init__(
        self,
        name: str,
        *,
        image: Image | str | None = None,
        resources: Resources | None = None,
        env_vars: Mapping[str, str] | None = None,
        secrets: SecretRequest | None = None,
        depends_on: "Sequence[TaskEnvironment] | None" = None,
        description: str | None = None,
        pod_template: str | PodTemplate | None = None,
        interruptible: bool | None = None,
        include: Sequence[str] | None = None,
        cache: CacheRequest | None = None,
        reusable: ReusePolicy | Literal["off"] | None = None,
        plugin_config: Any = None,
        queue: str | None = None,
    ) -> None:
        if not _NAME.fullmatch(text("TaskEnvironment", "name", name)):
            wanted = "lower-case letters and digits with single '-' or '_' between"
            refuse_value("TaskEnvironment", "name", name, wanted, hint=f"for example {_suggested(name)!r}")
        given = EnvironmentSettings(
            image=image,
            resources=resources,
            env_vars=env_vars,
            secrets=secrets,
            description=description,
            pod_template=pod_template,
            interruptible=interruptible,
            include=include,
            cache=cache,
            reusable=reusable,
            plugin_config=plugin_config,
            queue=queue,
        )
        self._name = name
        self.declaration = declared_by_caller()
        self.version = 0
        self._tasks: dict[str, Task[..., Any]] = {}
        self._depends_on: tuple[TaskEnvironment, ...] = ()
        self.include_folder = self.declaration.folder
        # Replaced as a whole when an attribute is assigned.
        self.settings: Settings = self._checked(cast("dict[str, object]", given))
        self._check_together()
        if depends_on is not None:
            self.add_dependency(*_environments(self.title, depends_on))
        default_registry.add(self)

    @property
    def name(self) -> str:
        """The name; it does not change."""
        return self._name

    @property
    def title(self) -> str:
        """The environment as messages name it."""
        return f"TaskEnvironment {self._name!r}"

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks by full name, in the order of their definition."""
        return MappingProxyType(self._tasks)

    @property
    def depends_on(self) -> "tuple[TaskEnvironment, ...]":
        """Environments that are deployed together with this one, in the order in which they were added."""
        return self._depends_on

    @property
    def sandbox(self) -> "Sandbox":
        """The namespace of sandboxed tasks, of which none can be made yet."""
        return Sandbox(self.title)

    @overload
    def task(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, Coroutine[Any, Any, R]], /, **settings: Unpack[TaskSettings]
    ) -> AsyncTask[P, R]: ...

    @overload
    def task(self, function: Callable[P, R], /, **settings: Unpack[TaskSettings]) -> SyncTask[P, R]: ...

    @overload
    def task(self, function: None = None, /, **settings: Unpack[TaskSettings]) -> TaskDecorator: ...

    def task(self, function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
        """Make a function a task; with or without parentheses.

        Args:
            function: `def` or `async def`, every parameter annotated or with a default.
            settings: see `TaskSettings`.

        Raises:
            DefinitionError: a function that cannot be a task, a value that cannot be, or a name that another task of
                this environment has.
        """
        if function is None:
            # Values are checked at the line of the decorator, before there is a function.
            checked_settings(f"@env.task of {self.title}", Level.TASK, settings)
            return functools.partial(self._define, settings=settings)
        return self._define(function, settings)

    def add_dependency(self, *environments: "TaskEnvironment") -> None:
        """Deploy these environments together with this one; one that is known already counts once.

        Raises:
            DefinitionError: this environment itself, or something that is none.
        """
        found = {environment.name: environment for environment in self._depends_on}
        for environment in _environments(self.title, environments):
            if environment.name == self._name:
                message = f"{self.title}: depends_on holds the environment itself, expected others"
                raise DefinitionError(message, hint="tasks of one environment may call one another; leave it out")
            found[environment.name] = environment
        self._depends_on = tuple(found.values())

    @known_keywords("TaskEnvironment.clone_with", lambda name, _: misplaced("clone_with", Level.ENVIRONMENT, name))
    def clone_with(self, name: str, **changes: Unpack[EnvironmentSettings]) -> "TaskEnvironment":
        """An environment without tasks that differs in its name and these settings.

        Every parameter of the constructor is accepted. Absent and None keep a setting; empty values clear it, and so
        does `reusable="off"`. The two share nothing: what is changed in one later does not reach the other.

        Raises:
            DefinitionError: as the constructor.
        """
        inherited = {key: value for key, value in self.settings.items() if key != "include"}
        given = {key: value for key, value in changes.items() if value is not None}
        made = TaskEnvironment(name, **{"depends_on": self._depends_on, **inherited, **given})  # type: ignore[arg-type]
        if "include" not in given and "include" in self.settings:
            # The patterns stay relative to the file of the original.
            made.settings["include"] = self.settings["include"]
            made.include_folder = self.include_folder
        return made

    @classmethod
    @known_keywords("TaskEnvironment.from_task")
    def from_task(
        cls, name: str, *tasks: Task[..., Any], depends_on: "Sequence[TaskEnvironment] | None" = None
    ) -> "TaskEnvironment":
        """An environment of tasks that have none yet; their image becomes its image.

        Raises:
            DefinitionError: a task belongs to an environment, or the images differ.
        """
        where = f"TaskEnvironment.from_task({name!r})"
        for index, task in enumerate(tasks):
            instance_of(where, f"tasks[{index}]", task, Task, "a task without an environment")
            if task.has_environment:
                message = f"{where}: {task!r} belongs to {task.environment.title}, expected a task without environment"
                raise DefinitionError(message, hint="call it from where it is; depends_on names its environment")
        made = cls(name, image=_common_image(where, tasks), depends_on=depends_on)
        for task in tasks:
            task.belong_to(made)
            made._add(task)
        return made

    def change(self, name: str, value: object) -> None:
        """Assign a setting by name; None returns to the default. Calls made from then on see it."""
        trial: dict[str, Any] = {key: item for key, item in self.settings.items() if key != name}
        trial.update(self._checked({name: value}))
        before, self.settings = self.settings, cast(Settings, trial)
        try:
            self._check_together()
        except DefinitionError:
            self.settings = before
            raise
        self.version += 1

    def check_plugin(self, where: str, reusable: ReusePolicy | str) -> None:
        """Refuse warm workers for a plugin that does not allow them.

        Raises:
            DefinitionError: `reusable` and `plugin_config` do not go together, or no plugin serves the configuration.
        """
        config = self.settings.get("plugin_config")
        if config is None:
            return
        plugin = default_plugins.plugin_for(self.title, config)
        if reusable != "off" and not plugin.allows_reuse:
            message = f"{where}: reusable and plugin_config are both set, expected one of them: "
            message += f"the plugin {plugin.name!r} does not run in warm workers"
            raise DefinitionError(message, hint="leave reusable out, or set reusable='off'")

    def adopt(self, task: Task[..., Any]) -> None:
        """Take in a task that was unpickled with this environment."""
        self._tasks[task.name] = task

    def _define(self, function: Callable[..., Any], settings: Mapping[str, object]) -> Task[..., Any]:
        where = f"task '{self._name}.{getattr(function, '__name__', '?')}'"
        checked = checked_settings(where, Level.TASK, settings)
        task: Task[..., Any]
        if is_async(function):
            task = AsyncTask(function, environment=self, settings=checked)
        else:
            task = SyncTask(function, environment=self, settings=checked)
        self._add(task)
        return task

    def _add(self, task: Task[..., Any]) -> None:
        known = self._tasks.get(task.name)
        if known is not None and not task.declaration.is_same_source(known.declaration):
            message = f"task {task.name!r} is defined at {task.declaration}, "
            message += f"but there is one of this name already, from {known.declaration}"
            raise DuplicateNameError(message, hint="rename one of the functions; a task is called after its function")
        check_reuse(self, task)
        self._tasks[task.name] = task

    def _check_together(self) -> None:
        self.check_plugin(self.title, self.settings.get("reusable", "off"))
        for task in self._tasks.values():
            check_reuse(self, task)

    def _checked(self, given: Mapping[str, object]) -> Settings:
        others = {key: value for key, value in given.items() if key != "include"}
        found = checked_settings(self.title, Level.ENVIRONMENT, others)
        include = given.get("include")
        if include is not None:
            self.include_folder = declared_by_caller().folder
            found["include"] = checked_patterns(self.title, include, self.include_folder)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        try:
            object.__setattr__(self, name, value)
        except AttributeError:
            raise AttributeError(self._why_not_set(name)) from None

    def _why_not_set(self, name: str) -> str:
        if name == "name":
            return f"{self.title}: its name does not change; clone_with('another_name') makes an environment like it"
        if name == "depends_on":
            return f"{self.title}: depends_on is not assigned; add_dependency(env, ...) adds to it"
        if name in {"tasks", "title", "sandbox"}:
            return f"{self.title}: {name} cannot be assigned"
        return f"{self.title} has no setting {name!r}{did_you_mean(name, EnvironmentSettings.__annotations__)}"

    def __repr__(self) -> str:
        return f"<TaskEnvironment {self._name}>"

    def __getstate__(self) -> dict[str, Any]:
        # Tasks come back with their own pickles: one task must not carry all others along.
        return {name: getattr(self, name) for name in _PICKLED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._tasks = {}
        for name, value in state.items():
            setattr(self, name, value)


def check_reuse(environment: TaskEnvironment, task: Task[..., Any]) -> None:
    """Refuse a task that the environment's warm workers cannot run."""
    reusable = environment.settings.get("reusable", "off")
    if reusable != "off":
        check_concurrency(f"task {task.name!r}", reusable, is_async=task.interface.is_async)


def _environments(where: str, value: object) -> list[TaskEnvironment]:
    if not is_sequence(value):
        refuse_type(where, "depends_on", value, "a list of environments")
    wanted = "a TaskEnvironment"
    return [
        instance_of(where, f"depends_on[{index}]", each, TaskEnvironment, wanted) for index, each in enumerate(value)
    ]


def _common_image(where: str, tasks: Iterable[Task[..., Any]]) -> Image | str:
    images = [(task, task.image) for task in tasks]
    for task, image in images:
        first, wanted = images[0]
        if image is not wanted and image != wanted:
            message = f"{where}: {task.name!r} has the image {image!r}, expected that of {first.name!r}: {wanted!r}"
            raise DefinitionError(message, hint="put them into two environments, or give both the same image")
    return (images[0][1] if images else None) or "auto"


def _suggested(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return "_".join(re.findall(r"[a-z0-9]+", spaced.lower())) or "my_env"
