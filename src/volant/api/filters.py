"""What lists are narrowed by, checked where it is written."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from volant.kit.nearest import did_you_mean
from volant.model.errors import DefinitionError, DefinitionTypeError
from volant.model.phases import ActionPhase


def check_phases(where: str, phases: Collection["ActionPhase | str"] | None) -> tuple[ActionPhase, ...]:
    """Phases, or their names in any case.

    Raises:
        DefinitionError: a name that no phase has; the nearest one is named.
    """
    if isinstance(phases, str):
        phases = (phases,)
    found: list[ActionPhase] = []
    for phase in phases or ():
        try:
            found.append(ActionPhase(str(phase).upper()))
        except ValueError:
            names = [each.value for each in ActionPhase]
            msg = f"{where}: in_phase has {phase!r}{did_you_mean(str(phase).upper(), names)}"
            raise DefinitionError(msg, hint=f"the phases are {', '.join(names)}") from None
    return tuple(dict.fromkeys(found))


def check_since(where: str, since: datetime | timedelta | None) -> datetime | None:
    """An instant, or so long ago.

    Raises:
        DefinitionError: an instant without a time zone.
    """
    if isinstance(since, timedelta):
        return datetime.now(UTC) - since
    if since is not None and not isinstance(since, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"{where}: since is {since!r}, expected a datetime with a time zone, or a timedelta"
        raise DefinitionTypeError(msg)
    if since is not None and since.tzinfo is None:
        msg = f"{where}: since is {since!r}, which has no time zone"
        raise DefinitionError(msg, hint="datetime(..., tzinfo=UTC), or since.astimezone() for the local one")
    return since


def check_limit(where: str, limit: int | None) -> int | None:
    """How many, at most.

    Raises:
        DefinitionError: not a number from 1 on.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"{where}: limit is {limit!r}, expected a whole number or None"
        raise DefinitionTypeError(msg)
    if limit is not None and limit < 1:
        msg = f"{where}: limit is {limit}, expected at least 1"
        raise DefinitionError(msg)
    return limit


def check_labels(where: str, labels: Mapping[str, str] | None) -> dict[str, str]:
    """Names and values that are strings.

    Raises:
        DefinitionTypeError: something else.
    """
    for name, value in cast("Mapping[object, object]", labels or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            msg = f"{where}: labels[{name!r}] is {value!r}, expected names and values that are strings"
            raise DefinitionTypeError(msg)
    return dict(labels or {})
