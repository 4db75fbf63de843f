"""`make storm ROUNDS=20 DATABASE=sqlite|postgres SIZE=2000 SEED=1`: one line per round, exit code 1 if a law broke."""

import argparse
import contextlib
import sys
import time
from statistics import median

from tests.crash.storm.database import Database, Postgres, Sqlite
from tests.crash.storm.rounds import Outcome, Round
from volant.testing.postgres_server import PostgresServer


def main() -> int:
    """Play an undisturbed round and then the others."""
    options = _parsed()
    with contextlib.ExitStack() as stack:
        database: Database = Sqlite()
        if options.database == "postgres":
            database = Postgres(stack.enter_context(PostgresServer.start(durable=True)))
        began = time.monotonic()
        say(f"storm: {options.rounds} rounds of {options.size} actions on {options.database}, seed {options.seed}")
        calm = Round(database, size=options.size, seed="", pace=0).play()
        say(line("undisturbed", calm, calm))
        failed = bool(calm.faults)
        for number in range(options.first, options.first + options.rounds):
            played = Round(database, size=options.size, seed=f"{options.seed}.{number}", pace=options.pace)
            outcome = played.play()
            faults = list(outcome.faults)
            if outcome.result != calm.result:
                faults.append(f"the result is {outcome.result or 'none'}, undisturbed it was {calm.result}")
            say(line(f"round {number}", outcome, calm))
            for fault in faults:
                say(f"    {fault}")
            if faults:
                failed = True
                say(f"    see {played.folder}; again: SEED={options.seed} FIRST={number} ROUNDS=1")
        say(f"storm: {'a law was broken' if failed else 'every law held'}, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def line(name: str, outcome: Outcome, calm: Outcome) -> str:
    """One round in numbers."""
    found = outcome.count
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(outcome.kills.items()))
    same = "same result" if outcome.result and outcome.result == calm.result else "ANOTHER RESULT"
    left = sum("left" in fault for fault in outcome.faults)
    again = f"{found.again} again untold ({found.for_nothing} for nothing)"
    broken = sum("executed again" in fault for fault in outcome.faults)
    return (
        f"{name}: {outcome.kills.total()} deaths{f' ({kinds})' if kinds else ''}; {found.keys} actions, "
        f"{found.executions} executions, {again}; told {found.told}, to parents {found.heard}, {_pauses(outcome)}"
        f"TOLD AND EXECUTED AGAIN {broken}; {same}, {left} left, {len(outcome.faults)} faults, {outcome.seconds:.0f} s"
    )


def _pauses(outcome: Outcome) -> str:
    if not outcome.pauses:
        return ""
    return f"going on {median(outcome.pauses):.1f} s after a death, {max(outcome.pauses):.1f} s at most; "


def say(text: str) -> None:
    """Print at once: a round takes a while."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make storm")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="number of the first round, to play one again")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--size", type=int, default=2000, help="actions of the run")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--pace", type=float, default=1.0, help="seconds between two deaths, on average")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
