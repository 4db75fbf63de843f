"""Which runs a filter means, and which index leads to them best.

A database is asked by one condition, in slices and newest first; the others are checked on the rows. So any
combination is answered, and no combination holds its asker for longer than one slice.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from volant.model.ids import RunId
from volant.model.records import RunRecord
from volant.ports.journal import RunFilter


class Age(NamedTuple):
    """What runs are sorted by."""

    created_at: int
    """Microseconds since 1970 UTC."""
    run: RunId


AFTER_ALL = Age((1 << 63) - 1, RunId(""))
"""Newer than every run."""
BEFORE_ALL = -(1 << 63)
"""A `created_at` that is older than every run's."""


class Driver(Enum):
    """The index to go along."""

    LABEL = "label"
    TASK = "task"
    PHASE = "phase"
    AGE = "age"


def driver(where: RunFilter) -> Driver:
    """The condition that is likely to leave the fewest runs."""
    if where.labels:
        return Driver.LABEL
    if where.task is not None:
        return Driver.TASK
    return Driver.PHASE if where.phases else Driver.AGE


def is_exact(where: RunFilter) -> bool:
    """Whether the driving condition is the only one, so that a slice needs no more rows than are wanted."""
    conditions = len(where.labels) + (where.task is not None) + bool(where.phases)
    return conditions <= 1


def matches(where: RunFilter, run: RunRecord) -> bool:
    """Whether a run meets every condition of a filter but its place in time."""
    if where.phases and run.phase not in where.phases:
        return False
    if where.task is not None and run.task != where.task:
        return False
    return all(run.labels.get(name) == value for name, value in where.labels)


def newest_first(names: Sequence[Age]) -> list[Age]:
    """Sorted by age, the newest first."""
    return sorted(names, reverse=True)
