"""Recorded time, chance and sleep, in every mode and through the loss of a worker."""

import json
from pathlib import Path

import pytest

from tests.scenarios.conftest import User, output

PROGRAM = """
    import asyncio, os, signal
    from datetime import timedelta
    import volant
    from volant import durable

    env = volant.TaskEnvironment(name="durable")

    def lose_first(lost: bool) -> None:
        if lost and volant.ctx().attempt_number == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(log: str, *found: object) -> None:
        with open(log, "a") as file:
            file.write(" ".join(map(str, found)) + "\\n")

    @env.task
    async def looks(log: str, lost: bool = False) -> int:
        found = [await each.aio() for each in (durable.now, durable.time, durable.random, durable.uuid4, durable.uuid4)]
        await durable.sleep.aio(0.01)
        note(log, *found)
        lose_first(lost)
        return len(set(found))

    @env.task
    def looks_blocking(log: str, lost: bool = False) -> int:
        found = [each() for each in (durable.now, durable.time, durable.random, durable.uuid4, durable.uuid4)]
        durable.sleep(timedelta(milliseconds=10))
        note(log, *found)
        lose_first(lost)
        return len(set(found))

    @env.task
    async def gives_up(log: str) -> str:
        try:
            async with asyncio.timeout(0.01):
                await durable.sleep.aio(timedelta(days=30))
        except TimeoutError:
            return "gave up"
        return "slept"

    @env.task
    async def blocks(log: str) -> str:
        try:
            durable.sleep(1)
        except volant.errors.SyncTaskCallInAsyncContextError as error:
            return str(error.hint)
        return "slept"
"""


@pytest.fixture(scope="module")
def program(user: User) -> Path:
    return user.write("durable.py", PROGRAM)


@pytest.mark.parametrize("mode", ["local", "inline"])
@pytest.mark.parametrize("task", ["looks", "looks_blocking"])
def test_what_is_asked_for_first_is_new(user: User, program: Path, tmp_path: Path, task: str, mode: str) -> None:
    done = user.volant("run", "--mode", mode, str(program), task, "--log", str(tmp_path / "log"), "-o", "json")
    assert output(done) == 5


@pytest.mark.parametrize("task", ["looks", "looks_blocking"])
def test_a_replay_sees_the_same_and_does_not_sleep_again(user: User, program: Path, tmp_path: Path, task: str) -> None:
    log = tmp_path / "log"
    done = user.volant("run", str(program), task, "--log", str(log), "--lost", "-o", "json")
    assert output(done) == 5
    first, second = log.read_text().splitlines()
    assert first == second
    shown = json.loads(user.volant("get", "run", json.loads(done.stdout)["run"], "-o", "json").stdout)
    kinds = [action["kind"] for action in shown["actions"]]
    assert (kinds.count("task"), kinds.count("step"), kinds.count("timer")) == (1, 5, 1)


@pytest.mark.parametrize("mode", ["local", "inline"])
def test_a_durable_sleep_can_be_cancelled(user: User, program: Path, tmp_path: Path, mode: str) -> None:
    done = user.volant("run", "--mode", mode, str(program), "gives_up", "--log", str(tmp_path / "log"), "-o", "json")
    assert output(done) == "gave up"


def test_async_code_is_told_how_to_sleep(user: User, program: Path, tmp_path: Path) -> None:
    done = user.volant("run", str(program), "blocks", "--log", str(tmp_path / "log"), "-o", "json")
    assert output(done) == "await volant.durable.sleep.aio(...) instead"


def test_who_looks_sees_how_long_a_timer_sleeps(user: User, program: Path) -> None:
    user.write(
        "sleeps.py",
        """
        import volant

        env = volant.TaskEnvironment(name="sleeps")

        @env.task
        async def main() -> None:
            await volant.durable.sleep.aio(86_400)
        """,
    )
    user.volant("run", "--name", "asleep", "--detach", "sleeps.py", "main")
    while True:
        shown = json.loads(user.volant("get", "run", "asleep", "-o", "json").stdout)
        if len(shown["actions"]) == 2:
            break
    timer = shown["actions"][1]
    assert (timer["kind"], timer["phase"]) == ("timer", "PAUSED")
    assert timer["waits"]["kind"] == "timer"
    assert timer["waits"]["text"].startswith("sleeps until ")
    user.volant("abort", "run", "asleep")
