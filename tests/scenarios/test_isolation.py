"""A task that misbehaves fails alone: its siblings, its parent and the engine go on."""

import contextlib
import sys
import time

import psutil
import pytest

from tests.scenarios.conftest import PATIENCE, User, result

HEAD = """
    import asyncio, ctypes, json, os, signal, sys, subprocess, threading, time
    import volant

    env = volant.TaskEnvironment(name="hostile")

    class Unpicklable(Exception):
        def __init__(self, message):
            super().__init__(message)
            self.lock = threading.Lock()
        def __reduce__(self):
            raise TypeError("no")

    @env.task
    async def good(n: int) -> int:
        await asyncio.sleep(0.05)
        return n

    @env.task
    async def bad() -> int:
        BODY

    @env.task
    async def main() -> list[str]:
        results = await asyncio.gather(good(1), bad(), good(2), return_exceptions=True)
        after = await good(3)
        found = results[1]
        return [str(results[0]), str(results[2]), str(after),
                str(found) if not isinstance(found, BaseException) else f"{type(found).__name__}: {found}"]

    if __name__ == "__main__":
        print(json.dumps(volant.run(main).outputs()[0]))
"""

HOSTILE = {
    "sys.exit": ("sys.exit(3)", "3"),
    "os._exit": ("os._exit(3)", "exit code 3"),
    "os._exit(0)": ("os._exit(0)", "exit code 0"),
    "abort": ("os.abort()", "SIGABRT"),
    "alarm": ("signal.alarm(1); time.sleep(5)", "SIGALRM"),
    "segfault": ("ctypes.string_at(0)", "SIGSEGV"),
    "unpicklable": ("raise Unpicklable('odd')", "odd"),
    "wrong type": ("return 'seven'", "int"),
    "raises": ("raise ValueError('plain')", "ValueError: plain"),
    "recursion": ("f = lambda: f(); return f()", "RecursionError"),
    "closes fd 1": ("os.close(1); os.close(2); return 7", "7"),
    "closes all": ("os.closerange(0, 64); return 7", "7"),
    "prints to closed": ("sys.stdout.close(); sys.stderr.close(); return 7", "7"),
    "cwd": ("os.chdir('/'); return 7", "7"),
    "signal handlers": ("[signal.signal(s, signal.SIG_IGN) for s in (15, 2, 1, 17)]; return 7", "7"),
    "signals its parent": ("[os.kill(os.getppid(), s) for s in (15, 2, 1)]; await asyncio.sleep(0.1); return 7", "7"),
    "environment": ("os.environ.clear(); return 7", "7"),
    "daemon": ("subprocess.Popen(['sleep', '1000'], start_new_session=True); return 7", "7"),
    "forks and leaves": (
        "pid = os.fork()\n        if pid == 0:\n            os.setsid()\n            if os.fork():\n"
        "                os._exit(0)\n            time.sleep(1000)\n        return 7",
        "7",
    ),
    "threads": ("threading.Thread(target=time.sleep, args=(0.1,)).start(); return 7", "7"),
    "daemon thread": ("threading.Thread(target=time.sleep, args=(1000,), daemon=True).start(); return 7", "7"),
    "kills its group": ("os.killpg(0, signal.SIGSEGV); time.sleep(5)", "SIGSEGV"),
    "memory": ("return len([bytearray(10**15)])", "MemoryError"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_isolated(user: User, name: str) -> None:
    body, expected = HOSTILE[name]
    done = user.python(HEAD.replace("BODY", body), name="hostile.py")
    first, second, after, found = result(done)  # type: ignore[misc]
    assert (first, second, after) == ("1", "2", "3")
    assert expected in found
    assert not [process for process in user.processes() if "sleep" in process.name()]


def test_forks_share_no_random_state(user: User) -> None:
    done = user.python(
        """
        import asyncio, json, random, uuid
        import numpy
        import volant
        env = volant.TaskEnvironment(name="chance")

        @env.task
        async def draw() -> list[str]:
            return [str(random.random()), str(numpy.random.random()), str(uuid.uuid4())]

        @env.task
        async def main() -> list[list[str]]:
            return await asyncio.gather(*(draw() for _ in range(4)))

        if __name__ == "__main__":
            print(json.dumps(volant.run(main).outputs()[0]))
        """,
        name="chance.py",
    )
    drawn = result(done)
    assert isinstance(drawn, list)
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == 4


def test_fifty_megabytes_of_output_harm_nobody(user: User) -> None:
    done = user.python(
        """
        import json, sys
        import volant
        env = volant.TaskEnvironment(name="noisy")

        @env.task
        async def shout() -> int:
            line = "x" * 1023 + "\\n"
            for _ in range(50 * 1024):
                sys.stdout.write(line)
            print("the end", file=sys.stderr)
            return 50

        @env.task
        async def main() -> int:
            return await shout()

        if __name__ == "__main__":
            print(json.dumps(volant.run(main).outputs()[0]))
        """,
        name="noisy.py",
    )
    assert result(done) == 50
    logs = [path for path in user.home.rglob("*.log") if path.stat().st_size > 50_000_000]
    assert len(logs) == 1
    with logs[0].open("rb") as file:
        file.seek(-8, 2)
        assert file.read() == b"the end\n"


def test_a_task_that_stops_its_parent_delays_others_only_for_a_moment(user: User) -> None:
    done = user.python(
        """
        import os, signal, volant
        env = volant.TaskEnvironment(name="stopping")

        @env.task
        async def child() -> int:
            return 7

        @env.task
        async def main() -> int:
            os.kill(os.getppid(), signal.SIGSTOP)
            return await child()

        if __name__ == "__main__":
            print(volant.run(main).outputs()[0])
        """,
        name="stopping.py",
    )
    assert result(done) == 7


def test_a_task_that_stops_its_parent_again_and_again_fails_alone(user: User) -> None:
    body = "while True: os.kill(os.getppid(), signal.SIGSTOP)"
    first, second, after, found = result(user.python(HEAD.replace("BODY", body), name="hostile.py"))  # type: ignore[misc]
    assert (first, second, after) == ("1", "2", "3")
    assert "the task stopped its parent process" in found


def test_a_task_that_stops_itself_ends_when_its_run_is_aborted(user: User) -> None:
    path = user.write(
        "asleep.py",
        """
        import os, signal, volant
        env = volant.TaskEnvironment(name="asleep")

        @env.task
        async def main() -> None:
            os.kill(os.getpid(), signal.SIGSTOP)
        """,
    )
    client = user.start(sys.executable, "-m", "volant", "run", "--name", "stopped", str(path), "main")
    deadline = time.monotonic() + PATIENCE
    while not _stopped(user):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    user.volant("abort", "stopped")
    client.communicate(timeout=PATIENCE)
    assert client.returncode != 0
    assert not _stopped(user)


def _stopped(user: User) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in user.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_STOPPED:
                found.append(process)
    return found


def test_a_task_that_kills_its_parent_process_fails_alone(user: User) -> None:
    body = "os.kill(os.getppid(), signal.SIGKILL); time.sleep(100)"
    first, second, after, found = result(user.python(HEAD.replace("BODY", body), name="hostile.py"))  # type: ignore[misc]
    assert (first, second, after) == ("1", "2", "3")
    assert found == "RuntimeSystemError: the process and its guardian are gone"
