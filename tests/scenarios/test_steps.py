"""Traced functions are executed once, whatever happens to the action that calls them."""

import json
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from tests.scenarios.conftest import User, output, result

PROGRAM = """
    import asyncio, os, pathlib, signal
    import volant

    env = volant.TaskEnvironment(name="steps")

    def note(log: str, line: str) -> None:
        with open(log, "a") as file:
            file.write(line + "\\n")

    class Refused(Exception):
        def __init__(self, what: str, *, code: int) -> None:
            super().__init__(what)
            self.code = code

    @volant.trace
    async def fetch(log: str, n: int) -> tuple[int, str]:
        note(log, f"fetch {n}")
        return n, "fetched"

    @volant.trace
    async def refuse(log: str) -> int:
        note(log, "refuse")
        raise Refused("not today", code=7)

    @volant.trace
    async def count(log: str, upto: int):
        for n in range(upto):
            note(log, f"count {n}")
            yield n
        if upto > 2:
            raise Refused("too far", code=upto)

    @volant.trace
    def work(log: str, n: int) -> bytes:
        note(log, f"work {n}")
        return bytes([n])

    @volant.trace
    def walk(log: str, upto: int):
        for n in range(upto):
            note(log, f"walk {n}")
            yield n
        return "there"

    @volant.trace
    async def outer(log: str) -> list[object]:
        note(log, "outer")
        return [await fetch(log, 1), await fetch(log, 1)]

    @volant.trace
    async def stuck(log: str, lost: bool) -> str:
        note(log, "stuck")
        inner = await fetch(log, 100)
        lose_first(lost)
        return inner[1]

    def lose_first(lost: bool) -> None:
        if lost and volant.ctx().attempt_number == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def counted(log: str, upto: int) -> list[object]:
        found: list[object] = []
        try:
            async for n in count(log, upto):
                found.append(n)
        except Refused as error:
            found.append(error.code)
        return found

    @env.task
    def in_sync_code(log: str, lost: bool) -> list[object]:
        found: list[object] = [work(log, 3), list(walk(log, 2))]
        for n in walk(log, 3):
            if n == 1:
                break
        def driven():
            found.append((yield from walk(log, 1)))
        for n in driven():
            pass
        lose_first(lost)
        return found

    @env.task
    async def main(log: str, lost: bool = False) -> list[object]:
        found: list[object] = list(await asyncio.gather(*(fetch(log, n) for n in range(4))))
        try:
            await refuse(log)
        except Refused as error:
            found += [error.args, error.code, isinstance(error, volant.errors.TaskError)]
        found += [await counted(log, 2), await counted(log, 3)]
        found += [await asyncio.to_thread(work, log, 9), await outer(log), await stuck(log, lost)]
        found += await in_sync_code.aio(log, lost)
        lose_first(lost)
        return found

    @env.task(retries=1)
    async def fails_itself(log: str) -> str:
        await fetch(log, 1)
        try:
            await refuse(log)
        except Refused:
            pass
        if volant.ctx().attempt_number == 0:
            raise ConnectionError
        return "tried again"

    @env.task
    async def cancels(log: str) -> str:
        step = asyncio.ensure_future(hangs(log))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        step.cancel()
        try:
            await step
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    @volant.trace
    async def hangs(log: str) -> None:
        note(log, "hangs")
        await asyncio.Event().wait()

    @env.task
    async def leaf() -> None: ...

    @volant.trace
    async def calls_a_task() -> None:
        await leaf()

    @env.task
    async def wrong() -> str:
        try:
            await calls_a_task()
        except volant.errors.CallError as error:
            return str(error)
        return "nothing was wrong"

    @env.task
    async def blocks(log: str) -> str:
        try:
            work(log, 1)
        except volant.errors.SyncTaskCallInAsyncContextError as error:
            return str(error.hint)
        return "nothing was wrong"
"""
RESULT = [
    *([n, "fetched"] for n in range(4)),
    ["not today"],
    7,
    True,
    [0, 1],
    [0, 1, 2, 3],
    "CQ==",
    [[1, "fetched"], [1, "fetched"]],
    "fetched",
    "Aw==",
    [0, 1],
    "there",
]
ONCE = Counter({f"fetch {n}": 1 for n in (0, 2, 3, 100)}) + Counter(
    {"fetch 1": 3, "refuse": 1, "outer": 1, "work 9": 1, "work 3": 1, "count 0": 2, "count 1": 2, "count 2": 1}
)


@pytest.fixture(scope="module")
def program(user: User) -> Path:
    return user.write("steps.py", PROGRAM)


def executions(log: Path) -> Counter[str]:
    return Counter(log.read_text().splitlines())


def run(user: User, program: Path, task: str, log: Path, *options: str) -> object:
    return output(user.volant("run", str(program), task, "--log", str(log), *options, "-o", "json"))


@pytest.mark.parametrize("mode", ["local", "inline"])
def test_what_is_traced_gives_what_the_plain_function_gives(
    user: User, program: Path, tmp_path: Path, mode: str
) -> None:
    log = tmp_path / "log"
    assert run(user, program, "main", log, "--mode", mode) == RESULT
    found = executions(log)
    assert found - Counter({"walk 0": 3, "walk 1": 2, "stuck": 1}) == ONCE


def test_after_a_lost_worker_nothing_that_ended_is_executed_again(user: User, program: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(user, program, "main", log, "--lost") == RESULT
    found = executions(log)
    # What was under way, and the generator that was given up, have not ended.
    assert found - Counter({"walk 0": 4, "walk 1": 3, "stuck": 2}) == ONCE
    assert found["stuck"] == 2


def test_after_its_own_failure_an_action_tries_failed_steps_again(user: User, program: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(user, program, "fails_itself", log) == "tried again"
    assert executions(log) == Counter({"fetch 1": 1, "refuse": 2})


def test_a_step_that_was_cancelled_is_not_recorded(user: User, program: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = user.volant("run", str(program), "cancels", "--log", str(log), "-o", "json")
    assert output(done) == "cancelled"
    shown = json.loads(user.volant("get", "run", json.loads(done.stdout)["run"], "-o", "json").stdout)
    assert [action["task"] for action in shown["actions"]] == ["steps.cancels"]


@pytest.mark.parametrize("mode", ["local", "inline"])
def test_a_task_called_inside_a_traced_function_is_an_error(user: User, program: Path, mode: str) -> None:
    done = user.volant("run", str(program), "wrong", "--mode", mode, "-o", "json")
    assert output(done) == "task 'steps.leaf' is called inside a traced function, expected a call from a task"


@pytest.mark.parametrize("mode", ["local", "inline"])
def test_a_sync_step_is_not_called_from_async_code(user: User, program: Path, tmp_path: Path, mode: str) -> None:
    found = run(user, program, "blocks", tmp_path / "log", "--mode", mode)
    assert found == "await asyncio.to_thread(work, ...), or make it an async def"
    assert not (tmp_path / "log").exists()


def test_steps_are_shown_with_their_values(user: User, program: Path, tmp_path: Path) -> None:
    done = user.volant("run", str(program), "fails_itself", "--log", str(tmp_path / "log"), "-o", "json")
    name = json.loads(done.stdout)["run"]
    shown = json.loads(user.volant("get", "run", name, "-o", "json").stdout)
    kinds = {action["name"]: (action["kind"], action["phase"]) for action in shown["actions"]}
    assert kinds == {
        "fails_itself": ("task", "SUCCEEDED"),
        "fetch": ("step", "SUCCEEDED"),
        "refuse": ("step", "FAILED"),
    }
    io = json.loads(user.volant("get", "io", name, "steps.fetch", "-o", "json").stdout)
    assert io["inputs"] == {"log": str(tmp_path / "log"), "n": 1}
    assert io["outputs"] == [1, "fetched"]
    assert "traced function" in user.volant("get", "action", name, "steps.refuse").stdout


def test_a_generator_that_is_talked_to_can_be_talked_to_in_a_replay(user: User) -> None:
    found = user.python(
        """
        import asyncio, json, os, signal
        import volant

        env = volant.TaskEnvironment(name="talks")

        @volant.trace
        def listens(first):
            heard = yield first
            try:
                yield heard
            except ValueError as error:
                yield str(error)
            return "bye"

        @volant.trace
        async def listens_later(first):
            heard = yield first
            try:
                yield heard
            except ValueError as error:
                yield str(error)

        def talk():
            talker = listens("a")
            said = [next(talker), talker.send("b"), talker.throw(ValueError("c"))]
            try:
                talker.send("d")
            except StopIteration as stop:
                return [*said, stop.value]

        @env.task
        async def main() -> list[str]:
            said = await asyncio.to_thread(talk)
            talker = listens_later("a")
            said += [await anext(talker), await talker.asend("b"), await talker.athrow(ValueError("c"))]
            said += [str(item) async for item in talker]
            if volant.ctx().attempt_number == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return said

        if __name__ == "__main__":
            print(json.dumps(volant.run(main).result()))
        """
    )
    assert json.loads(found.stdout) == ["a", "b", "c", "bye", "a", "b", "c"]


def test_a_step_may_take_what_cannot_be_stored_and_may_not_return_it(user: User) -> None:
    found = user.python(
        """
        import asyncio, json, threading
        import volant

        env = volant.TaskEnvironment(name="odd")

        class Client:
            def __init__(self) -> None:
                self.lock = threading.Lock()

            @volant.trace
            async def ask(self, question: str) -> str:
                return question.upper()

        @volant.trace
        async def makes_a_lock() -> threading.Lock:
            return threading.Lock()

        @env.task
        async def main() -> list[str]:
            found = [await Client().ask("who"), await Client().ask("who")]
            try:
                await makes_a_lock()
            except volant.errors.ValueCodecError as error:
                found.append(str(error))
            return found

        if __name__ == "__main__":
            print(json.dumps(volant.run(main).result()))
        """
    )
    first, second, said = cast("list[str]", result(found))
    assert (first, second) == ("WHO", "WHO")
    assert said.startswith("traced function '__main__.makes_a_lock': what it gave: found _thread.lock")


def test_a_step_may_change_the_array_that_it_was_given(user: User) -> None:
    script = """
        import json
        import numpy
        import volant

        env = volant.TaskEnvironment(name="changing")

        @volant.trace
        def double(numbers: numpy.ndarray) -> numpy.ndarray:
            numbers *= 2
            return numbers

        @env.task
        def main() -> list[int]:
            numbers = numpy.arange(50_000)
            doubled = double(numbers)
            return [int(numbers.sum()), int(doubled.sum())]

        if __name__ == "__main__":
            run = volant.run(main)
            step = next(each for each in volant.remote.Action.listall(run.name) if "double" in each.task_name)
            print(json.dumps([*run.result(), int(step.inputs()["numbers"].sum())]))
    """
    total = 49_999 * 25_000
    assert result(user.python(script, name="changing.py")) == [2 * total, 2 * total, total]
