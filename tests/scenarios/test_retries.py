"""Retries count the user's failures, honour backoff, and are true to `attempt_number`."""

import json

from tests.scenarios.conftest import User, result

HEAD = """
    import asyncio, json, os, time
    from datetime import timedelta
    import volant
    env = volant.TaskEnvironment(name="again")
"""
SHOW = """
    if __name__ == "__main__":
        run = volant.run(main)
        print(json.dumps(run.outputs()[0]))
"""


def test_a_task_that_fails_twice_succeeds_with_two_retries(user: User) -> None:
    body = """
    @env.task(retries=2)
    async def shaky(fail: int) -> int:
        if volant.ctx().attempt_number < fail:
            raise ConnectionError("not yet")
        return volant.ctx().attempt_number

    @env.task
    async def main() -> list[int]:
        return [await shaky(0), await shaky(1), await shaky(2)]
    """
    assert result(user.python(HEAD + body + SHOW)) == [0, 1, 2]


def test_the_last_failure_is_told_with_the_count_of_attempts(user: User) -> None:
    body = """
    @env.task(retries=1)
    async def hopeless() -> int:
        raise ConnectionError(f"attempt {volant.ctx().attempt_number}")

    @env.task
    async def main() -> list[str]:
        try:
            await hopeless()
        except ConnectionError as error:
            details = volant.errors.details(error)
            both = isinstance(error, volant.errors.TaskError)
            return [str(error), str(details.attempts), details.code, details.task, str(both)]
        return []
    """
    expected = ["attempt 1", "2", "ConnectionError", "again.hopeless", "True"]
    assert result(user.python(HEAD + body + SHOW)) == expected


def test_a_non_recoverable_error_is_not_retried(user: User) -> None:
    body = """
    @env.task(retries=5)
    async def never() -> int:
        raise volant.errors.NonRecoverableError(f"attempt {volant.ctx().attempt_number}")

    @env.task
    async def main() -> str:
        try:
            await never()
        except volant.errors.NonRecoverableError as error:
            return str(error)
        return ""
    """
    assert result(user.python(HEAD + body + SHOW)) == "attempt 0"


def test_backoff_waits_longer_each_time(user: User) -> None:
    body = """
    @env.task(retries=volant.RetryStrategy(count=2, backoff=volant.Backoff(base=timedelta(seconds=0.4), factor=2.0)))
    async def shaky() -> float:
        if volant.ctx().attempt_number < 2:
            raise ConnectionError("not yet")
        return time.time()

    @env.task
    async def main() -> bool:
        started = time.time()
        return await shaky() - started >= 1.2
    """
    assert result(user.python(HEAD + body + SHOW)) is True


def test_a_retried_parent_replays_what_succeeded_and_executes_again_what_failed(user: User) -> None:
    log = user.folder / "executions"
    body = f"""
    def note(text: str) -> None:
        with open({str(log)!r}, "a") as file:
            file.write(text + "\\n")

    @env.task
    async def good(n: int) -> int:
        note(f"good {{n}}")
        return n

    @env.task
    async def bad() -> int:
        note("bad")
        if volant.ctx().attempt_number == 0:
            raise ValueError("first time")
        return 1

    @env.task(retries=1)
    async def parent() -> int:
        return sum(await asyncio.gather(good(1), good(2))) + await bad()

    @env.task
    async def main() -> int:
        return await parent()
    """
    assert result(user.python(HEAD + body + SHOW)) == 4
    assert sorted(log.read_text().split("\n")) == ["", "bad", "bad", "good 1", "good 2"]


def test_a_lost_parent_gets_what_was_recorded_and_a_race_has_the_same_winner(user: User) -> None:
    log = user.folder / "raced"
    body = f"""
    import signal

    def note(text: str) -> None:
        with open({str(log)!r}, "a") as file:
            file.write(text + "\\n")

    @env.task
    async def racer(name: str, seconds: float) -> str:
        note("run " + name)
        await asyncio.sleep(seconds)
        return name

    @env.task
    async def parent() -> str:
        names = [("slow", 0.5), ("fast", 0.05), ("middle", 0.2)]
        if volant.ctx().attempt_number:
            names.reverse()
        tasks = [asyncio.create_task(racer(name, seconds)) for name, seconds in names]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        note("won " + " ".join(task.result() for task in done))
        await asyncio.gather(*tasks)
        if volant.ctx().attempt_number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    @env.task
    async def main() -> str:
        return await parent()
    """
    assert result(user.python(HEAD + body + SHOW)) == "done"
    assert sorted(log.read_text().split("\n")) == ["", "run fast", "run middle", "run slow", "won fast", "won fast"]


def test_a_failed_run_shows_the_user_s_error_and_ends_with_one(user: User) -> None:
    path = user.write(
        "failing.py",
        """
        import volant
        env = volant.TaskEnvironment(name="failing")

        @env.task
        async def divide(a: int, b: int) -> float:
            return a / b

        @env.task
        async def main() -> float:
            return await divide(1, 0)
        """,
    )
    done = user.volant("run", str(path), "main", "--name", "broken", ok=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ZeroDivisionError" in done.stderr
    assert "return a / b" in done.stderr
    assert json.loads(user.volant("get", "run", "broken", "-o", "json").stdout)["phase"] == "FAILED"


def test_an_environment_that_is_too_large_fails_at_once_and_says_so(user: User) -> None:
    user.write(
        "large.py",
        """
        import volant
        env = volant.TaskEnvironment(name="large", env_vars={"LARGE": "x" * 3_000_000})

        @env.task(retries=3)
        def main() -> int:
            return 1
        """,
    )
    done = user.volant("run", "large.py", "main", "--name", "large", ok=False)
    assert done.returncode == 1
    assert "its environment variables" in done.stderr
    shown = user.volant("get", "run", "large", "-o", "json").stdout
    assert json.loads(shown)["actions"][0]["attempts"] == 1
