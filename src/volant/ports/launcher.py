"""Where attempts run."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from volant.model.code import CodeSource
from volant.model.exits import Exit
from volant.model.failures import Failure
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import EngineToWorker, StartAttempt, WorkerToEngine


class AttemptOrder(msgspec.Struct, frozen=True, kw_only=True):
    """All that a launcher needs to start an attempt."""

    key: AttemptKey
    start: StartAttempt
    code: CodeSource
    environ: Mapping[str, str]
    """The whole process environment, in place before the user's code is imported."""
    environment: str
    """Digest over interpreter, code, working directory and *environ*: attempts that share it may share a zygote."""
    label: str
    """The environment's name, for people."""
    log: str
    """Absolute path of the file that captures what the attempt prints."""
    is_suspect: bool = False
    """Whether earlier attempts of the action were lost again and again: nothing should be lost with this one."""


class LauncherEvents(Protocol):
    """What a launcher tells the engine. Called on the engine's loop, never from within a call to the launcher."""

    def attempt_started(self, key: AttemptKey, pid: int | None) -> None:
        """The attempt has a process."""
        ...

    def attempt_said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None:
        """Messages of one attempt, in order. None comes after `attempt_gone`."""
        ...

    def attempt_refused(self, key: AttemptKey, failure: Failure) -> None:
        """The attempt could not be started: the user's code cannot be loaded. `attempt_gone` follows."""
        ...

    def attempt_gone(self, key: AttemptKey, ended: Exit) -> None:
        """No process of the attempt is left. Exactly once for every order that was started."""
        ...

    def launcher_warned(self, key: AttemptKey, message: str) -> None:
        """Something the user of this attempt's run should hear once."""
        ...


class Launcher(Protocol):
    """Starts attempts, talks to them, ends them.

    - *Nothing is left*: when `attempt_gone` is said, no process that the attempt started is alive.
    - *In order*: messages of one attempt arrive in the order they were sent, both ways.
    - *Never blocks*: every method returns at once; what happens is said through `LauncherEvents`.
    """

    def start(self, order: AttemptOrder) -> None:
        """Start an attempt.

        Raises:
            OSError: the machine has no room for it. Nothing was started, and nothing will be said of it.
        """
        ...

    def adopt(self, key: AttemptKey) -> None:
        """Go on with an attempt that an earlier engine started. From now on it is told of as of any other, from
        `attempt_started` on; only its end is told before, if it was asked for."""
        ...

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        """Say something to an attempt; lost without harm when the attempt is gone."""
        ...

    def end(self, key: AttemptKey, *, grace: float) -> None:
        """End the attempt's whole process tree: SIGTERM, *grace* seconds, SIGKILL. 0 kills at once."""
        ...

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        """Which of these attempts used no CPU since the last time this was asked."""
        ...

    async def close(self) -> None:
        """End every attempt at once and return when nothing is left."""
        ...
