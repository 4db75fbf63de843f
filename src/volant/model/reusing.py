"""What a run may take over from one that has ended."""

from datetime import datetime

import msgspec

from volant.model.ids import ActionId, RunId


class Again(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An action that is executed again whatever became of it."""

    action: ActionId
    calls_before: datetime | None = None
    """Of what it called, only what it called before this instant is taken over; None: nothing is."""


class Reuse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which recorded outcomes are taken over: successes of equal calls, the others are executed again."""

    run: RunId
    """As much of its name as is unique, from a client; the whole name in what is recorded."""
    from_action: str | None = None
    """Named as in `GetAction`: this action, all below it and what may depend on it are executed again."""
    created_at: datetime | None = None
    """Of that run, so that no other one of the same name is taken for it. The engine says it."""
    again: tuple[Again, ...] = ()
    """From the root down to *from_action*, nothing without one. The engine says it."""
