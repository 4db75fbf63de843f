"""Zygotes that hang, die or refuse: the run ends with a clear word, and no process and no zombie is left."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable

import psutil

from tests.scenarios.conftest import PATIENCE, User, output


def until(condition: Callable[[], object]) -> None:
    """Wait for something that is about to happen."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def status(user: User) -> dict[str, object]:
    found: dict[str, object] = json.loads(user.volant("engine", "status", "-o", "json").stdout)
    return found


def zygote_pids(user: User) -> list[int]:
    zygotes = status(user)["zygotes"]
    assert isinstance(zygotes, list)
    return [zygote["pid"] for zygote in zygotes]


def engine(user: User) -> psutil.Process:
    pid = status(user)["pid"]
    assert isinstance(pid, int)
    return psutil.Process(pid)


def test_aborting_a_run_whose_import_never_ends_ends_it_and_the_import(new_user: Callable[..., User]) -> None:
    user = new_user()
    mark = user.folder / "mark"
    user.environ["MARK"] = str(mark)
    user.write(
        "endless.py",
        """
        import os, pathlib, time, volant
        if pathlib.Path(os.environ["MARK"] + "ed").exists():
            pathlib.Path(os.environ["MARK"]).touch()
            time.sleep(10_000)
        env = volant.TaskEnvironment(name="endless")

        @env.task
        def main() -> int:
            return 1
        """,
    )
    # The client imports the file too; only what comes after it finds this.
    script = f"""
        import pathlib, runpy, sys
        sys.path.insert(0, {str(user.folder)!r})
        import endless, volant
        pathlib.Path({str(mark)!r} + "ed").touch()
        volant.with_runcontext(name="stuck").run(endless.main)
    """
    client = user.start(sys.executable, str(user.write("start.py", script)))
    until(mark.exists)
    user.volant("abort", "stuck")
    client.communicate(timeout=PATIENCE)
    shown = json.loads(user.volant("get", "run", "stuck", "-o", "json").stdout)
    assert shown["phase"] == "ABORTED"
    until(lambda: len(user.processes()) == 1)


def test_what_a_killed_zygote_leaves_is_killed_and_waited_for(new_user: Callable[..., User]) -> None:
    user = new_user()
    path = user.write(
        "family.py",
        """
        import asyncio, pathlib, subprocess, volant
        env = volant.TaskEnvironment(name="family")

        @env.task
        async def nap(mark: str) -> int:
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            pathlib.Path(mark).touch()
            if volant.ctx().attempt_number == 0:
                await asyncio.sleep(1000)
            return volant.ctx().attempt_number

        @env.task
        async def main(mark: str) -> list[int]:
            return list(await asyncio.gather(*(nap(f"{mark}{n}") for n in range(5))))
        """,
    )
    mark = user.folder / "mark"
    command = [sys.executable, "-m", "volant", "run", str(path), "main", "--mark", str(mark), "-o", "json"]
    client = user.start(*command)
    until(lambda: all((user.folder / f"mark{n}").exists() for n in range(5)))
    for pid in zygote_pids(user):
        os.kill(pid, signal.SIGKILL)
    printed, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, errors
    assert json.loads(printed)["outputs"]["o0"] == [1] * 5
    until(lambda: not [p for p in user.processes() if "sleep" in p.name()])
    until(lambda: {child.pid for child in engine(user).children()} == set(zygote_pids(user)))


def test_an_import_that_ends_the_process_is_the_user_s_failure_and_says_what_it_printed(
    new_user: Callable[..., User],
) -> None:
    user = new_user()
    user.write(
        "fatal.py",
        """
        import os, sys, volant
        if "started" in os.environ:
            print("on its way out", flush=True)
            os._exit(int(os.environ["started"]))
        env = volant.TaskEnvironment(name="fatal")

        @env.task
        def main() -> int:
            return 1
        """,
    )
    for code in (0, 3):
        done = user.python(
            f"""
            import fatal, volant
            volant.with_runcontext(env_vars={{"started": "{code}"}}).run(fatal.main)
            """,
            ok=False,
        )
        assert done.returncode != 0
        assert f"exit code {code}" in done.stderr
        assert "on its way out" in done.stderr
    until(lambda: zygote_pids(user) == [])


def test_code_that_is_mended_after_a_refusal_runs_with_the_same_engine(new_user: Callable[..., User]) -> None:
    user = new_user()
    flag = user.folder / "flag"
    user.write(
        "broken.py",
        f"""
        import pathlib, volant
        if pathlib.Path({str(flag)!r}).exists():
            raise ImportError("not today")
        env = volant.TaskEnvironment(name="broken")

        @env.task
        def main() -> int:
            return 1
        """,
    )
    script = f"""
        import pathlib, sys, broken, volant
        flag = pathlib.Path({str(flag)!r})
        if sys.argv[1:]:
            flag.touch()
        volant.run(broken.main)
    """
    path = user.write("start.py", script)
    refused = user.start(sys.executable, str(path), "break")
    _, errors = refused.communicate(timeout=PATIENCE)
    assert refused.returncode != 0
    assert "not today" in errors
    flag.unlink()
    user.python(script, name="start.py")


def test_more_environments_than_zygotes_may_be_alive_all_run(new_user: Callable[..., User]) -> None:
    user = new_user()
    path = user.write(
        "many.py",
        """
        import asyncio, os, volant
        env = volant.TaskEnvironment(name="many")

        @env.task
        async def which() -> str:
            return os.environ["N"]

        @env.task
        async def main() -> list[str]:
            calls = [which.override(env_vars={"N": str(n)})() for n in range(11)]
            return list(await asyncio.gather(*calls))
        """,
    )
    assert output(user.volant("run", str(path), "main", "-o", "json")) == [str(n) for n in range(11)]
    until(lambda: len(zygote_pids(user)) <= 8)
    until(lambda: {child.pid for child in engine(user).children()} == set(zygote_pids(user)))


def test_a_run_whose_zygote_was_stopped_can_be_aborted(new_user: Callable[..., User]) -> None:
    user = new_user()
    mark = user.folder / "mark"
    script = user.write(
        "stops.py",
        """
        import os, pathlib, signal, time, volant
        env = volant.TaskEnvironment(name="stops")

        @env.task
        def main(mark: str) -> int:
            os.kill(os.getppid(), signal.SIGSTOP)
            pathlib.Path(mark).touch()
            time.sleep(1000)
            return 1
        """,
    )
    client = user.start(
        sys.executable, "-m", "volant", "run", "--name", "stopped", str(script), "main", "--mark", str(mark)
    )
    until(mark.exists)
    user.volant("abort", "stopped")
    client.communicate(timeout=PATIENCE)
    assert client.returncode == 1
