"""The adapter to cronsim: cron expressions, checked when they are written."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from volant.authoring.validation import refuse_value


def check_cron(expression: str) -> None:
    """Refuse what is no cron expression, and one that never comes."""
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        wanted = f"five fields: minute, hour, day, month, weekday ({error})"
        refuse_value("Cron", "expression", expression, wanted)
    except StopIteration:
        refuse_value("Cron", "expression", expression, "an expression that some day matches")


def check_timezone(name: str) -> None:
    """Refuse what is no IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse_value("Cron", "timezone", name, "an IANA time zone such as 'UTC' or 'Europe/Berlin'")
