"""How engines come and end: told to, killed, without a disk, without a home; nothing is left and the next one works."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.scenarios.conftest import PATIENCE, User, output
from volant.kit.homes import socket_path

SLEEPY = """
    import asyncio, pathlib, subprocess
    import volant
    env = volant.TaskEnvironment(name="sleepy")

    @env.task
    async def nap(mark: str, seconds: float) -> int:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        pathlib.Path(mark).touch()
        await asyncio.sleep(seconds)
        return 1

    @env.task
    async def main(mark: str, seconds: float = 1000.0) -> int:
        return sum(await asyncio.gather(*(nap(f"{mark}{n}", seconds) for n in range(3))))
"""
SMALL = """
    import volant
    env = volant.TaskEnvironment(name="small")

    @env.task
    def main() -> int:
        return 1
"""


def until(condition: Callable[[], object]) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def engine_pid(user: User) -> int:
    return int(json.loads(user.volant("engine", "status", "-o", "json").stdout)["pid"])


def start_sleepers(user: User, *options: str) -> "subprocess.Popen[str]":
    """A client that waits for a run whose leaves have started."""
    path = user.write("sleepy.py", SLEEPY)
    mark = user.folder / f"mark{time.monotonic_ns()}-"
    command = [sys.executable, "-m", "volant", "run", str(path), "main", "--mark", str(mark)]
    client = user.start(*command, *options, "-o", "json")
    until(lambda: all(Path(f"{mark}{n}").exists() for n in range(3)))
    return client


def the_next_engine_works(user: User) -> None:
    path = user.write("small.py", SMALL)
    assert output(user.volant("run", str(path), "main", "-o", "json")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_ends_with_live_runs_leaves_no_process_and_says_what_became_of_them(
    new_user: Callable[..., User], number: int
) -> None:
    user = new_user()
    client = start_sleepers(user, "--name", "cut")
    pid = engine_pid(user)
    old = user.processes()
    # Somebody who watches would go on with the run.
    client.kill()
    client.communicate(timeout=PATIENCE)
    os.kill(pid, number)
    gone, alive = psutil.wait_procs([process for process in old if process.pid != client.pid], timeout=PATIENCE)
    assert gone
    assert alive == []
    the_next_engine_works(user)
    attached = user.volant("attach", "cut", ok=False)
    assert attached.returncode != 0
    assert "nothing executes it" in attached.stderr
    assert "abort cut" in attached.stderr
    assert "resume cut" in attached.stderr
    user.volant("abort", "cut")
    assert json.loads(user.volant("get", "run", "cut", "-o", "json").stdout)["phase"] == "ABORTED"


def test_an_engine_whose_disk_is_full_says_so_leaves_nothing_and_the_next_one_works(
    new_user: Callable[..., User],
) -> None:
    user = new_user()
    path = user.write(
        "talkative.py",
        """
        import asyncio, volant
        env = volant.TaskEnvironment(name="talkative")

        @env.task
        async def leaf(n: int) -> str:
            return "x" * 40_000

        @env.task
        async def main() -> int:
            return len(await asyncio.gather(*(leaf(n) for n in range(400))))
        """,
    )
    # A file of this user's processes may have 3 MB, the journal included.
    command = f"ulimit -f 3000; exec {shlex.join([sys.executable, '-m', 'volant', 'run', str(path), 'main'])}"
    client = user.start("bash", "-c", command)
    _, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode != 0
    assert "Traceback" not in errors
    assert "volant resume" in errors
    # The client has let the next engines try, which had no more room.
    until(lambda: user.processes() == [])
    log = (user.home / "engine.log").read_text()
    assert "the engine leaves, 1 run(s) are left unfinished: journal" in log
    the_next_engine_works(user)


@pytest.mark.parametrize("what", ["journal.db", "engine.lock", "config.toml"])
def test_a_home_that_cannot_be_used_is_named_in_one_line_to_the_client_and_in_the_log(
    new_user: Callable[..., User], what: str
) -> None:
    user = new_user()
    path = user.write("small.py", SMALL)
    user.home.mkdir(mode=0o700)
    if what == "engine.lock":
        (user.home / what).mkdir()
    else:
        (user.home / what).write_bytes(b"this is not what it should be" * 100)
    done = user.volant("run", str(path), "main", ok=False)
    assert done.returncode != 0
    assert what in done.stderr
    assert "Traceback" not in done.stderr
    assert not user.processes()


def test_of_engines_that_start_at_once_one_stays(new_user: Callable[..., User]) -> None:
    user = new_user()
    started = [user.start(sys.executable, "-m", "volant.wiring.engine", str(user.home)) for _ in range(5)]
    until(lambda: sum(process.poll() is None for process in started) == 1)
    until(socket_path(user.home).exists)
    the_next_engine_works(user)
    (engine,) = [process for process in started if process.poll() is None]
    assert engine_pid(user) == engine.pid
    assert all(process.returncode == 0 for process in started if process is not engine)
    user.volant("engine", "stop")
    for process in started:
        process.communicate(timeout=PATIENCE)
    assert engine.returncode == 0


def test_a_socket_that_nobody_listens_to_is_replaced(new_user: Callable[..., User]) -> None:
    user = new_user()
    the_next_engine_works(user)
    pid = engine_pid(user)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid))
    assert socket_path(user.home).exists()
    the_next_engine_works(user)
    assert engine_pid(user) != pid


def test_an_engine_stays_for_a_run_that_nobody_watches_and_then_leaves(new_user: Callable[..., User]) -> None:
    user = new_user(VOLANT_ENGINE_LINGER="0.3")
    path = user.write("sleepy.py", SLEEPY)
    mark = user.folder / "mark"
    user.volant("run", str(path), "main", "--mark", str(mark), "--seconds", "2", "--detach", "--name", "far")
    until(lambda: not user.processes())
    assert json.loads(user.volant("get", "run", "far", "-o", "json").stdout)["phase"] == "SUCCEEDED"


def test_an_engine_that_has_left_leaves_no_sign_of_its_life(new_user: Callable[..., User]) -> None:
    user = new_user()
    the_next_engine_works(user)
    assert len(list((user.home / "lives").iterdir())) == 1
    user.volant("engine", "stop")
    until(lambda: not user.processes())
    assert list((user.home / "lives").iterdir()) == []
