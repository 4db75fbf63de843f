"""What the rules ask the engine to do."""

from datetime import datetime

import msgspec

from volant.model.ids import ActionId, AttemptKey, CallId
from volant.model.worker_protocol import Answer, Outcome


class Enqueue(msgspec.Struct, frozen=True):
    """The action wants a place."""

    action: ActionId


class LookUp(msgspec.Struct, frozen=True):
    """Look whether the outcome of the action can be taken over from another run, and answer `RunMachine.looked_up`."""

    action: ActionId


class Withdraw(msgspec.Struct, frozen=True):
    """The action wants no place any more, nor to be woken for one."""

    action: ActionId


class Release(msgspec.Struct, frozen=True):
    """The attempt has finished: its place is free, though its process may still be there."""

    key: AttemptKey


class EndTree(msgspec.Struct, frozen=True):
    """End the attempt's process tree."""

    key: AttemptKey
    at_once: bool = False


class Tell(msgspec.Struct, frozen=True):
    """Say it to the attempt once what is written now is committed."""

    key: AttemptKey
    message: Answer


class Accept(msgspec.Struct, frozen=True):
    """Let the attempt's process leave once what is written now is committed."""

    key: AttemptKey


class Adopt(msgspec.Struct, frozen=True):
    """The attempt that an earlier engine started under *key* goes on: it has its place, and is heard from now on."""

    action: ActionId
    key: AttemptKey


class Lend(msgspec.Struct, frozen=True):
    """The attempt only waits."""

    key: AttemptKey
    for_calls: bool = False
    """What it waits for are actions that it called."""


class TakeBack(msgspec.Struct, frozen=True):
    """The attempt works again."""

    key: AttemptKey


class WakeAt(msgspec.Struct, frozen=True):
    """Call `RunMachine.backoff_elapsed` then."""

    action: ActionId
    at: datetime


class TellRecorded(msgspec.Struct, frozen=True):
    """Read these actions' outcomes from the journal and say them to the attempt, in this order."""

    key: AttemptKey
    calls: tuple[tuple[ActionId, CallId], ...]


class TellSoon(msgspec.Struct, frozen=True):
    """The attempt has asked for outcomes that it is told when it waits. If it does not say so, call
    `RunMachine.lost_patience` after a while."""

    key: AttemptKey


class RunFinished(msgspec.Struct, frozen=True):
    """The run has ended and nothing of it is alive; tell so once what is written now is committed."""

    outcome: Outcome


Command = (
    Enqueue
    | LookUp
    | Withdraw
    | Release
    | EndTree
    | Tell
    | Accept
    | Adopt
    | Lend
    | TakeBack
    | WakeAt
    | TellRecorded
    | TellSoon
    | RunFinished
)
