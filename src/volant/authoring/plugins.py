"""Kinds of tasks that others provide: a configuration chooses the plugin that runs the task."""

from typing import Any, Protocol, runtime_checkable

from volant.authoring.validation import instance_of, refuse_type, shown
from volant.model.errors import DefinitionError, DefinitionTypeError


@runtime_checkable
class TaskPlugin(Protocol):
    """What a plugin has to offer at definition time."""

    @property
    def name(self) -> str:
        """What specs and messages call it."""
        ...

    @property
    def allows_reuse(self) -> bool:
        """Whether its tasks may run in warm workers (`reusable`)."""
        ...

    def to_json(self, config: Any, /) -> str:
        """Check a configuration and give it as JSON; raise a `DefinitionError` where it is wrong."""
        ...


class PluginRegistry:
    """Which plugin serves which type of configuration."""

    def __init__(self) -> None:
        self._plugins: dict[type, TaskPlugin] = {}

    def register_plugin(self, config_type: type, plugin: TaskPlugin) -> None:
        """Let *plugin* serve environments whose `plugin_config` is a *config_type*; the same one twice is fine.

        Raises:
            DefinitionError: another plugin serves the type.
        """
        instance_of("register_plugin", "config_type", config_type, type, "a class")
        _check_plugin(plugin)
        known = self._plugins.get(config_type)
        if known is not None and known is not plugin and type(known) is not type(plugin):
            message = f"register_plugin: {config_type.__qualname__} is served by {known.name!r}, not by {plugin.name!r}"
            raise DefinitionError(message)
        self._plugins[config_type] = plugin

    def plugin_for(self, where: str, config: object) -> TaskPlugin:
        """The plugin of a configuration; that of the nearest base class counts.

        Raises:
            DefinitionTypeError: its type is not registered.
        """
        for kind in type(config).__mro__:
            if kind in self._plugins:
                return self._plugins[kind]
        types = ", ".join(sorted(kind.__qualname__ for kind in self._plugins)) or "none so far"
        message = f"{where}: plugin_config is {shown(config)} ({type(config).__name__}), "
        message += f"expected an instance of a registered type; there are: {types}"
        raise DefinitionTypeError(message, hint="volant.register_plugin(type, plugin) registers one")


def _check_plugin(plugin: object) -> None:
    if isinstance(plugin, type) or not isinstance(plugin, TaskPlugin):
        refuse_type("register_plugin", "plugin", plugin, "an object with name, allows_reuse and to_json(config)")


default_plugins = PluginRegistry()


def register_plugin(config_type: type, plugin: TaskPlugin) -> None:
    """Let *plugin* run the tasks of environments whose `plugin_config` is a *config_type*, in this process.

    Registering the same one twice is fine. A subclass of *config_type* counts, unless it has a plugin of its own.

    Raises:
        DefinitionError: another plugin serves the type.
    """
    default_plugins.register_plugin(config_type, plugin)
