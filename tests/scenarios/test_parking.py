"""Tasks that sleep for long hold no process, and go on where they were."""

import json
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.crash.test_resuming import kill_everything, until
from tests.scenarios.conftest import User, output

PROGRAM = """
    import asyncio, threading
    import volant
    from volant import durable

    env = volant.TaskEnvironment(name="parked")

    @env.task
    async def naps(seconds: float) -> int:
        print("before")
        await durable.sleep.aio(seconds)
        return volant.ctx().attempt_number

    @env.task
    async def calls_one(seconds: float) -> list[int]:
        return [await naps(seconds), volant.ctx().attempt_number]

    @env.task
    def naps_blocking(seconds: float) -> int:
        durable.sleep(seconds)
        return volant.ctx().attempt_number

    @volant.trace
    def step() -> int:
        return 1

    @volant.trace
    async def sleepy_step(seconds: float) -> None:
        await durable.sleep.aio(seconds)

    @env.task
    async def in_a_thread_before(seconds: float) -> int:
        await asyncio.to_thread(step)
        await durable.sleep.aio(seconds)
        return volant.ctx().attempt_number

    @env.task
    async def waits_otherwise(seconds: float) -> int:
        await asyncio.gather(durable.sleep.aio(seconds), asyncio.sleep(seconds * 2))
        return volant.ctx().attempt_number

    @env.task
    async def has_a_thread(seconds: float) -> int:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        await durable.sleep.aio(seconds)
        done.set()
        thread.join()
        return volant.ctx().attempt_number

    @env.task
    async def sleeps_in_a_step(seconds: float) -> int:
        await sleepy_step(seconds)
        return volant.ctx().attempt_number
"""


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose engine puts away at once."""
    found = User(
        tmp_path_factory.mktemp("h") / "home", tmp_path_factory.mktemp("project"), VOLANT_ENGINE_PARK_AFTER="0"
    )
    found.write("parked.py", PROGRAM)
    yield found
    found.stop()


def run(user: User, task: str, seconds: float = 0.2) -> object:
    return output(user.volant("run", "parked.py", task, "--seconds", str(seconds), "-o", "json"))


def test_what_was_put_away_goes_on(eager: User) -> None:
    assert run(eager, "naps") == 1
    assert run(eager, "naps_blocking") == 1
    # The parent was put away with its child, and is executed once more.
    assert run(eager, "calls_one", 0.4) == [1, 1]


def test_threads_that_have_nothing_to_do_keep_nobody(eager: User) -> None:
    assert run(eager, "in_a_thread_before") == 1


@pytest.mark.parametrize("task", ["waits_otherwise", "has_a_thread", "sleeps_in_a_step"])
def test_what_something_else_can_wake_is_not_put_away(eager: User, task: str) -> None:
    assert run(eager, task) == 0


def test_what_was_printed_before_is_not_lost(eager: User) -> None:
    done = eager.volant("run", "--name", "printed", "parked.py", "naps", "--seconds", "0.1", "-o", "json")
    assert output(done) == 1
    assert eager.volant("logs", "printed").stdout.count("before") == 2


def is_paused(user: User, name: str) -> bool:
    done = user.volant("get", "run", name, "-o", "json", ok=False)
    actions = json.loads(done.stdout)["actions"] if done.returncode == 0 else []
    return [action["phase"] for action in actions] == ["PAUSED", "PAUSED"]


def test_what_is_put_away_holds_no_process_and_says_why_it_waits(eager: User) -> None:
    eager.volant("run", "--name", "long", "--detach", "parked.py", "naps", "--seconds", "100000")
    until(lambda: is_paused(eager, "long"))
    until(lambda: not [each for each in eager.processes() if "VOLANT_ATTEMPT" in each.environ()])
    shown = json.loads(eager.volant("get", "run", "long", "-o", "json").stdout)
    task, timer = shown["actions"]
    assert task["waits"]["text"].startswith("put away until ")
    assert task["waits"]["until"] == timer["waits"]["until"]
    eager.volant("abort", "run", "long")


def test_what_is_put_away_survives_everything_and_starts_no_process_before_its_time(
    new_user: Callable[..., User],
) -> None:
    user = new_user(VOLANT_ENGINE_PARK_AFTER="0")
    user.write("parked.py", PROGRAM)
    client = user.start(
        sys.executable, "-m", "volant", "run", "--name", "cut", "parked.py", "naps", "--seconds", "90000"
    )
    until(lambda: is_paused(user, "cut"))
    kill_everything(user, client)
    user.volant("resume", "--detach", "cut")
    shown = json.loads(user.volant("get", "run", "cut", "-o", "json").stdout)
    assert shown["live"]
    assert [(action["phase"], action["attempts"]) for action in shown["actions"]] == [("PAUSED", 1), ("PAUSED", 0)]
    assert not [each for each in user.processes() if "VOLANT_ATTEMPT" in each.environ()]
