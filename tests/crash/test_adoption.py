"""An engine's death costs no work: what it had started goes on under the next one, or ends by itself."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.crash.test_resuming import engine_of, until
from tests.scenarios.conftest import PATIENCE, User, output
from volant.kit.homes import engine_log_path

TASKS = """
    import asyncio, ctypes, os, pathlib, subprocess, sys, threading, time
    import volant

    env = volant.TaskEnvironment(name="kept", resources=volant.Resources(cpu="1m"))
    other = volant.TaskEnvironment(name="other", env_vars={"COLOUR": "red"}, resources=volant.Resources(cpu="1m"))

    def note(log: str, line: str) -> None:
        with open(log, "a") as file:
            file.write(line + "\\n")

    def until(path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.01)

    @env.task
    async def leaf(n: int, log: str, seconds: float) -> int:
        note(log, f"leaf {n} {volant.ctx().attempt_number}")
        await asyncio.sleep(seconds)
        return n

    @other.task
    def blocking(n: int, log: str, seconds: float) -> int:
        note(log, f"blocking {n} {volant.ctx().attempt_number}")
        time.sleep(seconds)
        return n

    @env.task
    def middle(n: int, log: str, seconds: float) -> int:
        note(log, f"middle {n} {volant.ctx().attempt_number}")
        return leaf_in_thread(n, log, seconds) if n % 3 == 0 else blocking(n, log, seconds)

    def leaf_in_thread(n: int, log: str, seconds: float) -> int:
        found = []
        thread = threading.Thread(target=lambda: found.append(blocking(n, log, seconds)))
        thread.start()
        thread.join()
        return found[0]

    @env.task
    async def main(log: str, count: int, seconds: float) -> int:
        note(log, f"main 0 {volant.ctx().attempt_number}")
        found = 0
        for first in range(0, count, 4):
            numbers = range(first, first + 4)
            leaves = [leaf(n, log, seconds) for n in numbers]
            found += sum(await asyncio.gather(*leaves, *(middle.aio(n, log, seconds) for n in numbers)))
        return found

    @env.task
    def gated(log: str, gate: str) -> int:
        note(log, f"gated 0 {volant.ctx().attempt_number}")
        until(gate)
        return os.getpid()

    @env.task(retries=1)
    def failing(log: str, gate: str) -> int:
        number = volant.ctx().attempt_number
        note(log, f"failing 0 {number}")
        until(gate)
        if number == 0:
            raise ValueError("the first time")
        return number

    @env.task
    def leaving(log: str, gate: str) -> int:
        note(log, f"leaving 0 {volant.ctx().attempt_number}")
        until(gate)
        os._exit(3)

    @env.task
    def stuck(log: str, gate: str) -> int:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        note(log, "stuck 0 0")
        # The interpreter is never asked again whether a signal came.
        ctypes.PyDLL(None).pause()
        while True:
            ctypes.PyDLL(None).sleep(1000)

    @env.task
    async def parent(log: str, gate: str) -> int:
        return await gated.aio(log, gate)
"""


@pytest.fixture
def user(new_user: Callable[..., User]) -> User:
    made = new_user()
    made.write("kept.py", TASKS)
    return made


def start(user: User, task: str, log: Path, *options: str) -> "subprocess.Popen[str]":
    return user.start(sys.executable, "-m", "volant", "run", "-o", "json", "kept.py", task, "--log", str(log), *options)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def engines(user: User) -> list[int]:
    """The engines that have listened, one after another."""
    started = re.findall(r"INFO engine \S+ of .*, pid (\d+)", engine_log_path(user.home).read_text())
    return [int(pid) for pid in started]


def kill_engine(user: User) -> None:
    engine = engine_of(user)
    if engine is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            engine.kill()


def kill_engine_and(client: "subprocess.Popen[str]", user: User) -> None:
    """Nobody is left who would start the next engine."""
    client.kill()
    client.communicate(timeout=PATIENCE)
    kill_engine(user)
    until(lambda: engine_of(user) is None)


def value(client: "subprocess.Popen[str]") -> object:
    out, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, errors
    return json.loads(out)["outputs"]["o0"]


@pytest.mark.parametrize("kills", [1, 5])
def test_an_engines_death_costs_no_work(user: User, tmp_path: Path, kills: int) -> None:
    log = tmp_path / "log"
    count = 24
    client = start(user, "main", log, "--count", str(count), "--seconds", "0.2")
    for kill in range(kills):
        # In the midst of calls, forks and outcomes.
        until(lambda kill=kill: len(lines(log)) > kill * 14 and len(engines(user)) > kill)
        os.kill(engines(user)[-1], signal.SIGKILL)
    assert value(client) == 2 * sum(range(count))
    assert len(engines(user)) == kills + 1
    executed = Counter(lines(log))
    names = [f"{name} {n} 0" for name in ("leaf", "middle", "blocking") for n in range(count)]
    assert executed == Counter(["main 0 0", *names])


def test_what_finished_while_no_engine_was_there_is_accepted_once(user: User, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    client = start(user, "gated", log, "--gate", str(gate), "--name", "done")
    until(lambda: lines(log))
    kill_engine_and(client, user)
    gate.touch()
    worker = output(user.volant("resume", "done", "-o", "json"))
    assert lines(log) == ["gated 0 0"]
    until(lambda: not psutil.pid_exists(int(str(worker))))
    (attempt,) = json.loads(user.volant("get", "action", "done", "gated", "-o", "json").stdout)["history"]
    assert (attempt["phase"], attempt["pid"]) == ("SUCCEEDED", worker)


def test_an_adopted_attempt_that_fails_is_retried(user: User, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    client = start(user, "failing", log, "--gate", str(gate))
    until(lambda: lines(log))
    kill_engine(user)
    gate.touch()
    assert value(client) == 1
    assert lines(log) == ["failing 0 0", "failing 0 1"]


def test_how_a_process_ended_while_no_engine_was_there_is_known(user: User, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    client = start(user, "leaving", log, "--gate", str(gate), "--name", "left")
    until(lambda: lines(log))
    kill_engine_and(client, user)
    gate.touch()
    done = user.volant("resume", "left", ok=False)
    assert done.returncode != 0
    assert "exit code 3" in done.stderr
    assert lines(log) == ["leaving 0 0"]


def test_an_adopted_run_can_be_aborted(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, "parent", log, "--gate", str(tmp_path / "gate"), "--name", "unwanted")
    until(lambda: lines(log))
    before = user.processes()
    kill_engine(user)
    until(lambda: json.loads(user.volant("get", "run", "unwanted", "-o", "json").stdout)["live"])
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=PATIENCE)
    assert json.loads(user.volant("get", "run", "unwanted", "-o", "json").stdout)["phase"] == "ABORTED"
    assert lines(log) == ["gated 0 0"]
    user.volant("engine", "stop")
    assert psutil.wait_procs(before, timeout=PATIENCE)[1] == []


def test_a_run_that_nobody_resumed_can_be_aborted(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, "parent", log, "--gate", str(tmp_path / "gate"), "--name", "unwanted")
    until(lambda: lines(log))
    kill_engine_and(client, user)
    workers = [process for process in user.processes() if process.ppid() != 1 and process.children() == []]
    user.volant("abort", "run", "unwanted")
    assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []


@pytest.mark.parametrize("next_engine", [True, False], ids=["engine without resume", "no engine"])
def test_killed_means_dead_when_nobody_goes_on(
    new_user: Callable[..., User], tmp_path: Path, next_engine: bool
) -> None:
    user = new_user(VOLANT_ENGINE_ADOPTION_WINDOW="0.5", VOLANT_GRACE_PERIOD="0.2")
    user.write("kept.py", TASKS)
    log = tmp_path / "log"
    client = start(user, "stuck", log, "--gate", "")
    until(lambda: lines(log))
    kill_engine_and(client, user)
    left = user.processes()
    # Zygote, worker, and one that it started and one that it forked, each in a session of its own.
    assert len(left) == 4
    if next_engine:
        user.volant("run", "kept.py", "leaf", "--n", "1", "--log", str(tmp_path / "other"), "--seconds", "0")
        # The zygote stays: it may be used by others of its environment.
        left = [process for process in left if process.pid != min(each.pid for each in left)]
    assert psutil.wait_procs(left, timeout=PATIENCE)[1] == []


def test_nothing_is_left_of_a_zygote_that_is_killed_after_its_engine(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, "stuck", log, "--gate", "", "--name", "orphaned")
    until(lambda: lines(log))
    kill_engine_and(client, user)
    left = user.processes()
    (zygote,) = [process for process in left if process.pid == min(each.pid for each in left)]
    zygote.kill()
    resumed = user.start(sys.executable, "-m", "volant", "resume", "orphaned")
    assert psutil.wait_procs(left, timeout=PATIENCE)[1] == []
    until(lambda: len(lines(log)) == 2)
    resumed.send_signal(signal.SIGINT)
    resumed.communicate(timeout=PATIENCE)


def test_nothing_is_left_of_an_adopted_zygote_that_is_killed(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, "stuck", log, "--gate", "", "--name", "adopted")
    until(lambda: lines(log))
    old = engine_of(user)
    assert old is not None
    kill_engine(user)
    until(lambda: json.loads(user.volant("get", "run", "adopted", "-o", "json").stdout)["live"])
    new = engine_of(user)
    assert new is not None
    left = [process for process in user.processes() if process.pid not in (client.pid, new.pid)]
    left[0].kill()
    assert psutil.wait_procs(left, timeout=PATIENCE)[1] == []
    until(lambda: len(lines(log)) == 2)
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=PATIENCE)


def test_zygotes_leave_when_their_home_does(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, "gated", log, "--gate", str(tmp_path / "gate"))
    until(lambda: lines(log))
    kill_engine_and(client, user)
    left = user.processes()
    user.home.rename(tmp_path / "elsewhere")
    assert left
    assert psutil.wait_procs(left, timeout=PATIENCE)[1] == []


def test_a_zygote_without_attempts_does_not_wait(user: User, tmp_path: Path) -> None:
    user.volant("run", "kept.py", "leaf", "--n", "1", "--log", str(tmp_path / "log"), "--seconds", "0")
    until(lambda: len(user.processes()) == 2)
    kill_engine(user)
    started = time.monotonic()
    assert psutil.wait_procs(user.processes(), timeout=PATIENCE)[1] == []
    assert time.monotonic() - started < PATIENCE / 4
