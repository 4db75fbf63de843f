"""Where settings come from, who wins, and what a mistake gets."""

from datetime import timedelta
from pathlib import Path

import pytest

from volant.model.errors import SettingsError
from volant.settings.loading import engine_environ, load_settings, located, submission_environ
from volant.settings.tree import Mode, QueueSettings, SourceKind


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def load(home: Path, project: Path, variables: dict[str, str] | None = None, **more):
    return load_settings(environ={"VOLANT_HOME": str(home), **(variables or {})}, start=project, **more)


def write_home(home: Path, text: str) -> None:
    (home / "config.toml").write_text(text)


def write_project(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text)


def test_without_any_source_everything_has_a_default(home: Path, project: Path) -> None:
    found = load(home, project)
    assert found.mode is Mode.LOCAL
    assert found.grace_period == timedelta(seconds=5)
    assert found.engine.linger == timedelta(seconds=300)
    assert found.capacity.processes == 512
    assert found.capacity.cpu >= 1
    assert found.capacity.memory > 0
    assert found.database is None
    assert {source.kind for name, source in found.sources.items() if name != "home"} == {SourceKind.DEFAULT}


def test_the_engine_lingers_shortly_where_ci_is_set(home: Path, project: Path) -> None:
    assert load(home, project, {"CI": "true"}).engine.linger == timedelta(seconds=10)


def test_each_source_wins_over_the_one_before(home: Path, project: Path) -> None:
    write_home(home, "grace_period = 1")
    assert load(home, project).grace_period == timedelta(seconds=1)
    write_project(project, "[tool.volant]\ngrace_period = 2")
    assert load(home, project).grace_period == timedelta(seconds=2)
    variables = {"VOLANT_GRACE_PERIOD": "3"}
    assert load(home, project, variables).grace_period == timedelta(seconds=3)
    arguments = {"grace_period": 4}
    assert load(home, project, variables, arguments=arguments).grace_period == timedelta(seconds=4)
    found = load(home, project, variables, arguments=arguments, flags={"grace_period": 5.5})
    assert found.grace_period == timedelta(seconds=5.5)


def test_every_value_knows_where_it_was_written(home: Path, project: Path) -> None:
    write_home(home, "[capacity]\ncpu = 1.5")
    write_project(project, '[tool.volant]\nblobs = "file:///tmp/x"')
    found = load(home, project, {"VOLANT_STRICT": "yes"}, arguments={"mode": "inline"}, arguments_place="here")
    places = {name: str(source) for name, source in found.sources.items()}
    assert places["capacity.cpu"] == str(home / "config.toml")
    assert places["blobs"] == f"[tool.volant] in {project / 'pyproject.toml'}"
    assert places["strict"] == "VOLANT_STRICT"
    assert places["mode"] == "here"
    assert places["home"] == "VOLANT_HOME"
    assert places["grace_period"] == "default"


def test_every_value_knows_what_it_overrode_the_strongest_first(home: Path, project: Path) -> None:
    write_home(home, "grace_period = 1")
    write_project(project, "[tool.volant]\ngrace_period = 2")
    found = load(home, project, {"VOLANT_GRACE_PERIOD": "3"}, flags={"grace_period": 4})
    overridden = [(written.value, str(located(written.source))) for written in found.overridden["grace_period"]]
    assert overridden == [
        (timedelta(seconds=3), "VOLANT_GRACE_PERIOD"),
        (timedelta(seconds=2), f"{project / 'pyproject.toml'}:2"),
        (timedelta(seconds=1), f"{home / 'config.toml'}:1"),
    ]
    assert str(found.sources["grace_period"]) == "--grace-period"
    assert "mode" not in found.overridden


def test_arguments_of_two_calls_are_told_apart(home: Path, project: Path) -> None:
    arguments = {"strict": True, "mode": "inline"}
    found = load(home, project, arguments=arguments, arguments_place={"strict": "volant.init", "mode": "elsewhere"})
    assert (str(found.sources["strict"]), str(found.sources["mode"])) == ("volant.init", "elsewhere")


def test_the_mode_of_the_environment_wins_over_the_one_in_a_program(home: Path, project: Path) -> None:
    found = load(home, project, {"VOLANT_MODE": "inline"}, arguments={"mode": "local"})
    assert found.mode is Mode.INLINE
    assert str(found.sources["mode"]) == "VOLANT_MODE"
    assert [str(written.source) for written in found.overridden["mode"]] == ["the program"]


def test_a_mode_on_the_command_line_wins_over_the_environment(home: Path, project: Path) -> None:
    assert load(home, project, {"VOLANT_MODE": "inline"}, flags={"mode": "local"}).mode is Mode.LOCAL


def test_a_mode_that_is_overruled_still_has_to_exist(home: Path, project: Path) -> None:
    with pytest.raises(SettingsError, match=r"the program: mode: found 'lokal', wanted one of local.*'local'\?"):
        load(home, project, {"VOLANT_MODE": "inline"}, arguments={"mode": "lokal"})


def test_the_nearest_project_file_counts(home: Path, project: Path) -> None:
    write_project(project, "[tool.volant]\nstrict = true")
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    assert load(home, inner).strict
    (project / "a" / "pyproject.toml").write_text("[project]\nname = 'nothing-of-ours'")
    assert not load(home, inner).strict


def test_a_current_folder_that_is_gone_has_no_project(
    home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    project.rmdir()
    assert load_settings(environ={"VOLANT_HOME": str(home)}).mode is Mode.LOCAL


def test_a_home_in_a_project_file_is_relative_to_that_file(project: Path) -> None:
    write_project(project, '[tool.volant]\nhome = ".runs"')
    inner = project / "deep"
    inner.mkdir()
    assert load_settings(environ={}, start=inner).home == (project / ".runs").resolve()


def test_a_broken_project_file_that_is_not_about_us_is_left_alone(home: Path, project: Path) -> None:
    write_project(project, "this is [no toml")
    assert load(home, project).mode is Mode.LOCAL


def test_an_engine_ignores_project_files(home: Path, project: Path) -> None:
    write_project(project, "[tool.volant]\nstrict = true")
    assert not load(home, project, use_project=False).strict


def test_a_home_cannot_name_another_home(home: Path, project: Path) -> None:
    write_home(home, 'home = "/elsewhere"')
    with pytest.raises(SettingsError, match=r"config\.toml:1: home cannot be set"):
        load(home, project)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"VOLANT_MODE": "remot"}, r"VOLANT_MODE: mode: found 'remot', wanted one of .*did you mean 'remote'"),
        ({"VOLANT_GRACE_PERIOD": "-1"}, r"VOLANT_GRACE_PERIOD: grace_period: found '-1', wanted seconds"),
        ({"VOLANT_GRACE_PERIOD": "nan"}, "wanted seconds"),
        ({"VOLANT_CAPACITY_CPU": "0"}, "capacity.cpu: found '0', wanted more than no core"),
        ({"VOLANT_CAPACITY_CPU": "many"}, "wanted a number of cores"),
        ({"VOLANT_CAPACITY_MEMORY": "2Xi"}, "wanted a size"),
        ({"VOLANT_CAPACITY_PROCESSES": "1.5"}, "wanted a whole number, at least 1"),
        ({"VOLANT_CAPACITY_PROCESSES": "9" * 5000}, "wanted a whole number, at least 1"),
        ({"VOLANT_CAPACITY_GPU": "1" + "0" * 30}, "wanted a whole number, at most 2147483647"),
        ({"VOLANT_CAPACITY_CPU": "1" + "0" * 30}, "wanted at most 2147483 cores"),
        ({"VOLANT_CAPACITY_MEMORY": "1" + "0" * 30}, "wanted less than 8Ei"),
        ({"VOLANT_STRICT": "perhaps"}, "wanted true or false"),
        ({"VOLANT_DATABASE": "plain"}, "wanted a URL"),
        ({"VOLANT_HOME": ""}, "home: found '', wanted a folder"),
        ({"VOLANT_HOME": "/tmp/caf\udce9"}, "VOLANT_HOME: home: found .*, wanted a folder whose path is UTF-8 text"),
        ({"VOLANT_QUEUES": "[1]"}, "VOLANT_QUEUES: found '\\[1\\]', wanted queues as JSON"),
        ({"VOLANT_QUEUES": '{"gpu": {"max_runing": 1}}'}, "queues.gpu: .*'max_runing' is neither.*'max_running'"),
        ({"VOLANT_HOEM": "x"}, "VOLANT_HOEM is not a setting; did you mean 'VOLANT_HOME'"),
        ({"VOLANT_CAPACITY_CORES": "2"}, "VOLANT_CAPACITY_CORES is not a setting"),
        ({"VOLANT_QUEUE": "{}"}, "VOLANT_QUEUE is not a setting; did you mean 'VOLANT_QUEUES'"),
        ({"VOLANT_QUEUES_GPU": "2"}, "VOLANT_QUEUES_GPU is not a setting"),
        ({"VOLANT_ENGINE_LINGERS": "2"}, "did you mean 'VOLANT_ENGINE_LINGER'"),
    ],
)
def test_a_bad_variable_is_an_error_that_names_it(
    home: Path, project: Path, variables: dict[str, str], wanted: str
) -> None:
    with pytest.raises(SettingsError, match=wanted):
        load(home, project, variables)


@pytest.mark.parametrize("name", ["VOLANT_PORT", "VOLANT_SERVICE_HOST", "VOLANT_PORT_80_TCP", "VOLANT_SECRETS_DIR"])
def test_variables_of_others_are_left_alone(home: Path, project: Path, name: str) -> None:
    assert load(home, project, {name: "tcp://10.0.0.1:80"}).mode is Mode.LOCAL


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mod = 'local'", r"config\.toml:1: there is no setting 'mod'; did you mean 'mode'"),
        ("[engine]\nlingr = 3", r"there is no setting 'engine\.lingr'; did you mean 'engine\.linger'"),
        ("capacity = 3", r"config\.toml:1: capacity: found 3, wanted a table such as \[capacity\]"),
        ("memory = '1Gi'", r"config\.toml:1: there is no setting 'memory'; did you mean 'capacity\.memory'"),
        ("[queues.gpu]\nmax_running = 0", "queues.gpu: found .*at least 1"),
        ("[queues.'a b']\npriority = 1", "'a b' is not a queue's name"),
        ("mode = [1]", r"mode: found \[1\], wanted one of"),
        ("strict = true\nmode = ", r"config\.toml:2:8 is not TOML: invalid value"),
        ("mode = 'local", r"config\.toml:1:14 is not TOML: "),
        ("# a\n\n[capacity]\nprocesses = 4\ncpu = 0", r"config\.toml:5: capacity\.cpu: found 0, wanted"),
    ],
)
def test_a_bad_file_is_an_error_that_names_it(home: Path, project: Path, text: str, wanted: str) -> None:
    write_home(home, text)
    with pytest.raises(SettingsError, match=wanted) as caught:
        load(home, project)
    assert str(home / "config.toml") in str(caught.value)


def test_an_unknown_argument_is_an_error(home: Path, project: Path) -> None:
    with pytest.raises(SettingsError, match="there is no setting 'colour'"):
        load(home, project, arguments={"colour": "red"})


def test_queues_of_all_sources_are_there(home: Path, project: Path) -> None:
    write_home(home, "[queues.gpu]\nmax_running = 1\n[queues.slow]\npriority = -5")
    write_project(project, "[tool.volant.queues.gpu]\nmax_running = 4")
    found = load(home, project)
    assert found.queues == {"gpu": QueueSettings(max_running=4), "slow": QueueSettings(priority=-5)}
    assert found.sources["queues.slow"].kind is SourceKind.HOME


def test_what_a_project_says_reaches_the_engine_that_its_client_starts(home: Path, project: Path) -> None:
    write_project(
        project,
        """[tool.volant]
        mode = "inline"
        database = "sqlite:///x"
        strict = true
        [tool.volant.capacity]
        cpu = "1500m"
        memory = "1Gi"
        [tool.volant.engine]
        linger = "2min"
        [tool.volant.queues.gpu]
        max_running = 2
        """,
    )
    client = load(home, project)
    environ = engine_environ(client, {"VOLANT_HOME": str(home)})
    engine = load_settings(environ=environ, use_project=False)
    assert engine.capacity.cpu == 1500
    assert engine.capacity.memory == 2**30
    assert engine.engine.linger == timedelta(minutes=2)
    assert engine.strict
    assert engine.database == "sqlite:///x"
    assert engine.queues == {"gpu": QueueSettings(max_running=2)}
    assert engine.mode is Mode.LOCAL  # the client's business


def test_defaults_do_not_become_variables_of_the_engine(home: Path, project: Path) -> None:
    environ = {"VOLANT_HOME": str(home), "OTHER": "x"}
    assert engine_environ(load(home, project), environ) == environ


def test_variables_that_are_no_text_are_not_submitted() -> None:
    assert submission_environ({"GOOD": "ä", "BAD": "\udcff", "\udcfe": "x"}) == {"GOOD": "ä"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("0", 0), ("0.25", 0.25), ("30s", 30), ("250ms", 0.25), ("2min", 120), ("2m", 120), ("1h", 3600)],
)
def test_durations_have_units(home: Path, project: Path, text: str, seconds: float) -> None:
    assert load(home, project, {"VOLANT_GRACE_PERIOD": text}).grace_period == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[capacity]\ncpu = 0", 2),
        ("capacity.cpu = 0", 1),
        ("# cpu = 0\n\ncapacity = { memory = '1Gi', cpu = 0 }", 3),
        ("[queues.cpu]\nmax_running = 1\n[capacity]\n'cpu' = 0", 4),
        ("database = '''x:\ncpu = 1\n[capacity]\ncpu = 1\n'''\n[capacity]\n\"cpu\" = 0", 7),
    ],
)
def test_a_value_is_found_on_its_line_however_it_is_spelt(home: Path, project: Path, text: str, line: int) -> None:
    write_home(home, text)
    with pytest.raises(SettingsError, match=rf"config\.toml:{line}: capacity\.cpu: found 0"):
        load(home, project)


def test_a_file_that_is_no_text_is_an_error(home: Path, project: Path) -> None:
    (home / "config.toml").write_bytes(b"mode = '\xff'")
    with pytest.raises(SettingsError, match=r"config\.toml is not TOML: byte 8 is not UTF-8"):
        load(home, project)


def test_a_file_that_cannot_be_read_is_an_error(home: Path, project: Path) -> None:
    (home / "config.toml").mkdir()
    with pytest.raises(SettingsError, match=r"config\.toml cannot be read: Is a directory"):
        load(home, project)


def test_a_refused_url_does_not_show_its_password(home: Path, project: Path) -> None:
    with pytest.raises(SettingsError, match=r"found '//me:\*\*\*@host/name', wanted a URL") as caught:
        load(home, project, {"VOLANT_DATABASE": "//me:hunter2@host/name"})
    assert "hunter2" not in str(caught.value)


def test_a_number_in_a_file_that_no_float_holds_is_an_error_that_names_it(home: Path, project: Path) -> None:
    write_home(home, "grace_period = 1" + "0" * 400)
    with pytest.raises(SettingsError, match=r"config\.toml:1: grace_period: found 10+, wanted seconds"):
        load(home, project)


def test_a_relative_home_in_a_folder_that_is_gone_is_an_error(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsError, match="wanted a folder with an absolute path: the current folder does not exist"):
        load_settings(environ={"VOLANT_HOME": "near"}, use_project=False)
