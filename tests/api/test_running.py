"""What scripts call: `volant.run`, its options, and the `Run` that comes back."""

import asyncio
import json
import signal
import sys
import threading
import types
from pathlib import Path

import pytest

import volant
from tests.api import tasks
from volant import errors
from volant.api.program import program

MODES = pytest.mark.parametrize("mode", ["local", "inline"])


@MODES
def test_a_run_waits_and_gives_its_outputs(mode: str) -> None:
    run = volant.with_runcontext(mode=mode).run(tasks.both, number=5)
    assert run.phase is volant.ActionPhase.SUCCEEDED
    assert "SUCCEEDED" in str(run.phase)
    assert run.outputs() == (16,)
    assert run.outputs().o0 == 16
    assert run.result() == 16
    assert run.done()


@MODES
def test_several_outputs_have_names(mode: str) -> None:
    context = volant.with_runcontext(mode=mode)
    assert context.run(tasks.pair).outputs() == (1, "x")
    run = context.run(tasks.stats, [1.0, 2.0])
    assert run.outputs().mean == 1.5
    assert run.outputs().count == 2
    assert run.result() == tasks.Stats(1.5, 2)
    assert context.run(tasks.nothing).outputs() == ()


@MODES
def test_what_the_root_task_raises_is_raised(mode: str) -> None:
    with pytest.raises(KeyError) as caught:
        volant.with_runcontext(mode=mode).run(tasks.fails, "unknown")
    assert caught.value.args == ("unknown",)
    assert isinstance(caught.value, errors.TaskError)
    assert errors.details(caught.value).task == "api-tests.fails"


@MODES
async def test_the_twin_works_in_a_running_loop(mode: str) -> None:
    runs = await asyncio.gather(*(volant.with_runcontext(mode=mode).run.aio(tasks.double, n) for n in range(4)))
    assert [await run.result.aio() for run in runs] == [0, 2, 4, 6]
    assert {run.phase for run in runs} == {volant.ActionPhase.SUCCEEDED}


async def test_the_sync_call_refuses_to_stop_a_running_loop() -> None:
    with pytest.raises(errors.CallError, match=r"volant\.run\(\) was called where an event loop is running") as caught:
        volant.run(tasks.double, 1)
    assert "volant.run.aio" in str(caught.value.hint)


def test_it_works_in_any_thread() -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(volant.run(tasks.double, n).result())) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2, 4]


def test_a_large_input_and_output_go_through_blobs(home: Path) -> None:
    data = bytes(range(256)) * 1000
    assert volant.run(tasks.large, data).result() == data[::-1]
    stored = [path.stat().st_size for path in (home / "blobs").rglob("*") if path.is_file()]
    assert max(stored) >= len(data)


class TestRefusals:
    """Whatever is wrong is said before anything is written."""

    @pytest.fixture(autouse=True)
    def _writes_nothing(self):
        before = asyncio.run(count_runs())
        yield
        assert asyncio.run(count_runs()) == before

    def test_a_missing_argument(self) -> None:
        with pytest.raises(errors.ArgumentError, match="number"):
            volant.run(tasks.double)  # type: ignore[call-arg]

    def test_a_wrong_value(self) -> None:
        with pytest.raises(errors.ArgumentError, match="number"):
            volant.run(tasks.double, "5")  # type: ignore[arg-type]

    def test_a_plain_function(self) -> None:
        with pytest.raises(errors.ArgumentError, match=r"first argument is .*, expected a task") as caught:
            volant.run(lambda: 1)  # type: ignore[arg-type]
        assert caught.value.hint == "decorate it: @env.task"

    def test_something_else(self) -> None:
        with pytest.raises(errors.ArgumentError, match=r"first argument is 3 \(int\)"):
            volant.run(3)  # type: ignore[arg-type]

    def test_remote_mode_without_a_server(self) -> None:
        with pytest.raises(errors.NotSupportedError, match="no endpoint is set") as caught:
            volant.with_runcontext(mode="remote").run(tasks.double, 1)
        assert "local" in str(caught.value.hint)

    def test_inline_without_waiting(self) -> None:
        with pytest.raises(errors.CallError, match="has to wait"):
            volant.with_runcontext(mode="inline", wait=False).run(tasks.double, 1)

    def test_an_unknown_mode(self) -> None:
        with pytest.raises(
            errors.DefinitionError, match=r"mode is 'lokal', expected 'local' or .*did you mean 'local'"
        ):
            volant.with_runcontext(mode="lokal")


async def count_runs() -> int:
    from volant.model.control_protocol import ListRuns, RunList

    async with program.client().connection() as connection:
        return len((await connection.ask(lambda number: ListRuns(request=number, limit=10_000), RunList)).runs)


class TestOptions:
    def test_an_unknown_option_names_the_nearest(self) -> None:
        with pytest.raises(errors.UnknownParameterError, match="no option 'lables'; did you mean 'labels'"):
            volant.with_runcontext(lables={})  # type: ignore[call-arg]

    @pytest.mark.parametrize(
        ("options", "wanted"),
        [
            ({"name": ""}, "name is .., expected a str that is not empty"),
            ({"name": "../x"}, "name is '../x', expected up to 100 letters"),
            ({"name": 3}, r"name is 3 \(int\), expected a str"),
            ({"env_vars": {"A": 1}}, r"env_vars\['A'\] is 1 \(int\), expected a str"),
            ({"env_vars": {"A=B": "1"}}, "expected the name of an environment variable"),
            ({"labels": "x"}, r"labels is 'x' \(str\), expected a dict"),
            ({"wait": "no"}, r"wait is 'no' \(str\), expected True or False"),
            ({"max_action_concurrency": 0}, "max_action_concurrency is 0, expected an int, 1 or more"),
            ({"max_action_concurrency": True}, "expected an int, 1 or more"),
        ],
    )
    def test_a_bad_value_is_refused_where_it_is_written(self, options, wanted: str) -> None:
        with pytest.raises(errors.DefinitionError, match=wanted):
            volant.with_runcontext(**options)

    def test_none_means_not_given(self) -> None:
        context = volant.with_runcontext(name=None, labels=None, wait=None, mode=None, queue=None)
        assert context.run(tasks.double, 2).result() == 4

    def test_name_labels_and_annotations_are_kept(self) -> None:
        run = volant.with_runcontext(name="named-run", labels={"team": "a"}, annotations={"why": "b"}).run(
            tasks.nothing
        )
        assert run.name == "named-run"
        assert (run.record.labels, run.record.annotations) == ({"team": "a"}, {"why": "b"})
        with pytest.raises(errors.RunNameTakenError, match="named-run"):
            volant.with_runcontext(name="named-run").run(tasks.nothing)

    def test_tasks_see_the_programs_variables_and_those_of_the_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("API_TEST_PROGRAM", "1")
        monkeypatch.setenv("API_TEST_BOTH", "program")
        run = volant.with_runcontext(env_vars={"API_TEST_RUN": "2", "API_TEST_BOTH": "run"}).run(tasks.context)
        assert run.result() == {"API_TEST_PROGRAM": "1", "API_TEST_RUN": "2", "API_TEST_BOTH": "run"}

    def test_a_mode_in_the_environment_wins_over_the_programs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VOLANT_MODE", "inline")
        assert volant.with_runcontext(mode="local").run(tasks.double, 1).record.mode == "inline"

    def test_hybrid_without_an_endpoint_is_local(self) -> None:
        assert volant.with_runcontext(mode="hybrid").run(tasks.double, 1).record.mode == "local"

    def test_a_context_can_be_used_again(self) -> None:
        context = volant.with_runcontext(labels={"x": "y"})
        assert context.run(tasks.double, 1).name != context.run(tasks.double, 1).name


class TestRun:
    def test_without_waiting_the_run_goes_on_by_itself(self) -> None:
        run = volant.with_runcontext(wait=False).run(tasks.sleeps, 0.3)
        assert not run.phase.is_final
        assert not run.done()
        run.wait()
        assert run.done()
        assert run.phase is volant.ActionPhase.SUCCEEDED

    def test_a_run_can_be_aborted(self) -> None:
        run = volant.with_runcontext(wait=False).run(tasks.sleeps)
        run.abort()
        assert run.phase is volant.ActionPhase.ABORTED
        with pytest.raises(errors.RunAbortedError, match=f"run '{run.name}' was aborted"):
            run.outputs()
        run.abort()  # nothing happens

    async def test_every_method_has_a_twin(self) -> None:
        run = await volant.with_runcontext(wait=False).run.aio(tasks.nothing)
        await run.wait.aio()
        assert await run.done.aio()
        assert await run.outputs.aio() == ()
        assert await run.result.aio() is None
        assert (await run.details.aio()).counts == {"SUCCEEDED": 1}
        assert [action.short_name for action in await run.actions.aio()] == ["nothing"]
        assert "said nothing" in await run.logs.aio()
        await run.abort.aio()
        assert (await volant.Run.get.aio(run.name)).name == run.name

    def test_a_failed_run_that_was_not_waited_for_raises_when_asked(self) -> None:
        run = volant.with_runcontext(wait=False).run(tasks.fails, "unknown")
        run.wait()
        assert run.phase is volant.ActionPhase.FAILED
        for _ in range(2):
            with pytest.raises(KeyError, match="unknown"):
                run.outputs()

    def test_a_run_is_found_by_name_and_by_its_beginning(self) -> None:
        run = volant.with_runcontext(name="findable-123").run(tasks.double, 21)
        for name in ("findable-123", "findable"):
            found = volant.Run.get(name)
            assert found.name == run.name
            assert found.phase is volant.ActionPhase.SUCCEEDED
            assert found.outputs() == (42,)
            assert found.url == run.url

    def test_an_unknown_name_is_an_error(self) -> None:
        with pytest.raises(errors.RunNotFoundError, match="no-such-run"):
            volant.Run.get("no-such-run")

    def test_actions_are_listed_in_order(self) -> None:
        run = volant.run(tasks.both, 1)
        assert [action.short_name for action in run.actions()] == ["both", "double", "plus"]

    async def test_cancelling_the_wait_aborts_the_run(self) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(volant.with_runcontext(name="cut-short").run.aio(tasks.sleeps), 1.0)
        assert (await volant.Run.get.aio("cut-short")).phase is volant.ActionPhase.ABORTED


@MODES
def test_a_run_inside_a_task_is_an_error(mode: str) -> None:
    with pytest.raises(errors.NestedRunError, match=r"inside task 'api-tests\.runs_itself'") as caught:
        volant.with_runcontext(mode=mode).run(tasks.runs_itself)
    assert caught.value.hint == "call the task itself: await task(...), or task(...) from a sync task"


class TestInit:
    def test_what_init_says_counts(self) -> None:
        volant.init(mode="inline")
        assert volant.run(tasks.double, 1).record.mode == "inline"

    def test_a_context_wins_over_init(self) -> None:
        volant.init(mode="inline")
        assert volant.with_runcontext(mode="local").run(tasks.double, 1).record.mode == "local"

    def test_an_unknown_parameter_names_the_nearest(self) -> None:
        with pytest.raises(errors.UnknownParameterError, match="no parameter 'hom'; did you mean 'home'"):
            volant.init(hom="x")

    def test_a_bad_value_is_refused_and_changes_nothing(self) -> None:
        with pytest.raises(errors.SettingsError, match=r"volant\.init: mode: found 'x'"):
            volant.init(mode="x", grace_period=3)
        assert program.arguments == {}

    def test_an_endpoint_means_a_server(self) -> None:
        volant.init(endpoint="dns:///flyte.example.com")
        with pytest.raises(errors.NotSupportedError, match=r"the server dns:///flyte\.example\.com"):
            volant.run(tasks.double, 1)

    def test_a_config_file_that_is_not_there_is_an_error_when_named(self, tmp_path: Path) -> None:
        with pytest.raises(errors.SettingsError, match="cannot be read"):
            volant.init_from_config(tmp_path / "config.yaml")

    def test_without_any_config_file_runs_stay_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        volant.init_from_config()
        assert program.arguments == {}


class TestConfigFiles:
    """Flyte's `config.yaml`. PyYAML is the user's own; JSON, which is YAML too, stands in for it here."""

    @pytest.fixture(autouse=True)
    def _yaml(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reader = types.ModuleType("yaml")
        monkeypatch.setattr(reader, "safe_load", lambda text: json.loads(text) if text else None, raising=False)
        monkeypatch.setattr(reader, "YAMLError", ValueError, raising=False)
        monkeypatch.setitem(sys.modules, "yaml", reader)

    def write(self, folder: Path, text: str) -> Path:
        path = folder / "config.yaml"
        path.write_text(text)
        return path

    def test_an_endpoint_makes_runs_remote(self, tmp_path: Path) -> None:
        volant.init_from_config(self.write(tmp_path, '{"admin": {"endpoint": "dns:///x"}, "task": {"project": "p"}}'))
        assert program.endpoint == "dns:///x"
        assert program.arguments == {"mode": "remote"}

    def test_without_an_endpoint_runs_stay_here(self, tmp_path: Path) -> None:
        volant.init_from_config(self.write(tmp_path, '{"task": {"project": "p", "domain": "d"}, "image": {}}'))
        volant.init_from_config(self.write(tmp_path, ""))
        assert (program.endpoint, program.arguments) == (None, {})

    def test_the_file_in_the_current_folder_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write(tmp_path, '{"admin": {"endpoint": "here"}}')
        monkeypatch.chdir(tmp_path)
        volant.init_from_config()
        assert program.endpoint == "here"

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("{", "is not YAML"),
            ("[1]", "found list, wanted sections"),
            ('{"admin": 3}', "admin: found 3, wanted a section"),
            ('{"admin": {"endpoint": 3}}', "endpoint: found 3, wanted some text"),
        ],
    )
    def test_a_bad_file_is_an_error_that_names_it(self, tmp_path: Path, text: str, wanted: str) -> None:
        path = self.write(tmp_path, text)
        with pytest.raises(errors.SettingsError, match=wanted) as caught:
            volant.init_from_config(path)
        assert str(path) in str(caught.value)

    def test_without_pyyaml_the_error_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        with pytest.raises(errors.SettingsError, match="needs the package PyYAML") as caught:
            volant.init_from_config(self.write(tmp_path, "{}"))
        assert "pip install" in str(caught.value.hint)


def test_inline_runs_that_overlap_leave_the_interrupt_handler_as_it_was() -> None:
    def handler(_number: int, _frame: object) -> None:
        """The user's own."""

    async def overlapping() -> None:
        context = volant.with_runcontext(mode="inline")
        await asyncio.gather(context.run.aio(tasks.double, 1), context.run.aio(tasks.both, number=2))
        assert signal.getsignal(signal.SIGINT) is handler

    before = signal.signal(signal.SIGINT, handler)
    try:
        asyncio.run(overlapping())
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
