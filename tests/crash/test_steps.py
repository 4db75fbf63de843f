"""Engines and workers die between steps: what was recorded is not executed again, and sleeps keep their time."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.crash.test_resuming import engine_of, kill_everything, lines, until
from tests.scenarios.conftest import PATIENCE, User, output

PROGRAM = """
    import pathlib, time
    import volant

    env = volant.TaskEnvironment(name="steps")

    def note(log: str, line: str) -> None:
        with open(log, "a") as file:
            file.write(line + "\\n")

    @volant.trace
    async def charge(log: str, n: int) -> int:
        note(log, f"charge {n}")
        return n

    @volant.trace
    async def refuse(log: str) -> None:
        note(log, "refuse")
        raise LookupError("refused")

    @env.task
    async def main(log: str, seconds: float) -> list[object]:
        drawn = await volant.durable.random.aio()
        found: list[object] = [await charge(log, 1)]
        try:
            await refuse(log)
        except LookupError as error:
            found.append(str(error))
        note(log, f"drawn {drawn}")
        await volant.durable.sleep.aio(seconds)
        found.append(await charge(log, 2))
        note(log, f"drawn {drawn}")
        return found
"""
FOUND = [1, "refused", 2]


def start(new_user: Callable[..., User], log: Path, seconds: float) -> tuple[User, "subprocess.Popen[str]"]:
    user = new_user()
    user.write("steps.py", PROGRAM)
    command = [sys.executable, "-m", "volant", "run", "--name", "cut", "steps.py", "main", "-o", "json"]
    client = user.start(*command, "--log", str(log), "--seconds", str(seconds))
    until(lambda: any(line.startswith("drawn") for line in lines(log)))
    return user, client


def check(log: Path) -> None:
    counted = Counter(lines(log))
    drawn = [line for line in counted if line.startswith("drawn")]
    assert len(drawn) == 1
    assert {line: count for line, count in counted.items() if line not in drawn} == {
        "charge 1": 1,
        "charge 2": 1,
        "refuse": 1,
    }


def timers(user: User) -> list[dict[str, object]]:
    shown = json.loads(user.volant("get", "run", "cut", "-o", "json").stdout)
    return [action for action in shown["actions"] if action["kind"] == "timer"]


def test_steps_and_timers_survive_the_engine(new_user: Callable[..., User], tmp_path: Path) -> None:
    log = tmp_path / "log"
    user, client = start(new_user, log, 1.0)
    until(lambda: timers(user))
    engine = engine_of(user)
    assert engine is not None
    engine.kill()
    printed, errors = client.communicate(timeout=PATIENCE)
    assert json.loads(printed)["outputs"]["o0"] == FOUND, errors
    check(log)
    assert len(timers(user)) == 1


def test_steps_and_timers_survive_everything(new_user: Callable[..., User], tmp_path: Path) -> None:
    log = tmp_path / "log"
    user, client = start(new_user, log, 2.0)
    until(lambda: timers(user))
    kill_everything(user, client)
    assert output(user.volant("resume", "cut", "-o", "json")) == FOUND
    check(log)
    assert len(timers(user)) == 1
