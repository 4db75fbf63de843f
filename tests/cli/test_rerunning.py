"""`volant rerun` and `volant.rerun`: what is executed again, what is taken over, and other inputs."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PATIENCE, Person

PIPE = """
    import asyncio, os, pathlib
    import volant

    env = volant.TaskEnvironment(name="pipe")

    def note(text: str) -> None:
        with open("noted", "a") as file:
            file.write(text + "\\n")

    @env.task
    async def load(month: int) -> list[int]:
        note(f"load {month}")
        return [month, 2, 3]

    @env.task
    async def square(n: int) -> int:
        note(f"square {n}")
        if n == 3:
            assert pathlib.Path("fixed").exists(), "three"
        return n * n

    @env.task
    async def total(values: list[int]) -> int:
        note("total")
        return sum(values)

    @env.task
    async def main(month: int, names: list[str] | None = None, exact: bool = True) -> int:
        rows = await load(month)
        # All of them end, whichever fails.
        squares = await asyncio.gather(*(square(n) for n in rows), return_exceptions=True)
        if failed := [each for each in squares if isinstance(each, BaseException)]:
            raise failed[0]
        return await total(list(squares))

    @volant.trace
    async def doubled(n: int) -> int:
        note(f"doubled {n}")
        return 2 * n

    @volant.trace
    def halved(n: int) -> float:
        note(f"halved {n}")
        return n / 2

    @volant.trace
    async def keyed(n: object) -> int:
        note("keyed")
        return 1

    @env.task
    async def steps() -> float:
        found = await doubled(5) + await asyncio.to_thread(halved, 4) + await keyed(lambda: None)
        if not pathlib.Path("mended").exists():
            raise ValueError("not yet")
        return found + await asyncio.to_thread(halved, 6)

    @env.task
    async def tells(name: str) -> str | None:
        return os.environ.get(name)
"""


@pytest.fixture(scope="module")
def pipe(person: Person) -> Person:
    """A run `one` that failed in one of its calls, which would not fail now."""
    folder = person.folder
    (folder / "pipe.py").write_text(textwrap.dedent(PIPE))
    done = person.types("run", "--name", "one", "pipe.py", "main", "--month", "7")
    assert done.returncode == 1, done.stdout
    (folder / "fixed").touch()
    return person


def noted(person: Person) -> list[str]:
    """What was executed since this was asked last, in any order."""
    path = person.folder / "noted"
    found = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return sorted(found)


def reused(person: Person, run: str) -> dict[str, str | None]:
    """The actions of a run, and from which run each was taken over; one that was called several times has a number."""
    shown: dict[str, Any] = json.loads(person.types("get", "run", run, "-o", "json").stdout)
    found: dict[str, str | None] = {}
    for action in shown["actions"]:
        name = action["name"]
        found[name if name not in found else f"{name} {len(found)}"] = action["reused_from"]
    return found


def test_only_what_did_not_succeed_is_executed_and_the_rest_is_shown_as_taken_over(pipe: Person) -> None:
    noted(pipe)
    done = pipe.types("rerun", "one", "--recover", "--name", "two")
    assert (done.returncode, done.stdout) == (0, "62\n"), done.stderr
    assert "6 actions: 6 succeeded, 3 reused" in done.stderr
    assert noted(pipe) == ["square 3", "total"]
    assert reused(pipe, "two") == {
        "main": None,
        "load": "one",
        "square": "one",
        "square 3": "one",
        "square 4": None,
        "total": None,
    }
    assert "reused from one" in pipe.types("get", "run", "two").stdout
    action = pipe.types("get", "action", "two", "load").stdout
    assert [line.split() for line in action.splitlines() if line.startswith("reused")] == [["reused", "from", "one"]]
    assert pipe.types("delete", "run", "one").returncode == 0
    assert pipe.types("rerun", "two", "--recover", "-q").stdout == "62\n"
    assert noted(pipe) == []


def test_from_an_action_and_with_other_inputs(pipe: Person) -> None:
    base = pipe.types("run", "--name", "base", "-q", "pipe.py", "main", "--month", "7")
    assert base.stdout == "62\n", base.stderr
    noted(pipe)
    assert pipe.types("rerun", "base", "-q", "--from", "total").stdout == "62\n"
    assert noted(pipe) == ["total"]
    assert pipe.types("rerun", "base", "-q", "--from", "load").stdout == "62\n"
    assert noted(pipe) == ["load 7", "square 2", "square 3", "square 7", "total"]
    given = ("--with", "month=8", "--with", "names=a", "--with", "names=b", "--with", "exact=no")
    done = pipe.types("rerun", "base", "--recover", *given, "--name", "august")
    assert (done.returncode, done.stdout) == (0, "77\n"), done.stderr
    assert noted(pipe) == ["load 8", "square 8", "total"]
    inputs = json.loads(pipe.types("get", "io", "august", "-o", "json").stdout)["inputs"]
    assert inputs == {"month": 8, "names": ["a", "b"], "exact": False}
    assert pipe.types("rerun", "august", "-q", "--with", "month=1").stdout == "14\n"
    assert len(noted(pipe)) == 5


def test_steps_of_what_is_executed_again_are_taken_over_too(pipe: Person) -> None:
    noted(pipe)
    assert pipe.types("run", "--name", "stepped", "-q", "pipe.py", "steps").returncode == 1
    assert noted(pipe) == ["doubled 5", "halved 4", "keyed"]
    (pipe.folder / "mended").touch()
    done = pipe.types("rerun", "stepped", "--recover", "--name", "steps-again")
    assert (done.returncode, done.stdout) == (0, "16.0\n"), done.stderr
    assert "traced function 'pipe.keyed' is executed again: its inputs have no stable digest" in done.stderr
    assert noted(pipe) == ["halved 6", "keyed"]
    assert reused(pipe, "steps-again") == {
        "steps": None,
        "doubled": "stepped",
        "halved": "stepped",
        "keyed": None,
        "halved 4": None,
    }
    assert pipe.types("rerun", "steps-again", "--from", "steps", "-q").stdout == "16.0\n"
    assert noted(pipe) == ["doubled 5", "halved 4", "halved 6", "keyed"]


def test_with_needs_the_task(pipe: Person) -> None:
    gone = pipe.folder / "gone.py"
    gone.write_text((pipe.folder / "pipe.py").read_text().replace('name="pipe"', 'name="gone"'))
    pipe.types("run", "--name", "gone", "-q", "gone.py", "main", "--month", "7")
    gone.unlink()
    # What the run was submitted with is kept, so that its own code needs no file.
    assert pipe.types("rerun", "gone", "-q", "--recover", "--with", "month=8").stdout == "77\n"
    done = pipe.types("rerun", "gone", "-q", "--recover", "--with", "month=9", "--code", "current")
    assert done.returncode == 1
    assert (
        "--with reads values as task 'gone.main' of run 'gone' declares them, which cannot be imported" in done.stderr
    )


def test_variables_of_a_run_are_not_at_rest(pipe: Person) -> None:
    run = ("run", "--name", "env", "-q", "--env", "COLOUR=unmistakable", "pipe.py", "tells", "--name", "COLOUR")
    assert pipe.types(*run).stdout == "unmistakable\n"
    written = b"".join(path.read_bytes() for path in pipe.home.glob("journal*"))
    assert b"COLOUR" in written
    # The one task returned it.
    assert written.count(b"unmistakable") <= len(list(pipe.home.glob("journal*")))
    again = pipe.types("rerun", "env")
    assert again.stdout == ""
    assert "the values of the run's env_vars were not kept, and nobody gave them again: COLOUR" in again.stderr
    assert pipe.types("rerun", "env", "-q", "--env", "COLOUR=blue").stdout == "blue\n"
    inherited = pipe.types("rerun", "env", COLOUR="green")
    assert inherited.stdout == "green\n"
    assert "env_vars" not in inherited.stderr


def test_it_is_the_same_in_a_program(pipe: Person) -> None:
    script = """
        import asyncio
        import volant
        from pipe import main

        if __name__ == "__main__":
            first = volant.with_runcontext(name="first").run(main, 7)
            again = volant.rerun("first", recover=True, name="second", labels={"by": "me"})
            assert again.result() == first.result() == 62
            assert [action.reused_from for action in again.actions()] == [None, *["first"] * 5]
            assert volant.remote.Action.get("second", "load").reused_from == "first"
            other = asyncio.run(volant.rerun.aio("first", from_action="total", inputs={"month": 8}))
            assert (other.result(), other.inputs()["month"]) == (77, 8)
            detached = volant.rerun("first", wait=False)
            detached.wait()
            for wrong in ({"recovr": True}, {"recover": 1}, {"code": "newest"}, {"inputs": {"mnth": 8}},
                          {"inputs": {"month": "may"}}, {"from_action": ""}, {"inputs": 3}):
                try:
                    volant.rerun("first", **wrong)
                except (volant.errors.DefinitionError, volant.errors.ArgumentError,
                        volant.errors.UnknownParameterError) as error:
                    print(f"{type(error).__name__}: {error}")
    """
    path = Path(pipe.folder, "script.py")
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=pipe.folder,
        env=pipe.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "UnknownParameterError: volant.rerun: there is no option 'recovr'; did you mean 'recover'?",
        "DefinitionTypeError: volant.rerun: recover is 1 (int), expected True or False",
        "DefinitionError: volant.rerun: code is 'newest', expected 'original' or 'current'",
        "ArgumentError: task 'pipe.main' has no parameter 'mnth'; did you mean 'month'?",
        "ArgumentError: task 'pipe.main', parameter 'month': found str 'may', wanted int",
        "DefinitionError: volant.rerun: from_action is '', expected a str that is not empty",
        "DefinitionTypeError: volant.rerun: inputs is 3 (int), expected a dict from names of inputs to values",
    ]
