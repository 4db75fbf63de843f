"""Cancellation as Python means it, and a cancelled call is a dead process."""

import pytest

from tests.scenarios.conftest import User, result

HEAD = """
    import asyncio, json, os, pathlib, signal, subprocess, time
    import volant
    env = volant.TaskEnvironment(name="cancel", env_vars={"PIDS": "FOLDER"})

    def note() -> None:
        pathlib.Path(os.environ["PIDS"], str(os.getpid())).touch()

    def dead(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    def pids() -> list[int]:
        return [int(path.name) for path in pathlib.Path(os.environ["PIDS"]).iterdir()]

    @env.task
    async def forever(n: int) -> int:
        note()
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        pathlib.Path(os.environ["PIDS"], str(child.pid)).touch()
        await asyncio.sleep(1000)
        return n

    @env.task
    def blocking(n: int) -> int:
        note()
        time.sleep(1000)
        return n

    @env.task
    async def quick(n: int) -> int:
        return n

    async def started(count: int) -> None:
        while len(pids()) < count:
            await asyncio.sleep(0.01)
"""
BODIES = {
    "first completed": """
        slow = asyncio.create_task(forever(1))
        await started(2)
        done, pending = await asyncio.wait([slow, asyncio.create_task(quick(2))], return_when=asyncio.FIRST_COMPLETED)
        assert pending == {slow}
        slow.cancel()
        try:
            await slow
        except asyncio.CancelledError:
            pass
        else:
            return "not cancelled"
        return "ok" if all(dead(pid) for pid in pids()) else "alive"
    """,
    "wait_for": """
        task = asyncio.create_task(forever(1))
        await started(2)
        try:
            await asyncio.wait_for(task, 0.1)
        except TimeoutError:
            return "ok" if all(dead(pid) for pid in pids()) else "alive"
        return "no timeout"
    """,
    "timeout block": """
        try:
            async with asyncio.timeout(1.5), asyncio.TaskGroup() as group:
                group.create_task(forever(1))
                group.create_task(blocking.aio(2))
        except TimeoutError:
            return "ok" if pids() and all(dead(pid) for pid in pids()) else "alive"
        return "no timeout"
    """,
    "task group": """
        async def fail():
            await started(2)
            raise KeyError("stop")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(forever(1))
                group.create_task(fail())
        except BaseExceptionGroup as group:
            assert group.subgroup(KeyError) is not None
            return "ok" if all(dead(pid) for pid in pids()) else "alive"
        return "no error"
    """,
    "ignores sigterm": """
        task = asyncio.create_task(stubborn(1))
        await started(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return "ok" if task.cancelled() and all(dead(pid) for pid in pids()) else "alive"
    """,
    "queued": """
        tasks = [asyncio.create_task(quick(n)) for n in range(500)]
        await asyncio.sleep(0)
        for task in tasks[100:]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[:100] == list(range(100))
        return "ok" if await quick(7) == 7 else "stuck"
    """,
}


@pytest.mark.parametrize("name", BODIES)
def test_a_cancelled_call_is_over_when_it_raises(user: User, name: str) -> None:
    folder = user.folder / f"pids-{name.replace(' ', '-')}"
    folder.mkdir()
    stubborn = """
    @env.task
    async def stubborn(n: int) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note()
        while True:
            pass

    @env.task
    async def main() -> str:
    """
    show = """
    if __name__ == "__main__":
        print(json.dumps(volant.with_runcontext(name="NAME").run(main).outputs()[0]))
    """
    text = HEAD.replace("FOLDER", str(folder)) + stubborn + BODIES[name] + show.replace("NAME", folder.name)
    user.environ["VOLANT_GRACE_PERIOD"] = "0.5"
    assert result(user.python(text, name="cancelling.py")) == "ok"


def test_a_parent_that_ends_early_takes_its_children_with_it(user: User) -> None:
    folder = user.folder / "pids-early"
    folder.mkdir()
    show = """
    @env.task
    async def main() -> list[int]:
        tasks = [asyncio.create_task(forever(n)) for n in range(2)]
        await started(4)
        return pids()

    if __name__ == "__main__":
        found = volant.run(main).outputs()[0]
        print(json.dumps([len(found), all(dead(pid) for pid in found)]))
    """
    assert result(user.python(HEAD.replace("FOLDER", str(folder)) + show, name="early.py")) == [4, True]
