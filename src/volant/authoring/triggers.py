"""When a deployed task runs by itself."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

from volant.authoring.validation import (
    duration,
    filled_text,
    flag,
    instance_of,
    items,
    known_keywords,
    queue_name,
    refuse_type,
    refuse_value,
    text,
    text_map,
    variables,
    whole_number,
)
from volant.authoring.value import Value


class _TriggerTime:
    """Stands for the time that a trigger fired for."""

    def __repr__(self) -> str:
        return "TriggerTime"

    def __reduce__(self) -> str:
        return "TriggerTime"


TriggerTime: Final = _TriggerTime()
"""As an input of a `Trigger`: the time that it fired for, an aware datetime."""


class Cron(Value):
    """At the times of a cron expression, read in a time zone (correct across changes of daylight saving).

    Raises:
        DefinitionError: the expression or the time zone cannot be.
    """

    expression: str
    timezone: str

    def __init__(self, expression: str, timezone: str = "UTC") -> None:
        # Most programs have no trigger; they do not load the cron library.
        from volant.authoring.cron import check_cron, check_timezone

        check_cron(filled_text("Cron", "expression", expression))
        check_timezone(filled_text("Cron", "timezone", timezone))
        self._keep(expression=" ".join(expression.split()), timezone=timezone)


class FixedRate(Value):
    """Every so often: minutes as a number, or a `timedelta`; counted from *start_time* (aware) or from activation.

    Raises:
        DefinitionError: no duration above 0, or a start time without a time zone.
    """

    interval: timedelta
    start_time: datetime | None

    def __init__(self, interval_minutes: int | timedelta, start_time: datetime | None = None) -> None:
        if isinstance(interval_minutes, timedelta):
            interval = duration("FixedRate", "interval_minutes", interval_minutes, zero=False)
        else:
            minutes = whole_number("FixedRate", "interval_minutes", interval_minutes, at_least=1)
            interval = duration("FixedRate", "interval_minutes", minutes * 60, zero=False)
        if start_time is not None:
            instance_of("FixedRate", "start_time", start_time, datetime, "an aware datetime")
            if start_time.tzinfo is None:
                refuse_value("FixedRate", "start_time", start_time, "an aware datetime, such as one with tzinfo=UTC")
        self._keep(interval=interval, start_time=start_time)

    @property
    def interval_minutes(self) -> int | timedelta:
        """As it was given: whole minutes as a number."""
        minutes, rest = divmod(self.interval, timedelta(minutes=1))
        return self.interval if rest else minutes


class Trigger(Value):
    """Runs a task by a schedule, once deployed, with these inputs and settings.

    Args:
        name: unique among the triggers of the task.
        automation: the schedule.
        description: what people see.
        auto_activate: whether it is active as soon as it is deployed.
        inputs: by name; `TriggerTime` stands for the time that it fires for.
        env_vars: environment variables of the runs.
        interruptible: whether attempts may be preempted; default as the task says.
        overwrite_cache: whether what is cached is executed all the same.
        queue: the name of a queue; default as the task says.
        labels: of the runs.
        annotations: of the runs.
        custom_context: what `volant.ctx().custom_context` says in the runs.

    Raises:
        DefinitionError: a value that cannot be.
    """

    name: str
    automation: Cron | FixedRate
    description: str
    auto_activate: bool
    inputs: Mapping[str, Any]
    env_vars: Mapping[str, str] | None
    interruptible: bool | None
    overwrite_cache: bool
    queue: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    custom_context: Mapping[str, str]

    def __init__(
        self,
        name: str,
        automation: Cron | FixedRate,
        *,
        description: str = "",
        auto_activate: bool = True,
        inputs: Mapping[str, Any] | None = None,
        env_vars: Mapping[str, str] | None = None,
        interruptible: bool | None = None,
        overwrite_cache: bool = False,
        queue: str | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        custom_context: Mapping[str, str] | None = None,
    ) -> None:
        where = f"Trigger {filled_text('Trigger', 'name', name)!r}"
        self._keep(
            name=name,
            automation=instance_of(where, "automation", automation, (Cron, FixedRate), "a Cron or a FixedRate"),
            description=text(where, "description", description),
            auto_activate=flag(where, "auto_activate", auto_activate),
            inputs=_inputs(where, inputs),
            env_vars=None if env_vars is None else variables(where, "env_vars", env_vars),
            interruptible=None if interruptible is None else flag(where, "interruptible", interruptible),
            overwrite_cache=flag(where, "overwrite_cache", overwrite_cache),
            queue=None if queue is None else queue_name(where, queue),
            labels=text_map(where, "labels", labels or {}),
            annotations=text_map(where, "annotations", annotations or {}),
            custom_context=text_map(where, "custom_context", custom_context or {}),
        )

    @classmethod
    @known_keywords("Trigger.minutely")
    def minutely(cls, trigger_time_input_key: str | None = None, *, name: str = "minutely") -> "Trigger":
        """Every minute; the time goes to the input of this name."""
        return cls(name, Cron("* * * * *"), inputs=_time_input(trigger_time_input_key))

    @classmethod
    @known_keywords("Trigger.hourly")
    def hourly(cls, trigger_time_input_key: str | None = None, *, name: str = "hourly") -> "Trigger":
        """On the hour, UTC."""
        return cls(name, Cron("0 * * * *"), inputs=_time_input(trigger_time_input_key))

    @classmethod
    @known_keywords("Trigger.daily")
    def daily(cls, trigger_time_input_key: str | None = None, *, name: str = "daily") -> "Trigger":
        """At midnight, UTC."""
        return cls(name, Cron("0 0 * * *"), inputs=_time_input(trigger_time_input_key))

    @classmethod
    @known_keywords("Trigger.weekly")
    def weekly(cls, trigger_time_input_key: str | None = None, *, name: str = "weekly") -> "Trigger":
        """At midnight between Saturday and Sunday, UTC."""
        return cls(name, Cron("0 0 * * 0"), inputs=_time_input(trigger_time_input_key))

    @classmethod
    @known_keywords("Trigger.monthly")
    def monthly(cls, trigger_time_input_key: str | None = None, *, name: str = "monthly") -> "Trigger":
        """At midnight on the first of the month, UTC."""
        return cls(name, Cron("0 0 1 * *"), inputs=_time_input(trigger_time_input_key))

    def __hash__(self) -> int:
        return hash((type(self), self.name, self.automation))


def as_triggers(where: str, value: object) -> tuple[Trigger, ...]:
    """One trigger or several; their names differ."""
    if isinstance(value, Trigger):
        return (value,)
    found: dict[str, Trigger] = {}
    for index, item in enumerate(items(where, "triggers", value, "a Trigger or a tuple of them")):
        trigger = instance_of(where, f"triggers[{index}]", item, Trigger, "a Trigger")
        if trigger.name in found:
            refuse_value(where, f"triggers[{index}].name", trigger.name, "a name that no other trigger of the task has")
        found[trigger.name] = trigger
    return tuple(found.values())


def _inputs(where: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        refuse_type(where, "inputs", value, "a dict of inputs by name")
    pairs = cast("Mapping[object, object]", value).items()
    return {filled_text(where, "a name in inputs", name): item for name, item in pairs}


def _time_input(name: str | None) -> dict[str, Any]:
    return {} if name is None else {name: TriggerTime}
