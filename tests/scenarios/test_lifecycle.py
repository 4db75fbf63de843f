"""Engines, clients and runs come and go: nothing is lost by it and nothing is left behind."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.scenarios.conftest import PATIENCE, User, output

SLEEPY = """
    import asyncio, pathlib, subprocess, time
    import volant
    env = volant.TaskEnvironment(name="sleepy")

    @env.task
    async def nap(seconds: float, mark: str) -> float:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        pathlib.Path(mark).touch()
        await asyncio.sleep(seconds)
        return seconds

    @env.task
    async def main(seconds: float = 1000.0, mark: str = "mark") -> float:
        first, second = await asyncio.gather(nap(seconds, mark + "1"), nap(seconds + 0.5, mark + "2"))
        return first + second
"""


def until(condition: Callable[[], object]) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def started(user: User, *options: str) -> "subprocess.Popen[str]":
    """A client that waits for a run whose two leaves have started."""
    path = user.write("sleepy.py", SLEEPY)
    mark = user.folder / f"mark{time.monotonic_ns()}"
    process = user.start(
        sys.executable, "-m", "volant", "run", str(path), "main", "--mark", str(mark), *options, "-o", "json"
    )
    until(lambda: Path(f"{mark}1").exists() and Path(f"{mark}2").exists())
    return process


def run_phase(user: User, name: str) -> str:
    shown = user.volant("get", "run", name, "-o", "json").stdout
    return str(json.loads(shown)["phase"])


def sleepers(user: User) -> list[psutil.Process]:
    return [process for process in user.processes() if "sleep" in process.name()]


def test_interrupting_a_client_aborts_its_run_and_leaves_no_process(new_user: Callable[..., User]) -> None:
    user = new_user()
    process = started(user, "--name", "interrupted")
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert printed == ""
    assert "Traceback" not in errors
    assert "interrupted" in errors
    assert run_phase(user, "interrupted") == "ABORTED"
    assert sleepers(user) == []


def test_ctrl_c_in_a_terminal_aborts_the_run(new_user: Callable[..., User]) -> None:
    user = new_user(TERM="xterm")
    path = user.write("sleepy.py", SLEEPY)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(user.folder)
        os.execve(sys.executable, [sys.executable, "-m", "volant", "run", str(path), "main"], user.environ)
    shown = b""
    until((user.folder / "mark2").exists)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65536):
            shown += piece
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130, shown.decode(errors="replace")
    assert sleepers(user) == []


def test_a_client_that_is_killed_does_not_end_its_run(new_user: Callable[..., User]) -> None:
    user = new_user()
    process = started(user, "--name", "orphan", "--seconds", "3")
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert run_phase(user, "orphan") == "RUNNING"
    done = user.volant("attach", "orphan", "-o", "json")
    assert output(done) == 6.5
    assert run_phase(user, "orphan") == "SUCCEEDED"


def test_a_detached_run_can_be_attached_and_aborted(new_user: Callable[..., User]) -> None:
    user = new_user()
    path = user.write("sleepy.py", SLEEPY)
    done = user.volant("run", str(path), "main", "--name", "far", "--detach")
    assert "far" in done.stdout + done.stderr
    until((user.folder / "mark2").exists)
    user.volant("abort", "far")
    assert run_phase(user, "far") == "ABORTED"
    assert sleepers(user) == []


def test_many_clients_at_once_share_one_engine(new_user: Callable[..., User]) -> None:
    user = new_user()
    path = user.write(
        "small.py",
        """
        import volant
        env = volant.TaskEnvironment(name="small")

        @env.task
        async def main(n: int) -> int:
            return n * n
        """,
    )
    command = [sys.executable, "-m", "volant", "run", str(path), "main", "-o", "json", "--n"]
    clients = [user.start(*command, str(n)) for n in range(6)]
    answers = [client.communicate(timeout=PATIENCE) for client in clients]
    assert [json.loads(printed)["outputs"]["o0"] for printed, _ in answers] == [n * n for n in range(6)]
    log = (user.home / "engine.log").read_text()
    assert len(re.findall(r"INFO engine \S+ of ", log)) == 1
    assert len(json.loads(user.volant("get", "runs", "-o", "json").stdout)) == 6


def test_an_idle_engine_leaves_and_the_next_command_starts_another(new_user: Callable[..., User]) -> None:
    user = new_user(VOLANT_ENGINE_LINGER="0.5")
    path = user.write(
        "tiny.py",
        """
        import volant
        env = volant.TaskEnvironment(name="tiny")

        @env.task
        def main() -> int:
            return 1
        """,
    )
    user.volant("run", str(path), "main", "--name", "first")
    until(lambda: not user.processes())
    assert run_phase(user, "first") == "SUCCEEDED"
    assert output(user.volant("run", str(path), "main", "-o", "json")) == 1


def test_engine_status_stop_and_log(new_user: Callable[..., User]) -> None:
    user = new_user()
    process = started(user, "--name", "busy")
    status = user.volant("engine", "status")
    assert str(user.home) in status.stdout
    refused = user.volant("engine", "stop", ok=False)
    assert refused.returncode == 1
    assert "busy" in refused.stderr
    user.volant("engine", "stop", "--abort-runs")
    process.communicate(timeout=PATIENCE)
    until(lambda: not user.processes())
    assert "engine" in user.volant("engine", "log").stdout
    assert user.processes() == []


def test_a_killed_worker_is_replaced_and_says_nothing_of_a_failure(new_user: Callable[..., User]) -> None:
    user = new_user()
    path = user.write(
        "lost.py",
        """
        import os, signal
        import volant
        env = volant.TaskEnvironment(name="lost")

        @env.task
        async def fragile() -> int:
            if volant.ctx().attempt_number == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return volant.ctx().attempt_number

        @env.task
        async def main() -> int:
            return await fragile()
        """,
    )
    assert output(user.volant("run", str(path), "main", "-o", "json")) == 1


def test_a_killed_zygote_costs_the_run_nothing_but_time(new_user: Callable[..., User]) -> None:
    user = new_user()
    process = started(user, "--name", "bereft", "--seconds", "2")
    status = json.loads(user.volant("engine", "status", "-o", "json").stdout)
    for zygote in status["zygotes"]:
        os.kill(zygote["pid"], signal.SIGKILL)
    printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert json.loads(printed)["outputs"]["o0"] == 4.5
    assert sleepers(user) == []


def test_a_name_can_be_used_once(new_user: Callable[..., User]) -> None:
    user = new_user()
    path = user.write(
        "named.py",
        """
        import volant
        env = volant.TaskEnvironment(name="named")

        @env.task
        def main() -> int:
            return 1
        """,
    )
    user.volant("run", str(path), "main", "--name", "mine")
    again = user.volant("run", str(path), "main", "--name", "mine", ok=False)
    assert again.returncode != 0
    assert "'mine'" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_home_with_a_long_path_works(tmp_path: Path, new_user: Callable[..., User]) -> None:
    user = new_user()
    user.home = tmp_path / ("long" * 30)
    user.environ["VOLANT_HOME"] = str(user.home)
    path = user.write(
        "longhome.py",
        """
        import volant
        env = volant.TaskEnvironment(name="longhome")

        @env.task
        def main() -> int:
            return 1
        """,
    )
    assert output(user.volant("run", str(path), "main", "-o", "json")) == 1
