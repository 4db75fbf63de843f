"""Looking at runs from another terminal, while they run and long after, and acting on them."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PATIENCE, Person

PROJECT = """
    import asyncio, dataclasses, enum, pathlib, time
    import volant

    env = volant.TaskEnvironment(name="past")

    class Colour(enum.Enum):
        RED = "r"

    @dataclasses.dataclass
    class Point:
        x: int
        tags: list[str]

    class Opaque:
        pass

    @env.task
    async def leaf(n: int) -> int:
        print(f"leaf {n}")
        if n == 3:
            raise ValueError("three\\nis too much")
        return n

    @env.task(retries=2)
    async def flaky() -> int:
        number = volant.ctx().attempt_number
        print(f"one of {number}")
        print(f"two of {number}")
        if number < 2:
            raise RuntimeError("not yet")
        return number

    @env.task
    async def main(point: Point, colour: Colour = Colour.RED, width: int = 20) -> Point:
        await asyncio.gather(*(leaf(n) for n in range(width)), return_exceptions=True)
        return Point(await flaky(), ["done"])

    @env.task
    async def opaque() -> Opaque:
        return Opaque()

    @env.task
    async def pair(n: int = 1) -> tuple[int, str]:
        return n, "x"

    @env.task
    async def waits(folder: str) -> None:
        print("before")
        print("half a line", end="", flush=True)
        pathlib.Path(folder, "ready").touch()
        while not pathlib.Path(folder, "go").exists():
            await asyncio.sleep(0.01)
        print(" and the rest")
        print("after")

    @env.task
    async def parent(folder: str) -> str:
        try:
            await waits(folder)
        except volant.errors.RunAbortedError:
            return "went on"
        return "child ended"

    if __name__ == "__main__":
        volant.with_runcontext(name="script").run(main, Point(1, ["a"]))
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def past(person: Person) -> Person:
    """Runs that have ended, of a file that is not there any more where commands are typed."""
    folder = person.folder / "once"
    folder.mkdir()
    (folder / "past.py").write_text(textwrap.dedent(PROJECT))
    done = subprocess.run(
        [sys.executable, "past.py"],
        cwd=folder,
        env=person.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, task, *options in (("pair-one", "pair", "--label", "team=ops"), ("opaque", "opaque")):
        done = person.types("run", "--name", name, *options, "once/past.py", task)
        assert done.returncode == 0, done.stderr
    return person


def shown(person: Person, *arguments: str) -> Any:
    done = person.types(*arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestRuns:
    def test_they_are_chosen_by_label_and_time(self, past: Person) -> None:
        assert [run["run"] for run in shown(past, "get", "runs", "--label", "team=ops")] == ["pair-one"]
        assert len(shown(past, "get", "runs", "--since", "2 hours")) == 3
        none = past.types("get", "runs", "--since", "2999-01-01")
        assert (none.returncode, none.stdout) == (0, "")
        assert "no such runs" in none.stderr

    @pytest.mark.parametrize(
        ("arguments", "code", "wanted"),
        [
            (["runs", "--since", "soon"], 2, "'soon' is no time: expected one such as '2h'"),
            (["runs", "--phase", "faild"], 2, "'faild' is not one of"),
            (["runs", "--label", "team"], 2, "--label: found 'team', expected NAME=VALUE"),
            (["rnus"], 2, "did you mean 'runs'?"),
            (["run", "pair-two"], 1, "there is no run named 'pair-two' in this home; did you mean 'pair-one'?"),
            (["run", "piar"], 1, "did you mean 'pair'?"),
            (["action", "script", "flakey"], 1, "run 'script' has no action 'flakey'; did you mean 'flaky'?"),
            (["action", "script", "leaf"], 1, "run 'script' called task 'leaf' several times: "),
            (["io", "nobody"], 1, "there is no run named 'nobody'"),
            (["logs", "script", "nothing"], 1, "run 'script' has no action 'nothing'"),
        ],
    )
    def test_mistakes_are_said_in_words(self, past: Person, arguments: list[str], code: int, wanted: str) -> None:
        done = past.types("get", *arguments)
        assert wanted in " ".join(done.stderr.split())
        assert (done.returncode, done.stdout) == (code, "")


class TestRun:
    def test_its_actions_are_a_tree_with_the_interesting_ones_first(self, past: Person) -> None:
        lines = past.types("get", "run", "scr").stdout.splitlines()
        assert lines[0].split() == ["run", "script"]
        top = next(number for number, line in enumerate(lines) if line.startswith("TASK"))
        main, failed, folded, flaky = lines[top + 1 :]
        assert main.startswith("main ")
        assert failed.startswith("├─ leaf ")
        assert "failed" in failed
        assert failed.endswith("ValueError: three")
        assert folded.startswith("├─ leaf ×19 ")
        assert flaky.startswith("└─ flaky ")
        assert flaky.endswith("3 attempts")

    def test_all_are_shown_when_they_are_wanted(self, past: Person) -> None:
        lines = past.types("get", "run", "script", "--all").stdout.splitlines()
        assert sum("leaf" in line for line in lines) == 20

    def test_without_a_name_it_is_the_newest_run(self, past: Person) -> None:
        past.types("run", "--name", "newest", "one.py", "single")
        assert past.types("get", "run").stdout.splitlines()[0].split() == ["run", "newest"]
        for command in (("logs",), ("get", "logs"), ("get", "io")):
            done = past.types(*command)
            assert (done.returncode, done.stderr.splitlines()[0]) == (0, "run newest, the newest one:")

    def test_where_nothing_has_run_there_is_no_newest_run(self, past: Person, tmp_path: Path) -> None:
        done = past.types("--home", str(tmp_path / "empty"), "get", "run")
        assert done.returncode == 2
        assert "no run is named, and" in done.stderr
        past.types("--home", str(tmp_path / "empty"), "engine", "stop")

    def test_a_failure_shows_the_users_frames(self, past: Person) -> None:
        past.types("run", "--name", "failed", "hello.py", "fails")
        done = past.types("get", "run", "failed")
        assert done.returncode == 0
        assert "error     KeyError: 'missing' in task hello.inner" in done.stdout
        frames = [line for line in done.stdout.splitlines() if line.strip().startswith("File")]
        assert frames
        assert all("hello.py" in frame for frame in frames)

    def test_json_has_every_action_with_its_parent(self, past: Person) -> None:
        run = shown(past, "get", "run", "script")
        assert run["complete"]
        assert run["counts"] == {"SUCCEEDED": 21, "FAILED": 1}
        root, *others = run["actions"]
        assert root["parent"] is None
        assert {each["parent"] for each in others} == {root["action"]}
        (failed,) = (each for each in others if each["phase"] == "FAILED")
        assert (failed["name"], failed["code"], failed["message"]) == ("leaf", "ValueError", "three")

    def test_without_a_terminal_that_can_draw_it_is_plain(self, past: Person) -> None:
        done = past.types("get", "run", "script", PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert "|- leaf x19" in done.stdout


class TestAction:
    def test_its_attempts_are_listed(self, past: Person) -> None:
        action = shown(past, "get", "action", "script", "flaky")
        assert [each["attempt"] for each in action["history"]] == [1, 2, 3]
        assert [each["phase"] for each in action["history"]] == ["FAILED", "FAILED", "SUCCEEDED"]
        assert action["settings"]["retries"] == {"count": 2, "backoff": None}
        for each in action["history"]:
            assert Path(each["log"]).read_text().startswith("one of ")
            assert each["peak_memory"] > 0
        text = past.types("get", "action", "script", action["action"][:6]).stdout
        assert "past.flaky" in text
        assert text.count("RuntimeError: not yet") == 2

    def test_a_failure_has_its_traceback(self, past: Person) -> None:
        run = shown(past, "get", "run", "script")
        (failed,) = (each for each in run["actions"] if each["phase"] == "FAILED")
        text = past.types("get", "action", "script", failed["action"]).stdout
        assert 'raise ValueError("three\\nis too much")' in text
        assert shown(past, "get", "action", "script", failed["action"])["error"]["message"] == "three\nis too much"


class TestValues:
    def test_they_are_shown_without_the_module_that_made_them(self, past: Person) -> None:
        text = past.types("get", "io", "script").stdout
        assert text.splitlines() == [
            "inputs",
            "    point = (x=1, tags=['a'])",
            "    colour = RED",
            "    width = 20",
            "outputs",
            "    (x=2, tags=['done'])",
        ]
        found = shown(past, "get", "io", "script")
        assert found["inputs"] == {"point": {"x": 1, "tags": ["a"]}, "colour": "RED", "width": 20}
        assert found["outputs"] == {"x": 2, "tags": ["done"]}

    def test_those_of_an_action_too(self, past: Person) -> None:
        assert shown(past, "get", "io", "script", "flaky")["outputs"] == 2
        run = shown(past, "get", "run", "script")
        (failed,) = (each for each in run["actions"] if each["phase"] == "FAILED")
        assert "outputs" not in shown(past, "get", "io", "script", failed["action"])
        assert "none: it failed with ValueError" in past.types("get", "io", "script", failed["action"]).stdout

    def test_what_only_its_code_can_read_shows_its_class_and_size(self, past: Person) -> None:
        found = shown(past, "get", "io", "opaque")["outputs"]
        assert found["type"] == "past:Opaque"
        assert found["bytes"] > 10
        assert "<past:Opaque, " in past.types("get", "io", "opaque").stdout


class TestAttach:
    def test_a_run_of_a_script_shows_its_result(self, past: Person) -> None:
        done = past.types("attach", "script")
        assert (done.returncode, done.stdout) == (0, "(x=2, tags=['done'])\n")
        assert "read without its task's module" in done.stderr
        assert shown(past, "attach", "script")["outputs"] == {"o0": {"x": 2, "tags": ["done"]}}

    def test_a_run_whose_module_is_gone_shows_its_result(self, past: Person) -> None:
        assert past.types("attach", "pair-one").stdout == "(1, 'x')\n"
        assert shown(past, "attach", "pair-one")["outputs"] == {"o0": 1, "o1": "x"}


class TestLogs:
    def test_attempts_are_merged_with_who_wrote_what(self, past: Person) -> None:
        lines = past.types("get", "logs", "script", "flaky").stdout.splitlines()
        assert lines == [f"attempt {n + 1} | {part} of {n}" for n in range(3) for part in ("one", "two")]
        whole = past.types("logs", "script").stdout.splitlines()
        assert len(whole) == 26
        assert sum(line.startswith("leaf ") for line in whole) == 20
        assert whole[-1].startswith("flaky ")
        assert whole[-1].endswith("#3 | two of 2")

    def test_one_attempt_alone_needs_no_prefix(self, past: Person) -> None:
        assert past.types("logs", "script", "flaky", "--attempt", "2").stdout == "one of 1\ntwo of 1\n"
        assert past.types("logs", "script", "flaky", "--attempt", "3", "--tail", "1").stdout == "two of 2\n"

    def test_json_is_a_line_for_each_line(self, past: Person) -> None:
        done = past.types("logs", "script", "flaky", "-o", "json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(line["attempt"], line["line"]) for line in lines[:2]] == [(1, "one of 0"), (1, "two of 0")]
        assert lines[0].keys() == {"run", "action", "name", "attempt", "line"}

    def test_output_that_was_deleted_is_said(self, past: Person) -> None:
        past.types("run", "--name", "silent", "hello.py", "main")
        for path in (past.home / "logs" / "silent").iterdir():
            path.unlink()
        done = past.types("logs", "silent")
        assert (done.returncode, done.stdout) == (0, "")
        assert "nothing was written by run silent, or it is gone" in done.stderr

    def test_following_goes_on_until_the_run_has_ended(self, past: Person) -> None:
        folder = past.folder / "followed"
        folder.mkdir()
        past.types("run", "--detach", "--name", "followed", "once/past.py", "parent", "--folder", str(folder))
        until((folder / "ready").exists)
        process = past.begins("logs", "followed", "--follow")
        assert process.stdout is not None
        assert process.stdout.readline().endswith(" | before\n")
        (folder / "go").touch()
        out, err = process.communicate(timeout=PATIENCE)
        assert [line.partition(" | ")[2] for line in out.splitlines()] == ["half a line and the rest", "after"], err
        assert process.returncode == 0

    def test_leaving_while_following_leaves_the_run_alone(self, past: Person) -> None:
        folder = past.folder / "left"
        folder.mkdir()
        past.types("run", "--detach", "--name", "unharmed", "once/past.py", "waits", "--folder", str(folder))
        until((folder / "ready").exists)
        process = past.begins("logs", "unharmed", "waits", "-f")
        assert process.stdout is not None
        assert process.stdout.readline() == "attempt 1 | before\n"
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (130, "")
        (folder / "go").touch()
        assert past.types("attach", "unharmed").returncode == 0


class TestLive:
    def test_what_waits_says_why_and_workers_are_listed(self, past: Person) -> None:
        folder = past.folder / "live"
        folder.mkdir()
        past.types("run", "--detach", "--name", "live", "once/past.py", "parent", "--folder", str(folder))
        until((folder / "ready").exists)
        until(lambda: "waits for a child" in past.types("get", "run", "live").stdout)
        run = shown(past, "get", "run", "live")
        assert run["live"]
        assert run["actions"][0]["waits"]["kind"] == "children"
        assert run["actions"][0]["waits"]["text"] == "waits for a child"
        found = shown(past, "get", "workers")
        mine = [each for each in found["workers"] if each["run"] == "live"]
        assert [each["task"] for each in mine] == ["past.parent", "past.waits"]
        assert all(each["pid"] and each["memory"] and each["cpu_seconds"] is not None for each in mine)
        assert "past" in {each["environment"] for each in found["zygotes"]}
        text = past.types("get", "workers").stdout
        assert str(mine[0]["pid"]) in text
        assert "ZYGOTE" in text
        refused = past.types("delete", "run", "live")
        assert refused.returncode == 1
        assert "run 'live' has not ended (RUNNING) and was not deleted" in refused.stderr
        done = past.types("abort", "action", "live", "waits", "--reason", "enough")
        assert done.returncode == 0, done.stderr
        assert "(past.waits) of run live" in done.stderr
        assert past.types("attach", "live").stdout == "went on\n"
        again = past.types("abort", "action", "live", "waits")
        assert "has ended already: aborted" in again.stderr
        assert shown(past, "abort", "action", "live", "waits") == [
            {"run": "live", "action": run["actions"][1]["action"], "done": False}
        ]

    def test_no_engine_is_started_to_list_workers(self, past: Person, tmp_path: Path) -> None:
        home = tmp_path / "none"
        done = past.types("--home", str(home), "get", "workers")
        assert (done.returncode, done.stdout) == (0, "")
        assert "nothing works for" in done.stderr
        assert not home.exists()


class TestEnvironments:
    def test_they_have_their_tasks(self, past: Person) -> None:
        found = {each["environment"]: each for each in shown(past, "get", "environments")}
        assert {"leaf", "flaky", "main", "pair"} <= {task["name"] for task in found["past"]["tasks"]}
        assert "past" in past.types("get", "environments").stdout


class TestRerun:
    def test_the_same_inputs_run_again_as_a_new_run(self, past: Person) -> None:
        done = past.types("rerun", "pair-one", "--name", "pair-again", "--label", "by=me", "--quiet")
        assert (done.returncode, done.stdout) == (0, "(1, 'x')\n"), done.stderr
        run = shown(past, "get", "run", "pair-again")
        assert (run["task"], run["labels"]) == ("past.pair", {"team": "ops", "by": "me"})
        assert shown(past, "get", "io", "pair-again")["inputs"] == {"n": 1}

    def test_a_script_too_and_detached(self, past: Person) -> None:
        name = past.types("rerun", "script", "--detach").stdout.strip()
        assert name not in {"", "script"}
        assert past.types("attach", name).stdout == "(x=2, tags=['done'])\n"

    def test_the_code_is_that_of_the_run_unless_the_one_of_now_is_wanted(self, past: Person) -> None:
        edited = past.folder / "edited.py"
        text = (past.folder / "one.py").read_text()
        # Each edit has another size: Python takes a file of the same size and second for the one it has compiled.
        edited.write_text(text.replace("x * 2", "x * 3"))
        assert past.types("run", "--name", "edited", "edited.py", "--x", "5").stdout == "15.0\n"
        edited.write_text(text.replace("x * 2", "x * (4)"))
        assert past.types("rerun", "edited", "-q").stdout == "15.0\n"
        assert past.types("rerun", "edited", "-q", "--code", "current").stdout == "20.0\n"
        edited.write_text(text.replace("x * 2", "x * ((5))"))
        assert past.types("rerun", "edited", "-q", "--code", "current").stdout == "25.0\n"

    def test_a_failure_fails_again(self, past: Person) -> None:
        past.types("run", "--name", "to-fail", "hello.py", "fails")
        done = past.types("rerun", "to-fail")
        assert (done.returncode, done.stdout) == (1, "")
        assert "KeyError: 'missing'" in done.stderr


class TestDelete:
    def test_runs_are_forgotten_and_their_names_free(self, past: Person) -> None:
        for name in ("first", "second"):
            past.types("run", "--name", name, "one.py")
        done = past.types("delete", "run", "first", "secon")
        assert done.returncode == 0
        assert "deleted run first" in done.stderr
        assert "deleted run second" in done.stderr
        assert past.types("get", "run", "first").returncode == 1
        assert past.types("run", "--name", "first", "one.py").returncode == 0


class TestAbort:
    def test_several_runs_and_those_that_have_ended(self, past: Person) -> None:
        folder = past.folder / "aborted"
        folder.mkdir()
        past.types("run", "--detach", "--name", "abort-me", "once/past.py", "waits", "--folder", str(folder))
        until((folder / "ready").exists)
        found = shown(past, "abort", "run", "abort-me", "pair-one")
        assert [(each["run"], each["done"]) for each in found] == [("abort-me", True), ("pair-one", False)]
        done = past.types("abort", "abort-me")
        assert done.returncode == 0
        assert "has ended already: ABORTED" in done.stderr
