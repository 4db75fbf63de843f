"""CPU is lent by those who wait: deep trees, wide fans and sleepers all finish on two cores."""

from collections.abc import Callable

import pytest

from tests.scenarios.conftest import User, result

HEAD = """
    import asyncio, json, time
    import volant
    env = volant.TaskEnvironment(name="deep")
"""
SHOW = """
    if __name__ == "__main__":
        print(json.dumps(volant.run(main).outputs()[0]))
"""


def test_recursion_fifty_tasks_deep(user: User) -> None:
    body = """
    @env.task
    async def down(level: int) -> int:
        return 0 if level == 0 else 1 + await down(level - 1)

    @env.task
    async def main() -> int:
        return await down(50)
    """
    assert result(user.python(HEAD + body + SHOW, name="deep.py")) == 50


def test_sync_recursion_fifty_tasks_deep(user: User) -> None:
    body = """
    @env.task
    def down(level: int) -> int:
        return 0 if level == 0 else 1 + down(level - 1)

    @env.task
    def main() -> int:
        return down(50)
    """
    assert result(user.python(HEAD + body + SHOW, name="deep_sync.py")) == 50


def test_ten_thousand_children_of_one_parent(user: User) -> None:
    body = """
    @env.task
    async def leaf(n: int) -> int:
        return n * 2

    @env.task
    async def main() -> int:
        return sum(await asyncio.gather(*(leaf(n) for n in range(10_000))))
    """
    assert result(user.python(HEAD + body + SHOW, name="wide.py")) == 99_990_000


def test_two_hundred_tasks_that_only_sleep_sleep_at_the_same_time(user: User) -> None:
    # One after another on two cores they would take 200 seconds, longer than the harness waits.
    for number, nap in enumerate(("await asyncio.sleep(2)", "time.sleep(2)")):
        body = f"""
    @env.task
    async def sleeper(n: int) -> float:
        started = time.time()
        {nap}
        return started

    @env.task
    async def main() -> int:
        started = await asyncio.gather(*(sleeper(n) for n in range(200)))
        return len(started)
    """
        assert result(user.python(HEAD + body + SHOW, name=f"sleepers{number}.py")) == 200


def test_cpu_bound_tasks_run_as_many_at_a_time_as_there_are_cores(user: User) -> None:
    body = """
    @env.task
    async def burn(n: int) -> tuple[float, float]:
        started = time.time()
        until = time.process_time() + 0.4
        while time.process_time() < until:
            pass
        return started, time.time()

    @env.task
    async def main() -> int:
        spans = await asyncio.gather(*(burn(n) for n in range(8)))
        edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
        level = most = 0
        for _, step in edges:
            level += step
            most = max(most, level)
        return most
    """
    import os

    cores = len(os.sched_getaffinity(0))
    most = result(user.python(HEAD + body + SHOW, name="burners.py"))
    assert isinstance(most, int)
    assert most <= cores + 1


def test_a_slow_call_of_a_blocking_map_does_not_hold_back_later_ones(user: User) -> None:
    body = """
    @env.task
    def step(n: int, folder: str) -> int:
        # The first ends when the last has begun, which with two at a time means that those between have ended.
        pathlib.Path(folder, str(n)).touch()
        while n == 0 and not pathlib.Path(folder, "5").exists():
            time.sleep(0.01)
        return n

    @env.task
    def main() -> list[int]:
        folder = tempfile.mkdtemp()
        numbers = range(6)
        return list(volant.map(step, numbers, [folder] * 6, concurrency=2, return_exceptions=False))
    """
    assert result(user.python("    import pathlib, tempfile" + HEAD + body + SHOW, name="window.py")) == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


@pytest.mark.parametrize("mode", ["local", "inline"])
def test_a_run_has_no_more_actions_at_work_than_it_allows(user: User, mode: str) -> None:
    """Leaves that sleep lend their CPU and still count; those that wait for them do not, or nothing would end."""
    body = f"""
    import pathlib, sys
    marks = pathlib.Path("marks-{mode}")

    def others() -> int:
        return len(list(marks.iterdir()))

    @env.task
    async def leaf(n: int) -> int:
        mark = marks / f"async{{n}}"
        mark.touch()
        seen = others()
        await asyncio.sleep(0.02)
        seen = max(seen, others())
        mark.unlink()
        return seen

    @env.task
    def sync_leaf(n: int) -> int:
        mark = marks / f"sync{{n}}"
        mark.touch()
        time.sleep(0.02)
        seen = others()
        mark.unlink()
        return seen

    @env.task
    async def middle(n: int) -> int:
        calls = [leaf(n * 4 + k) for k in range(4)] + [sync_leaf.aio(n * 4 + k) for k in range(4)]
        return max(await asyncio.gather(*calls))

    @env.task
    def sync_middle(n: int) -> int:
        return max(sync_leaf(100 + n * 2 + k) for k in range(2))

    @env.task
    async def main() -> int:
        marks.mkdir()
        found = max(await asyncio.gather(*(middle(n) for n in range(3)), *(sync_middle.aio(n) for n in range(3))))
        marks.rmdir()
        return found

    if __name__ == "__main__":
        found = []
        for most in (1, 3):
            run = volant.with_runcontext(mode="{mode}", max_action_concurrency=most).run(main)
            found.append(run.outputs()[0])
        print(json.dumps(found))
    """
    assert result(user.python(HEAD + body, name=f"bound_{mode}.py")) == [1, 3]


def test_where_few_files_may_be_open_fewer_attempts_are_alive_at_once(new_user: Callable[..., User]) -> None:
    body = """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    small = volant.TaskEnvironment(name="small", resources=volant.Resources(cpu="1m"))

    @small.task
    async def leaf(n: int) -> int:
        await asyncio.sleep(0.1)
        return n

    @env.task
    async def main() -> int:
        return sum(await asyncio.gather(*(leaf(n) for n in range(100))))
    """
    assert result(new_user().python(HEAD + body + SHOW, name="few_files.py")) == 4950
