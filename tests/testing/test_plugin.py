"""The plugin in pytest sessions of its own: what they show, what they touch and what they leave behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

# What a session in this process would otherwise import for itself, and unload again.
from volant.testing import carrying, examining, plugin, reporting, running, sessions

pytest_plugins = ["pytester"]
PRELOADED = (carrying, examining, plugin, reporting, running, sessions)
LIGHT = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:timeout")
"""For sessions in processes of their own: what they do not need takes longest to load."""
PATIENCE = 60.0
"""Seconds; nothing here takes a tenth of it unless it hangs."""

TASKS = """
    import asyncio, os, pathlib, time
    import pytest
    import volant

    env = volant.TaskEnvironment(name=__name__)

    @env.task
    async def divide(a: int, b: int) -> float:
        return a / b

    @env.task(retries=1)
    async def main(b: int = 0) -> float:
        return await divide(1, b)
"""


def session(pytester: pytest.Pytester, body: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(textwrap.dedent(TASKS) + textwrap.dedent(body))
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)


def test_a_failed_test_shows_the_actions_of_its_failed_run_and_the_user_s_traceback(pytester: pytest.Pytester) -> None:
    done = session(
        pytester,
        """
        def test_phase(run_task):
            assert run_task(main, b=2).phase == "SUCCEEDED"
            assert run_task(main).phase == "SUCCEEDED"

        def test_result(run_task):
            assert run_task(main).result() == 1

        def test_expected(run_task):
            assert run_task(main).phase == "FAILED"
        """,
    )
    done.assert_outcomes(failed=2, passed=1)
    shown = done.stdout.str()
    assert shown.count("- volant run ") == 2
    done.stdout.fnmatch_lines(
        [
            "* volant run *: *.main FAILED *",
            "main      FAILED  2 attempts  ZeroDivisionError: division by zero",
            "  divide  FAILED  2 attempts  ZeroDivisionError: division by zero",
            "Traceback (most recent call last):",
            '  File "*", line *, in divide',
            "    return a / b",
            "ZeroDivisionError: division by zero",
        ]
    )
    # Nothing of ours stands between the test and the task.
    assert "volant/" not in shown


def test_a_wrong_argument_is_shown_where_the_test_gives_it(pytester: pytest.Pytester) -> None:
    done = session(
        pytester,
        """
        def test_it(run_task):
            run_task(main, b="none")
        """,
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["E * parameter 'b': found str 'none', wanted int*", "test_*.py:*: ArgumentError"])
    done.stdout.no_fnmatch_line("*/volant/*.py:*")


def test_a_misspelt_marker_is_an_error_of_that_test(pytester: pytest.Pytester) -> None:
    done = session(
        pytester,
        """
        @pytest.mark.volant(mod="local")
        def test_name(run_task): ...

        @pytest.mark.volant("local")
        def test_position(run_task): ...

        @pytest.mark.volant(mode="remote")
        def test_mode(run_task): ...

        @pytest.mark.volant(mode="local")
        class TestNearest:
            @pytest.mark.volant(mode="inline")
            def test_it(self, run_task):
                assert run_task(main).mode == "inline"
        """,
        "--strict-markers",
    )
    done.assert_outcomes(errors=3, passed=1)
    shown = done.stdout.str()
    assert "@pytest.mark.volant: found mod, expected mode='inline' or mode='local'" in shown
    assert "@pytest.mark.volant: found 'local', expected mode=" in shown
    assert "@pytest.mark.volant: mode is 'remote', expected 'inline' or 'local'" in shown


def test_settings_of_the_user_and_of_the_project_are_neither_used_nor_touched(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = pytester.path / "mine"
    monkeypatch.setenv("VOLANT_HOME", str(mine))
    monkeypatch.setenv("VOLANT_MODE", "local")
    monkeypatch.setenv("VOLANT_STRICT", "true")
    pytester.makepyprojecttoml(f'[tool.volant]\nhome = "{mine}"\nblobs = "file:///nowhere"\ngrace_period = 3\n')
    done = session(
        pytester,
        f"""
        import subprocess, sys
        from volant.api.program import program

        def test_settings(run_task, volant_home):
            assert run_task(main, b=1).handle.url.startswith(volant_home.as_uri())
            assert "VOLANT_STRICT" not in os.environ
            found = program.settings()
            assert (found.home, found.mode) == (volant_home, "inline")
            assert found.blobs.startswith(volant_home.as_uri())
            # What says how runs behave is the project's business.
            assert found.grace_period.total_seconds() == 3

        def test_child(volant_home):
            text = "from volant.api.program import program; s = program.settings(); print(s.home, s.blobs)"
            printed = subprocess.check_output([sys.executable, "-c", text], text=True)
            assert printed.split() == [str(volant_home), (volant_home / "blobs").as_uri()]

        def test_after():
            assert os.environ["VOLANT_HOME"] == {str(mine)!r}
            assert os.environ["VOLANT_STRICT"] == "true"
            assert program.flags == {{}}
        """,
    )
    done.assert_outcomes(passed=3)
    assert not mine.exists()


def test_an_engine_that_somebody_stopped_is_started_again(pytester: pytest.Pytester) -> None:
    done = session(
        pytester,
        """
        import subprocess, sys

        HOMES = []

        @pytest.mark.parametrize("number", [1, 2])
        def test_stop(run_task, volant_home, number):
            HOMES.append(volant_home)
            assert run_task(main, b=1).result() == 1.0
            subprocess.run([sys.executable, "-m", "volant", "engine", "stop"], check=True)

        def test_home_is_the_same(run_task, volant_home):
            assert run_task(main, b=1).result() == 1.0
            assert set(HOMES) == {volant_home}
        """,
    )
    done.assert_outcomes(passed=3)


def test_an_engine_that_does_not_start_says_why(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_PROGRAM", "import sys; sys.exit('no engine today')")
    done = session(pytester, "def test_it(run_task): ...")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*the engine for the tests did not start:*", "*no engine today"])


def test_a_session_that_uses_nothing_of_it_imports_nothing_but_the_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing():
            loaded = sorted(name for name in sys.modules if name.partition(".")[0] in ("volant", "msgspec", "pydantic"))
            assert loaded == ["volant", "volant.testing", "volant.testing.plugin"]
        """
    )
    done = pytester.runpytest_subprocess(*LIGHT)
    done.assert_outcomes(passed=1)


def test_the_testing_package_needs_no_pytest() -> None:
    text = "import sys; sys.modules['pytest'] = None; from volant.testing import RunTask, Stub, FinishedRun"
    subprocess.run([sys.executable, "-c", text], check=True)


BLOCKED = """
    @env.task
    def block(place: str) -> None:
        pathlib.Path(place, "blocked").touch()
        time.sleep(600)

    def run(run_task, volant_home):
        pathlib.Path("home").write_text(str(volant_home))
        run_task(block, os.getcwd())

    def test_inline(run_task, volant_home):
        run(run_task, volant_home)

    @pytest.mark.volant(mode="local")
    def test_local(run_task, volant_home):
        run(run_task, volant_home)
"""


@pytest.mark.parametrize("mode", ["inline", "local"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_session_that_is_broken_off_leaves_no_process_and_no_folder(
    tmp_path: Path, mode: str, number: signal.Signals
) -> None:
    test = tmp_path / "test_blocked.py"
    test.write_text(textwrap.dedent(TASKS) + textwrap.dedent(BLOCKED))
    # A shell that runs this in the background has its children ignore Ctrl-C.
    heeds = (
        "import signal, sys, pytest; signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(pytest.main())"
    )
    command = [sys.executable, "-c", heeds, *LIGHT, f"{test}::test_{mode}"]
    with open(tmp_path / "shown", "w") as shown:
        # A shell that runs tests in the background may have told its children to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pytest_process = subprocess.Popen(command, cwd=tmp_path, stdout=shown, stderr=shown, stdin=subprocess.DEVNULL)
    wait_until((tmp_path / "blocked").exists)
    home = Path((tmp_path / "home").read_text())
    assert home.is_dir()
    children = psutil.Process(pytest_process.pid).children(recursive=True)
    # The engine; in mode `local` a zygote and a worker too.
    assert len(children) == (1 if mode == "inline" else 3)
    os.kill(pytest_process.pid, number)
    code = pytest_process.wait(PATIENCE)
    assert code == (pytest.ExitCode.INTERRUPTED if number is signal.SIGINT else -signal.SIGKILL)
    wait_until(lambda: not any(is_alive(process) for process in children))
    assert not home.exists()


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; whoever adopted it may take its time to take note of its end."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
