"""What the lines of a log say: how often each thing was executed, and whether the laws held."""

from collections.abc import Iterable
from typing import NamedTuple

_COSTS_WORK = {"worker", "zygote", "everything"}
_MAY_COST_WORK = {*_COSTS_WORK, "database"}
"""An engine that cannot reach its database for longer than a lease ends what it executes: another may do so too."""


class Count(NamedTuple):
    """Of one run."""

    keys: int
    """Different things that were executed."""
    executions: int
    again: int
    """Executions of what had been executed, and had neither failed by itself nor been told."""
    for_nothing: int
    """Those of them since whose last execution only what costs no work had died: engines, clients, databases."""
    told: int
    """Outcomes that a client outside was told."""
    heard: int
    """Outcomes that parents were told."""
    broken: tuple[str, ...]
    """A sentence for each time that a law was broken."""


def count(lines: Iterable[str]) -> Count:
    """Count the lines of a log in their order."""
    keys: dict[str, str] = {}
    """What happened last to each thing that was executed."""
    key_of: dict[str, str] = {}
    told: set[str] = set()
    heard: set[str] = set()
    winners: dict[str, str] = {}
    deaths: list[str] = []
    died_before: dict[str, int] = {}
    executions = again = for_nothing = 0
    broken: list[str] = []
    for line in lines:
        match line.split():
            case ["executed", key, action]:
                executions += 1
                key_of[action] = key
                if key in told:
                    broken.append(f"{key} was told to a client outside and executed again, as action {action}")
                elif key in heard:
                    broken.append(f"{key} was told to its parent and executed again, as action {action}")
                elif keys.get(key) == "executed":
                    again += 1
                    since = deaths[died_before[key] :]
                    for_nothing += _COSTS_WORK.isdisjoint(since)
                    if _MAY_COST_WORK.isdisjoint(since):
                        broken.append(f"{key} was executed again, as action {action}, though only {since} died")
                keys[key] = "executed"
                died_before[key] = len(deaths)
            case ["death", kind]:
                deaths.append(kind)
            case ["failed", key]:
                keys[key] = "failed"
            case ["heard", key]:
                heard.add(key)
            case ["told", action]:
                if action in key_of:
                    told.add(key_of[action])
                else:
                    broken.append(f"action {action} was told before it was executed")
            case ["won", key, side]:
                if winners.setdefault(key, side) != side:
                    broken.append(f"the race {key} was won by {winners[key]}, and then by {side}")
            case words:
                broken.append(f"a line of the log is {words}")
    return Count(len(keys), executions, again, for_nothing, len(told), len(heard), tuple(broken))
