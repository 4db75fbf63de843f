"""Engines die, alone or with everything else, and runs go on from what was finished."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.scenarios.conftest import PATIENCE, User, output

PIPELINE = """
    import asyncio, os, pathlib, random
    import volant

    env = volant.TaskEnvironment(name="durable")

    def note(path: str, line: str) -> None:
        with open(path, "a") as file:
            file.write(line + "\\n")
            file.flush()
            os.fsync(file.fileno())

    @env.task
    async def leaf(n: int, log: str, seconds: float = 0.0) -> int:
        note(log, f"executed {n}")
        await asyncio.sleep(seconds)
        return n * n

    @env.task
    async def told(n: int, log: str, seconds: float) -> int:
        found = await leaf(n, log, seconds)
        note(log, f"told {n}")
        return found

    @env.task
    async def main(log: str, count: int, seconds: float = 0.0) -> int:
        numbers = list(range(count))
        random.shuffle(numbers)
        return sum(await asyncio.gather(*(told(n, log, seconds) for n in numbers)))
"""


@pytest.fixture
def user(new_user: Callable[..., User]) -> Iterator[User]:
    made = new_user()
    made.write("durable.py", PIPELINE)
    made.write("other.py", PIPELINE)
    return made


def start(user: User, log: Path, *options: str, count: int = 6, seconds: float = 0.0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "volant", "run", "durable.py", "main", "--log", str(log), "--count", str(count)]
    return user.start(*command, "--seconds", str(seconds), *options, "-o", "json")


def engine_of(user: User) -> psutil.Process | None:
    for process in user.processes():
        with contextlib.suppress(psutil.Error):
            if any("volant.wiring.engine" in argument for argument in process.cmdline()):
                return process
    return None


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def kill_everything(user: User, *clients: "subprocess.Popen[str]") -> None:
    """Clients first, or they would start the next engine."""
    for client in clients:
        client.kill()
        client.communicate(timeout=PATIENCE)
    while found := user.processes():
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=PATIENCE)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def check_never_again(log: Path) -> None:
    """What was told was not executed again after that."""
    known: set[str] = set()
    for line in lines(log):
        verb, number = line.split()
        if verb == "told":
            known.add(number)
        else:
            assert number not in known, f"{number} was told and is executed again"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_a_client_that_sees_its_engine_die_starts_the_next_one_and_goes_on(
    user: User, tmp_path: Path, number: int
) -> None:
    log = tmp_path / "log"
    client = start(user, log, seconds=0.5)
    until(lambda: len(lines(log)) >= 3)
    engine = engine_of(user)
    assert engine is not None
    old = [process for process in user.processes() if process.pid != client.pid]
    engine.send_signal(number)
    out, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, errors
    assert json.loads(out)["outputs"]["o0"] == sum(n * n for n in range(6))
    assert "the next engine goes on" in errors
    if number == signal.SIGTERM:
        # It ended what it had started before it left.
        _, alive = psutil.wait_procs(old, timeout=PATIENCE)
        assert alive == []
    check_never_again(log)


def test_a_run_that_lost_everything_is_mentioned_and_resumed(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, log, "--name", "cut", count=4, seconds=0.5)
    until(lambda: len(lines(log)) >= 2)
    kill_everything(user, client)
    left = json.loads(user.volant("get", "run", "cut", "-o", "json").stdout)
    assert left["live"] is False
    assert "volant resume cut" in user.volant("attach", "cut", ok=False).stderr
    # Who does not show it does not use up the mention.
    user.volant(
        "run", "other.py", "main", "--log", str(tmp_path / "other"), "--count", "1", "--quiet", "--name", "quiet"
    )
    user.volant("rerun", "quiet")
    other = user.volant("run", "other.py", "main", "--log", str(tmp_path / "other"), "--count", "1", "-o", "json")
    assert output(other) == 0
    assert "run cut was interrupted" in other.stderr
    again = user.volant("run", "other.py", "main", "--log", str(tmp_path / "other"), "--count", "1", "-o", "json")
    assert "interrupted" not in again.stderr
    assert output(user.volant("resume", "cut", "-o", "json")) == 14
    check_never_again(log)
    refused = user.volant("resume", "cut", ok=False)
    assert refused.returncode != 0
    assert "it has ended, SUCCEEDED" in refused.stderr


def test_resume_all_takes_every_interrupted_run(user: User, tmp_path: Path) -> None:
    names = ["one", "two"]
    clients = [start(user, tmp_path / name, "--name", name, count=2, seconds=0.3) for name in names]
    until(lambda: all(lines(tmp_path / name) for name in names))
    kill_everything(user, *clients)
    assert sorted(user.volant("resume", "--all").stdout.split()) == names
    for name in names:
        assert output(user.volant("attach", name, "-o", "json")) == 1
    assert "no run" in user.volant("resume", "--all").stderr


def test_an_inline_run_goes_on_in_processes_of_its_own(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, log, "--name", "inline", "--mode", "inline", count=2, seconds=0.5)
    until(lambda: lines(log))
    engine = engine_of(user)
    assert engine is not None
    engine.kill()
    _, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 1
    assert "volant resume inline" in errors
    assert output(user.volant("resume", "inline", "-o", "json")) == 1


def test_an_inline_run_whose_program_is_killed_goes_on(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, log, "--name", "inline", "--mode", "inline", count=3, seconds=0.5)
    until(lambda: len(lines(log)) > 1)
    client.kill()
    client.communicate(timeout=PATIENCE)
    # The engine goes on, and says so to who comes next.
    other = user.volant("run", "other.py", "main", "--log", str(tmp_path / "other"), "--count", "1")
    assert "volant resume inline" in other.stderr
    assert output(user.volant("resume", "inline", "-o", "json")) == 5
    check_never_again(log)


def test_a_resumed_run_keeps_to_the_actions_that_it_allows_at_once(user: User, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    body = """
    import asyncio, pathlib
    import volant

    env = volant.TaskEnvironment(name="bound", resources=volant.Resources(cpu="1m"))

    @env.task
    async def leaf(n: int, marks: str) -> int:
        mark = pathlib.Path(marks, str(n))
        mark.touch()
        await asyncio.sleep(0.05 if pathlib.Path(marks).with_name("resumed").exists() else 100)
        seen = len(list(pathlib.Path(marks).iterdir()))
        mark.unlink()
        return seen

    @env.task
    async def main(marks: str) -> int:
        return max(await asyncio.gather(*(leaf(n, marks) for n in range(8))))
    """
    user.write("bound.py", body)
    given = ["run", "--name", "bound", "--max-action-concurrency", "2", "bound.py", "main", "--marks", str(marks)]
    client = user.start(sys.executable, "-m", "volant", *given)
    until(lambda: len(list(marks.iterdir())) == 2)
    kill_everything(user, client)
    for mark in marks.iterdir():
        mark.unlink()
    (tmp_path / "resumed").touch()
    assert output(user.volant("resume", "bound", "-o", "json")) == 2


def test_engines_that_die_again_and_again_lose_nothing(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    count = 150
    chance = random.Random(4)
    client = start(user, log, count=count, seconds=0.05)
    kills = 0

    def told() -> int:
        return sum(line.startswith("told") for line in lines(log))

    while client.poll() is None and kills < 12:
        # Each engine finishes something, or the client would give up.
        before = told()
        until(lambda before=before: told() > before or client.poll() is not None)
        time.sleep(chance.uniform(0.0, 0.4))
        engine = engine_of(user)
        if engine is not None and client.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                engine.kill()
                kills += 1
    out, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, errors
    assert kills > 2
    assert json.loads(out)["outputs"]["o0"] == sum(n * n for n in range(count))
    check_never_again(log)


def test_the_environment_of_a_resumed_run_is_that_of_who_resumes_it(user: User, tmp_path: Path) -> None:
    user.write(
        "colour.py",
        """
        import os, pathlib, time
        import volant
        env = volant.TaskEnvironment(name="colour")

        @env.task
        def main(mark: str) -> str:
            path = pathlib.Path(mark)
            if not path.exists():
                path.touch()
                time.sleep(1000)
            return os.environ["COLOUR"] + " " + os.environ.get("SHADE", "none")
        """,
    )
    user.environ["COLOUR"] = "red"
    command = [
        sys.executable,
        "-m",
        "volant",
        "run",
        "--env",
        "SHADE=dark",
        "-o",
        "json",
        "colour.py",
        "main",
        "--mark",
    ]
    for name, given, wanted in (("bare", [], "blue none"), ("given", ["--env", "SHADE=pale"], "blue pale")):
        mark = tmp_path / name
        client = user.start(*command, str(mark), "--name", name)
        until(mark.exists)
        kill_everything(user, client)
        user.environ["COLOUR"] = "blue"
        done = user.volant("resume", name, *given, "-o", "json")
        assert output(done) == wanted
        warning = "the values of the run's env_vars were not kept, and nobody gave them again: SHADE"
        assert (warning in done.stderr) is not bool(given)
    assert b"dark" not in b"".join(path.read_bytes() for path in user.home.glob("journal*"))
    watched = user.start(*command, str(tmp_path / "watched"))
    until((tmp_path / "watched").exists)
    for process in user.processes():
        if process.pid != watched.pid:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    out, errors = watched.communicate(timeout=PATIENCE)
    assert watched.returncode == 0, errors
    assert json.loads(out)["outputs"]["o0"] == "blue dark"
    del user.environ["COLOUR"]


def test_a_resumed_run_goes_on_with_the_code_that_it_started_with(user: User, tmp_path: Path) -> None:
    helper = user.write("colours.py", "COLOUR = 'red'\n")
    text = """
        import pathlib, time
        import volant
        from colours import COLOUR
        env = volant.TaskEnvironment(name="edited")

        @env.task
        def main(mark: str) -> str:
            path = pathlib.Path(mark)
            if not path.exists():
                path.touch()
                time.sleep(1000)
            return f"old {COLOUR}"
        """
    path = user.write("edited.py", text)
    mark = tmp_path / "mark"
    command = [sys.executable, "-m", "volant", "run", "edited.py", "main", "--mark", str(mark), "--name", "edited"]
    client = user.start(*command)
    until(mark.exists)
    kill_everything(user, client)
    path.write_text(path.read_text().replace("old", "new"))
    helper.write_text("COLOUR = 'blue'\n")
    done = user.volant("resume", "edited", "-o", "json")
    assert output(done) == "old red"
    assert "colours.py, edited.py: edited since the run was submitted" in done.stderr


def test_a_resumed_run_goes_on_with_the_code_of_now_where_that_is_wanted(user: User, tmp_path: Path) -> None:
    text = """
        import asyncio, pathlib, volant
        env = volant.TaskEnvironment(name="mended")

        @env.task
        async def main(mark: str) -> str:
            pathlib.Path(mark).touch()
            await asyncio.sleep(1000)
            return "never"
        """
    path = user.write("mended.py", text)
    mark = tmp_path / "mark"
    command = [sys.executable, "-m", "volant", "run", "mended.py", "main", "--mark", str(mark), "--name", "mended"]
    client = user.start(*command)
    until(mark.exists)
    kill_everything(user, client)
    mended = path.read_text().replace("await asyncio.sleep(1000)", "pass").replace("never", "mended")
    path.unlink()
    refused = user.volant("resume", "mended", "--code", "current", ok=False)
    assert f"{path} is not there any more" in refused.stderr
    path.write_text(mended)
    assert output(user.volant("resume", "mended", "--code", "current", "-o", "json")) == "mended"
    # It is the run's code from now on.
    assert output(user.volant("rerun", "mended", "-o", "json")) == "mended"
