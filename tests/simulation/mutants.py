"""Ways to break the engine that the simulation must notice, each with the words of the law that it breaks."""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.simulation.launchers import SimulatedLauncher
from volant.decide.live import Earlier
from volant.decide.replay import Replay
from volant.decide.run_machine import RunMachine
from volant.decide.surviving import Survivors
from volant.engine.commits import Commits
from volant.engine.owning import Term
from volant.engine.watching import Watcher
from volant.testing.memory_leases import MemoryLeases


class Mutant(NamedTuple):
    """A broken engine."""

    law: str
    """How what is found begins: an expression."""
    broken: tuple[tuple[Any, str, Any], ...]
    """Methods and what they are replaced by."""

    def installed(self) -> ExitStack:
        """Until it is closed, the engine is broken so."""
        stack = ExitStack()
        for owner, name, replacement in self.broken:
            stack.enter_context(patch.object(owner, name, replacement))
        return stack


def _tell_at_once(self: Commits, live: Any, command: Any) -> None:
    self._loop.call_soon(self._tell, live, command)


_recorded_children = RunMachine.recorded_children


def _recorded_but_the_last(self: RunMachine, key: Any, children: Iterable[Earlier]) -> None:
    _recorded_children(self, key, list(children)[:-1])


def _admit_anybody(self: MemoryLeases, runs: Any) -> None:
    return


def _queue_nothing(self: RunMachine, live: Any, now: Any) -> list[Any]:
    return []


def _as_asked(self: Replay) -> list[Any]:
    return [pair for position in sorted(self._asked) for pair in self._tell(position)]


async def _from_the_next_but_one(self: Watcher) -> Any:
    self._recent.clear()
    return tuple(await self._journal.changes(self.run, after=self._cursor + 1))


_abort = RunMachine._abort


def _leave_children(self: RunMachine, top: Any, reason: str, cause: Any, now: Any) -> list[Any]:
    return [] if reason == "its parent has ended" else _abort(self, top, reason, cause, now)


_failed = RunMachine._failed


def _fail_for_ever(self: RunMachine, live: Any, attempt: Any, failure: Any, now: Any) -> list[Any]:
    live.lost += 10
    return _failed(self, live, attempt, failure, now)


def _claim_nothing(self: Survivors, action: Any, attempt: Any) -> None:
    return


async def _take_nothing(self: SimulatedLauncher, run: Any) -> list[Any]:
    return []


def _be_sure(self: Term) -> bool:
    return True


MUTANTS = {
    "told before it is committed": Mutant("committed before told", ((Commits, "then", _tell_at_once),)),
    "a recorded outcome is dropped": Mutant(
        "a success is for ever|never run again what was told",
        ((RunMachine, "recorded_children", _recorded_but_the_last),),
    ),
    "the fencing token is ignored": Mutant(
        "who lost a run writes nothing to it", ((MemoryLeases, "admit", _admit_anybody),)
    ),
    "a lost attempt is not queued again": Mutant(
        "every run ends or can be resumed", ((RunMachine, "_queue_again", _queue_nothing),)
    ),
    "recorded outcomes are told as they are asked for": Mutant(
        "a race has the same winner again", ((Replay, "ready", _as_asked),)
    ),
    "a lost worker fails its action": Mutant(
        "the result is that of an undisturbed run", ((RunMachine, "_failed", _fail_for_ever),)
    ),
    "children outlive their parent": Mutant("every run ends", ((RunMachine, "_abort", _leave_children),)),
    "an attempt that outlived its engine is not adopted": Mutant(
        "an engine's death costs no work", ((Survivors, "claim", _claim_nothing),)
    ),
    "who outlived an engine is forgotten": Mutant(
        "an engine's death costs no work", ((SimulatedLauncher, "survivors", _take_nothing),)
    ),
    "an engine that slept starts attempts": Mutant(
        "who lost a run starts nothing of it", ((Term, "is_sure", property(_be_sure)),)
    ),
    "a watcher is not told a change": Mutant(
        "a watcher is told everything once", ((Watcher, "_next", _from_the_next_but_one),)
    ),
}
