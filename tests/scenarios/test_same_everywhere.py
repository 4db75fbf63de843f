"""The same task gives the same result wherever it is defined and however it is run."""

import sys
import textwrap

import pytest

from tests.scenarios.conftest import User, output, result

PIPELINE = """
    import asyncio
    import json
    import os
    from dataclasses import dataclass
    import volant

    env = volant.TaskEnvironment(name="same", env_vars={"FLAVOUR": "salty"})

    @dataclass(frozen=True)
    class Point:
        x: int
        y: float

    @env.task
    async def double(point: Point) -> Point:
        assert os.environ["FLAVOUR"] == "salty"
        return Point(x=point.x * 2, y=point.y * 2)

    @env.task
    async def main(count: int = 3) -> list[float]:
        points = await asyncio.gather(*(double(Point(n, n / 2)) for n in range(count)))
        assert all(isinstance(point, Point) for point in points)
        return [point.x + point.y for point in points]
"""
EXPECTED = [0.0, 3.0, 6.0]
SHOW = """
    if __name__ == "__main__":
        run = volant.run(main, count=3)
        print(json.dumps(run.outputs()[0]))
"""


def test_a_script_with_tasks_in_main(user: User) -> None:
    assert result(user.python(PIPELINE + SHOW)) == EXPECTED


def test_the_command_line(user: User) -> None:
    path = user.write("by_command.py", PIPELINE)
    assert output(user.volant("run", str(path), "main", "--count", "3", "-o", "json")) == EXPECTED


def test_a_package(user: User) -> None:
    user.write("shop/__init__.py", "")
    user.write("shop/tasks.py", PIPELINE)
    script = "import json, volant\nfrom shop.tasks import main\n" + SHOW.replace("    if", "if").replace(
        "        ", "    "
    )
    assert result(user.python(script, name="use_package.py")) == EXPECTED
    path = user.folder / "shop" / "tasks.py"
    assert output(user.volant("run", str(path), "main", "-o", "json")) == EXPECTED


CLASSES = """
import json
import volant

class Plain:
    def __init__(self, n: int) -> None:
        self.n = n

class Odd(Exception):
    pass

def is_plain(value: object) -> bool:
    return isinstance(value, Plain)
"""
TASKS = """
env = volant.TaskEnvironment(name="plain")

@env.task
async def fail() -> int:
    raise Odd

@env.task
async def more(value: Plain) -> Plain:
    assert is_plain(value)
    return Plain(value.n + 1)

@env.task
async def main(n: int = 3) -> int:
    value = await more(Plain(n))
    assert isinstance(value, Plain)
    try:
        await fail()
    except Odd:
        return value.n
    return -1
"""
RUN = "\nif __name__ == '__main__':\n    print(json.dumps(volant.run(main).outputs()[0]))\n"


def test_instances_of_a_scripts_own_classes_stay_instances_of_them(user: User) -> None:
    script = CLASSES + TASKS + RUN
    assert result(user.python(script, name="plain.py")) == 4
    assert output(user.volant("run", str(user.folder / "plain.py"), "main", "-o", "json")) == 4


def test_what_a_script_defines_can_be_given_to_a_task_of_an_imported_module(user: User) -> None:
    user.write(
        "applying.py",
        """
        from collections.abc import Callable
        from typing import Any
        import volant

        env = volant.TaskEnvironment(name="applying")

        @env.task
        async def apply(function: Callable[[int], int], number: int) -> int:
            return function(number)

        @env.task
        async def echo(value: Any) -> Any:
            return value
        """,
    )
    done = user.python(
        """
        import json
        from dataclasses import dataclass
        import volant
        from applying import apply, echo

        @dataclass
        class Point:
            x: int

        def double(number: int) -> int:
            return number * 2

        if __name__ == "__main__":
            (doubled,) = volant.run(apply, double, 21).outputs()
            (point,) = volant.run(echo, Point(x=3)).outputs()
            print(json.dumps([doubled, type(point) is Point, point.x]))
        """
    )
    assert result(done) == [42, True, 3]


def test_tasks_in_a_function_body_share_the_classes_of_their_script(user: User) -> None:
    body = textwrap.indent(TASKS, "    ")
    script = f"{CLASSES}\ndef build():{body}\n    return main, more\n\nmain, later = build()\n{RUN}"
    script += (
        "    value = volant.run(later, Plain(4)).outputs()[0]\n    print(json.dumps([value.n, is_plain(value)]))\n"
    )
    assert result(user.python(script, name="plain_nested.py")) == [5, True]


def test_tasks_in_a_function_body(user: User) -> None:
    body = "\n".join("    " + line[4:] if line.strip() else "" for line in PIPELINE.splitlines())
    script = f"def build():\n{body}\n    return volant, json, main\n\n"
    script += "if __name__ == '__main__':\n    volant, json, main = build()\n"
    script += "    print(json.dumps(volant.run(main, count=3).outputs()[0]))\n"
    assert result(user.python(script, name="nested.py")) == EXPECTED


def test_an_unguarded_script_that_only_defines_and_runs_under_a_guard_elsewhere(user: User) -> None:
    user.write("tasks_only.py", PIPELINE)
    script = "import json, volant, tasks_only\nprint(json.dumps(volant.run(tasks_only.main, count=3).outputs()[0]))\n"
    assert result(user.python(script, name="unguarded_user.py")) == EXPECTED


def test_an_unguarded_script_is_told_about_the_guard(user: User) -> None:
    done = user.python(PIPELINE + "\n    print(volant.run(main, count=3).outputs())\n", name="unguarded.py", ok=False)
    assert done.returncode != 0
    assert "__main__" in done.stderr
    assert "NestedRunError" in done.stderr


def test_inside_a_running_loop(user: User) -> None:
    show = """
    async def program():
        run = await volant.run.aio(main, count=3)
        print(json.dumps(run.outputs()[0]))

    if __name__ == "__main__":
        asyncio.run(program())
    """
    assert result(user.python(PIPELINE + show, name="looping.py")) == EXPECTED


def test_a_repl(user: User) -> None:
    text = user.write("typed.txt", PIPELINE + "\n    print(json.dumps(volant.run(main, count=3).outputs()[0]))\n")
    done = user._run([sys.executable, "-c", f"exec(open({str(text)!r}).read())"], ok=True)
    assert result(done) == EXPECTED


def test_inline_mode(user: User) -> None:
    show = """
    if __name__ == "__main__":
        run = volant.with_runcontext(mode="inline").run(main, count=3)
        print(json.dumps(run.outputs()[0]))
    """
    text = PIPELINE.replace('assert os.environ["FLAVOUR"] == "salty"', "pass")
    done = user.python(text + show, name="inlined.py")
    assert result(done) == EXPECTED
    assert done.stderr.count("env_vars have no effect in mode 'inline'") == 1


@pytest.mark.parametrize("mode", ["local", "inline"])
def test_one_of_several_calls_fails_and_the_run_ends_at_once(user: User, mode: str) -> None:
    script = """
    import asyncio
    import volant

    env = volant.TaskEnvironment(name="several")

    @env.task
    async def sleeps() -> int:
        await asyncio.sleep(600)
        return 1

    @env.task
    async def fails() -> int:
        raise ZeroDivisionError

    @env.task
    async def main() -> int:
        return sum(await asyncio.gather(sleeps(), fails()))
    """
    done = user.volant("run", str(user.write("several.py", script)), "main", "--mode", mode, ok=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_outside_a_run_a_task_is_the_plain_function(user: User) -> None:
    show = """
    if __name__ == "__main__":
        os.environ["FLAVOUR"] = "salty"
        print(json.dumps(asyncio.run(main(count=3))))
    """
    assert result(user.python(PIPELINE + show, name="plain.py")) == EXPECTED


def test_what_a_coroutine_without_an_await_schedules_begins_as_under_asyncio_run(user: User) -> None:
    text = """
    import asyncio
    import json
    import pathlib
    import volant

    env = volant.TaskEnvironment(name="scheduling")

    async def begin(path: str) -> None:
        pathlib.Path(path).touch()
        await asyncio.sleep(1000)

    def in_the_background(path: str) -> None:
        asyncio.get_running_loop().create_task(begin(path))

    @env.task
    async def main(path: str) -> bool:
        in_the_background(path)
        return asyncio.get_running_loop().is_closed()

    if __name__ == "__main__":
        asyncio.run(main("plain"))
        closed = volant.run(main, "as-task").outputs()[0]
        print(json.dumps([closed, pathlib.Path("plain").exists(), pathlib.Path("as-task").exists()]))
    """
    assert result(user.python(text, name="scheduling.py")) == [False, True, True]
