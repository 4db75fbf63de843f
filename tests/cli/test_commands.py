"""The commands as a person types them: results on stdout, all else on stderr, exit codes that scripts can use."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, Person


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class TestRun:
    def test_the_result_alone_is_on_standard_output(self, person: Person) -> None:
        done = person.types("run", "hello.py", "main", "--n", "4", "--name", "me", "--colour", "red", "--dry-run")
        assert (done.returncode, done.stdout) == (0, "4 me RED True\n")
        assert "hello.main" in done.stderr
        assert "SUCCEEDED" in done.stderr

    def test_defaults_are_the_functions_own(self, person: Person) -> None:
        assert person.types("run", "hello.py", "main").stdout == "1 x RED False\n"

    def test_the_schema_is_printed_and_nothing_runs(self, person: Person) -> None:
        done = person.types("run", "hello.py", "needs", "--schema")
        shown = json.loads(done.stdout)
        assert shown["task"] == "hello.needs"
        assert shown["inputs"]["properties"]["numbers"] == {"type": "array", "items": {"type": "integer"}}
        assert shown["outputs"]["properties"] == {"o0": {"type": "array", "items": {"type": "integer"}}}

    def test_json_is_read_and_written(self, person: Person) -> None:
        done = person.types("run", "hello.py", "needs", "--number", "2", "--numbers", "[1, 2]", "-o", "json")
        shown = json.loads(done.stdout)
        assert shown["phase"] == "SUCCEEDED"
        assert shown["outputs"] == {"o0": [2, 4]}
        assert shown["task"] == "hello.needs"

    def test_positional_only_parameters_are_options_too(self, person: Person) -> None:
        assert person.types("run", "hello.py", "only_positional", "--first", "7").stdout == "(7, 2)\n"

    def test_a_task_that_returns_nothing_prints_nothing(self, person: Person) -> None:
        assert person.types("run", "hello.py", "nothing").stdout == ""

    @pytest.mark.parametrize("name", ["hello.main", "main"])
    def test_a_task_is_found_by_both_its_names(self, person: Person, name: str) -> None:
        assert person.types("run", "hello.py", name, "--quiet").stdout == "1 x RED False\n"

    def test_the_only_task_needs_no_name(self, person: Person) -> None:
        assert person.types("run", "one.py", "--x", "1.5").stdout == "3.0\n"

    def test_the_only_entrypoint_needs_no_name(self, person: Person) -> None:
        assert person.types("run", "entry.py").stdout == "start run\n"

    def test_a_parameter_wins_over_an_option_of_ours_of_the_same_name(self, person: Person) -> None:
        assert person.types("run", "entry.py", "start", "--name", "mine").stdout == "start mine\n"

    def test_our_options_may_stand_on_either_side(self, person: Person) -> None:
        before = person.types("run", "--quiet", "--label", "a=b", "-o", "json", "one.py", "single")
        after = person.types("run", "one.py", "single", "--quiet", "--label", "a=b", "-o", "json")
        for done in (before, after):
            assert json.loads(done.stdout)["labels"] == {"a": "b"}
            assert done.stderr == ""

    def test_our_options_may_stand_between_the_file_and_the_task(self, person: Person) -> None:
        done = person.types("run", "hello.py", "--follow", "--label=a=b", "-o", "json", "--quiet", "main", "--n", "4")
        shown = json.loads(done.stdout)
        assert (shown["outputs"], shown["labels"]) == ({"o0": "4 x RED False"}, {"a": "b"}), done.stderr
        wrong = person.types("run", "hello.py", "--quiet", "mian")
        assert "error: hello.py has no task 'mian'; did you mean 'main'?" in wrong.stderr

    def test_a_flag_of_ours_that_the_only_task_takes_a_value_for_is_the_tasks(self, person: Person) -> None:
        (person.folder / "follows.py").write_text(
            "import volant\nenv = volant.TaskEnvironment(name='follows')\n"
            "@env.task\nasync def only(follow: str) -> str:\n    return follow\n"
        )
        assert person.types("run", "follows.py", "--follow", "him").stdout == "him\n"

    def test_inline_gives_the_same(self, person: Person) -> None:
        done = person.types("run", "hello.py", "main", "--mode", "inline", "-o", "json")
        shown = json.loads(done.stdout[done.stdout.index("{") :])
        assert (shown["mode"], shown["outputs"]) == ("inline", {"o0": "1 x RED False"})

    def test_a_failure_shows_the_users_frames_and_what_to_do(self, person: Person) -> None:
        done = person.types("run", "hello.py", "fails")
        assert (done.returncode, done.stdout) == (1, "")
        lines = done.stderr.splitlines()
        assert any("in helper" in line for line in lines)
        assert any("KeyError: 'missing'" in line for line in lines)
        assert not any("/volant/" in line for line in lines if line.strip().startswith("File"))
        said = next(line for line in lines if line.startswith("error: run "))
        # Where it began, not where it came out.
        assert said.endswith("failed in task hello.inner: KeyError: 'missing'")
        action, log, *hints = lines[lines.index(said) + 1 :]
        name = json.loads(person.types("get", "runs", "--limit", "1", "-o", "json").stdout)[0]["run"]
        assert action.startswith("  action ")
        assert f"logs/{name}/" in log
        assert (
            Path(log.removeprefix("  log ").strip().replace("~", str(Path.home()))).read_text() == "before it fails\n"
        )
        assert hints == [
            f"hint: volant get run {name} shows what was done",
            f"hint: volant logs {name} shows what was written",
        ]

    def test_a_failure_as_json_has_the_error(self, person: Person) -> None:
        done = person.types("run", "hello.py", "fails", "-o", "json")
        assert done.returncode == 1
        shown = json.loads(done.stdout)
        assert shown["phase"] == "FAILED"
        assert shown["error"]["code"] == "KeyError"

    @pytest.mark.parametrize(
        ("arguments", "code", "wanted"),
        [
            (["hello.py"], 2, "error: hello.py has 7 tasks and no entrypoint, expected the name of one main(n: int"),
            (["hello.py", "mian"], 2, "error: hello.py has no task 'mian'; did you mean 'main'?"),
            (["hello.py", "only-positional"], 2, "did you mean 'only_positional'?"),
            (
                ["helo.py"],
                2,
                "error: helo.py does not exist, expected a Python file or a module; did you mean 'hello.py'",
            ),
            (["hello"], 2, "error: hello has 7 tasks and no entrypoint"),
            (["helo"], 2, "error: helo does not exist, expected a Python file or a module; did you mean 'hello.py'?"),
            (["json.nothing"], 2, "error: there is no module 'json.nothing'"),
            (["empty.py"], 2, "error: empty.py has no tasks"),
            (["."], 2, "error: . is a folder, expected a Python file, such as "),
            (["broken.py"], 1, "error: broken.py cannot be imported: LookupError: at import"),
            (["exits.py"], 1, "error: exits.py cannot be imported: it exits while it is imported (SystemExit: 3)"),
            (["hello.py", "main", "--n", "x"], 2, "'x' is not a valid integer"),
            (["hello.py", "main", "--m", "1"], 2, "there is no option '--m'"),
            (["hello.py", "main", "7"], 2, "nothing takes '7' hint: parameters are options: --n INTEGER"),
            (["hello.py", "needs", "--numbers", "[1]"], 2, "--number is missing"),
            (["hello.py", "needs", "--number", "1", "--numbers", "[a]"], 2, "is not JSON for list[int]"),
            (["--env", "NOEQUALS", "one.py"], 2, "--env: found 'NOEQUALS', expected NAME=VALUE"),
            (["--mode", "lokal", "one.py"], 2, "--mode: mode: found 'lokal'"),
            (["--mode", "remote", "one.py"], 1, "no endpoint is set"),
            (["--max-action-concurrency", "0", "one.py"], 2, "found '0', expected a whole number, 1 or more"),
            (["--name", "a/b", "one.py"], 2, "volant run: --name is 'a/b'"),
            (["--detach", "--follow", "one.py"], 2, "a run that is left alone is not followed"),
            (["wrong.py"], 1, "error: wrong.py cannot be imported: Resources: cpu is 'many'"),
            ([], 2, "FILE is missing"),
        ],
    )
    def test_mistakes_are_said_in_words(self, person: Person, arguments: list[str], code: int, wanted: str) -> None:
        done = person.types("run", *arguments)
        assert wanted in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr or "cannot be imported" in done.stderr
        assert "/volant/" not in done.stderr.replace(str(person.folder), "")
        assert (done.returncode, done.stdout) == (code, "")

    def test_a_file_that_cannot_be_imported_shows_the_users_frames_only(self, person: Person) -> None:
        done = person.types("run", "broken.py", "main")
        frames = [line.strip() for line in done.stderr.splitlines() if line.strip().startswith("File")]
        assert len(frames) == 2
        through = person.types("run", "imports_broken.py")
        frames += [line.strip() for line in through.stderr.splitlines() if line.strip().startswith("File")]
        assert len(frames) == 5
        assert all("broken.py" in frame for frame in frames)

    def test_help_shows_the_options_of_the_task(self, person: Person) -> None:
        shown = person.types("run", "hello.py", "main", "--help")
        assert shown.returncode == 0
        for text in ("Say hello.", "--n", "default: 1", "--dry-run / --no-dry-run", "RED", "--detach"):
            assert text in shown.stdout

    def test_help_has_what_the_docstring_says_of_each_parameter(self, person: Person) -> None:
        shown = " ".join(person.types("run", "hello.py", "prints", "--help").stdout.split())
        for text in (
            "Print each name.",
            "--names TEXT ... Who is greeted. [repeat it, or a JSON list]",
            "--no-loud INT",
        ):
            assert text in shown
        assert "Args:" not in shown

    def test_a_module_may_be_named_instead_of_a_file(self, person: Person) -> None:
        for named in ("package.module", "package/module.py"):
            assert person.types("run", named, "-q").stdout == "from a package\n"

    def test_lists_are_repeated_or_json_or_in_a_file(self, person: Person) -> None:
        for given in (["--numbers", "1", "--numbers", "2", "--numbers", "3"], ["--numbers", "@numbers.json"]):
            assert person.types("run", "hello.py", "needs", "--number", "2", *given, "-q").stdout == "[2, 4, 6]\n"

    def test_what_attempts_print_can_be_followed(self, person: Person) -> None:
        done = person.types("run", "--follow", "--quiet", "hello.py", "prints", "--names", "a", "--names", "b")
        first, second = done.stderr.splitlines()
        assert re.fullmatch(r"prints [0-9a-f]{8} \| hello a", first)
        assert re.fullmatch(r"prints [0-9a-f]{8} \| hello b", second)

    def test_the_result_in_other_forms(self, person: Person) -> None:
        given = ["hello.py", "prints", "--names", "a", "--loud", "-q"]
        assert person.types("run", *given, "-o", "table").stdout == "name  loud\n────  ────\na     True\n"
        raw = person.types("run", *given, "-o", "json-raw").stdout
        assert raw.count("\n") == 1
        assert json.loads(raw)["outputs"] == {"o0": [{"name": "a", "loud": True}]}

    def test_a_reader_that_leaves_breaks_nothing(self, person: Person) -> None:
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "volant", "run", "hello.py", "main"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            env=person.environ,
            cwd=person.folder,
            timeout=PATIENCE,
            check=False,
        )
        os.close(write)
        assert done.returncode == 0
        assert "SUCCEEDED" in done.stderr.splitlines()[-1]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
    @pytest.mark.parametrize("arguments", [("run", "hello.py", "main"), ("--help",), ("get", "runs", "-o", "json")])
    def test_an_output_without_room_is_an_error_without_a_frame(
        self, person: Person, arguments: tuple[str, ...]
    ) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "volant", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                cwd=person.folder,
                env=person.environ,
                timeout=PATIENCE,
                check=False,
            )
        assert done.returncode == 1
        assert "error: the output cannot be written: No space left on device\n" in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_output_that_cannot_encode_the_result_gets_escapes(self, person: Person) -> None:
        western = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
        given = ["hello.py", "main", "--name", "→", "-q"]
        assert person.types("run", *given, **western).stdout == "1 \\u2192 RED False\n"
        shown = json.loads(person.types("run", *given, "-o", "json", **western).stdout)
        assert shown["outputs"] == {"o0": "1 → RED False"}

    def test_help_without_a_task_lists_them(self, person: Person) -> None:
        shown = person.types("run", "entry.py", "--help").stdout
        assert "start(name: str = 'run') -> str  (entrypoint)" in shown
        assert "other() -> str" in shown

    def test_interrupting_aborts_the_run(self, person: Person) -> None:
        mark = person.folder / "mark-interrupt"
        process = person.begins("run", "--name", "interrupted", "slow.py", "--mark", str(mark))
        until(mark.exists)
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert "aborting run interrupted" in err
        assert "ABORTED" in err
        assert "Traceback" not in err
        assert json.loads(person.types("get", "run", "interrupted", "-o", "json").stdout)["phase"] == "ABORTED"

    @pytest.mark.parametrize("task", ["sleeps", "loops", "loops_over"])
    def test_interrupting_an_inline_sync_task_reaches_it(self, person: Person, task: str) -> None:
        mark = person.folder / f"mark-inline-{task}"
        process = person.begins("run", "--mode", "inline", "slow.py", task, "--mark", str(mark))
        until(mark.exists)
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert "ABORTED" in err

    @pytest.mark.parametrize("task", ["swallows", "maps"])
    def test_interrupting_an_inline_run_aborts_it_whatever_its_tasks_catch(self, person: Person, task: str) -> None:
        mark = person.folder / f"mark-{task}"
        process = person.begins("run", "--mode", "inline", "slow.py", task, "--mark", str(mark))
        until(mark.exists)
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert "ABORTED" in err
        assert "succeeded" not in err

    def test_interrupting_twice_leaves_at_once(self, person: Person) -> None:
        mark = person.folder / "mark-twice"
        process = person.begins("run", "--name", "left", "slow.py", "stubborn", "--mark", str(mark))
        until(mark.exists)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "aborting run left" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert "left run left while it was being aborted" in err
        until(lambda: json.loads(person.types("get", "run", "left", "-o", "json").stdout)["phase"] == "ABORTED")

    def test_a_client_that_is_terminated_leaves_its_run_alone(self, person: Person) -> None:
        mark = person.folder / "mark-terminate"
        process = person.begins("run", "--name", "left-alone", "slow.py", "--mark", str(mark))
        until(mark.exists)
        process.terminate()
        process.communicate(timeout=PATIENCE)
        assert json.loads(person.types("get", "run", "left-alone", "-o", "json").stdout)["phase"] == "RUNNING"
        assert person.types("abort", "left-alone").returncode == 0
        assert json.loads(person.types("get", "run", "left-alone", "-o", "json").stdout)["phase"] == "ABORTED"


class TestAttach:
    def test_a_detached_run_can_be_watched_again(self, person: Person) -> None:
        detached = person.types("run", "--detach", "--name", "detached", "one.py", "--x", "4")
        assert (detached.returncode, detached.stdout) == (0, "detached\n")
        attached = person.types("attach", "detached", PYTHONPATH=str(person.folder))
        assert (attached.returncode, attached.stdout) == (0, "8.0\n")

    def test_leaving_does_not_abort(self, person: Person) -> None:
        mark = person.folder / "mark-attach"
        person.types("run", "--detach", "--name", "goes-on", "slow.py", "--mark", str(mark))
        until(mark.exists)
        process = person.begins("attach", "goes-on")
        assert process.stderr is not None
        assert "goes-on" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert "left run goes-on, which goes on" in err
        assert json.loads(person.types("get", "run", "goes-on", "-o", "json").stdout)["phase"] == "RUNNING"
        person.types("abort", "goes-on")

    def test_an_unknown_run_is_said(self, person: Person) -> None:
        done = person.types("attach", "nobody")
        assert done.returncode == 1
        assert "error: there is no run" in done.stderr


class TestGet:
    def test_runs_are_listed_newest_first(self, person: Person) -> None:
        for name in ("older", "newer"):
            person.types("run", "--name", name, "one.py")
        lines = person.types("get", "runs", "--limit", "2").stdout.splitlines()
        assert lines[0].split() == ["NAME", "TASK", "PHASE", "CREATED", "DURATION"]
        assert [line.split()[0] for line in lines[1:]] == ["newer", "older"]

    def test_runs_can_be_chosen_by_phase_and_task(self, person: Person) -> None:
        person.types("run", "--name", "failed-one", "hello.py", "fails")
        shown = json.loads(
            person.types("get", "runs", "--phase", "failed", "--task", "hello.fails", "-o", "json").stdout
        )
        assert "failed-one" in {run["run"] for run in shown}
        assert {run["phase"] for run in shown} == {"FAILED"}

    def test_one_run_shows_its_actions(self, person: Person) -> None:
        person.types("run", "--name", "shown", "hello.py", "fails")
        shown = person.types("get", "run", "shown").stdout
        for text in ("shown", "hello.fails", "✗ failed", "2 failed", "KeyError", "inner"):
            assert text in shown


class TestEngine:
    def test_without_an_engine_nothing_is_started(self, person: Person, tmp_path: Path) -> None:
        home = tmp_path / "elsewhere"
        for arguments, code in ((["status"], 1), (["stop"], 0), (["log"], 0)):
            done = person.types("--home", str(home), "engine", *arguments)
            assert (done.returncode, done.stdout) == (code, "")
            assert str(home) in done.stderr
        assert not home.exists()

    def test_an_engine_that_runs_is_described(self, person: Person) -> None:
        person.types("run", "one.py")
        shown = json.loads(person.types("engine", "status", "-o", "json").stdout)
        assert shown["home"] == str(person.home)
        assert shown["live_runs"] == []
        assert str(shown["pid"]) in person.types("engine", "status").stdout
        assert "engine" in person.types("engine", "log").stdout

    def test_a_busy_engine_stays_until_it_is_told_to_abort(self, person: Person) -> None:
        mark = person.folder / "mark-stop"
        person.types("run", "--detach", "--name", "keeps-busy", "slow.py", "--mark", str(mark))
        until(mark.exists)
        refused = person.types("engine", "stop")
        assert refused.returncode == 1
        assert "keeps-busy" in refused.stderr
        stopped = person.types("engine", "stop", "--abort-runs")
        assert stopped.returncode == 0
        assert person.types("engine", "status").returncode == 1
        assert json.loads(person.types("get", "run", "keeps-busy", "-o", "json").stdout)["phase"] == "ABORTED"


class TestWords:
    def test_help_imports_no_command(self, person: Person) -> None:
        shown = person.types("--help")
        assert shown.returncode == 0
        for command in ("run", "attach", "abort", "get", "engine"):
            assert command in shown.stdout

    @pytest.mark.parametrize("command", ["run", "attach", "abort", "get", "engine"])
    def test_every_command_has_help(self, person: Person, command: str) -> None:
        shown = person.types(command, "--help")
        assert (shown.returncode, shown.stderr) == (0, "")

    def test_an_unknown_command_suggests_the_nearest(self, person: Person) -> None:
        done = person.types("rn")
        assert done.returncode == 2
        assert "there is no command 'rn'; did you mean 'run'?" in " ".join(done.stderr.split())

    def test_the_version_is_printed(self, person: Person) -> None:
        assert "volant" in person.types("--version").stdout

    def test_a_bad_setting_is_said_in_words(self, person: Person) -> None:
        done = person.types("run", "one.py", VOLANT_MODE="lokal")
        assert done.returncode == 2
        assert "error: VOLANT_MODE: mode: found 'lokal'" in done.stderr
