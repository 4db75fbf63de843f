"""What a TaskEnvironment accepts, what it refuses, and what its methods make of it."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from volant.authoring.caching import Cache
from volant.authoring.environment import TaskEnvironment
from volant.authoring.images import Image
from volant.authoring.plugins import default_plugins, register_plugin
from volant.authoring.pods import PodTemplate
from volant.authoring.resources import Resources
from volant.authoring.reuse import ReusePolicy
from volant.authoring.secrets import Secret
from volant.authoring.task import AsyncTask, SyncTask
from volant.model.errors import DefinitionError, DefinitionTypeError, NotSupportedError, UnknownParameterError


class Cluster:
    """A configuration of a test's plugin."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers


class WarmCluster(Cluster):
    """One whose plugin allows warm workers."""


class ClusterPlugin:
    def __init__(self, name: str, allows_reuse: bool) -> None:
        self.name = name
        self.allows_reuse = allows_reuse

    def to_json(self, config: Cluster) -> str:
        return f'{{"workers": {config.workers}}}'


@pytest.fixture
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_plugins, "_plugins", {})
    register_plugin(Cluster, ClusterPlugin("cluster", allows_reuse=False))
    register_plugin(WarmCluster, ClusterPlugin("warm", allows_reuse=True))


@pytest.mark.parametrize("name", ["a", "my_env", "my-env", "env2", "e2-3nv", "a_b-c", "2024-report", "3d_models", "1"])
def test_a_name_is_snake_or_kebab_case(name: str) -> None:
    assert TaskEnvironment(name).name == name
    assert TaskEnvironment(name=f"{name}-x").name == f"{name}-x"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("MyEnv", "my_env"),
        ("my env", "my_env"),
        ("a__b", "a_b"),
        ("_a", "a"),
        ("a-", "a"),
        ("a.b", "a_b"),
        ("é", "my_env"),
        ("", "my_env"),
        ("a\n", "a"),
        ("1A", "1_a"),
    ],
)
def test_another_name_is_refused_with_one_that_would_do(name: str, suggestion: str) -> None:
    with pytest.raises(
        DefinitionError, match=re.escape(f"TaskEnvironment: name is {name!r}, expected lower-case")
    ) as caught:
        TaskEnvironment(name)
    assert caught.value.hint == f"for example '{suggestion}'"


def test_the_name_is_a_str() -> None:
    with pytest.raises(DefinitionTypeError, match=r"name is 3 \(int\), expected a str"):
        TaskEnvironment(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("image", "ghcr.io/acme/tools:1.2@sha256:abc", "ghcr.io/acme/tools:1.2@sha256:abc"),
        ("image", "auto", "auto"),
        ("image", None, "auto"),
        ("image", Image.from_debian_base(), Image.from_debian_base()),
        ("resources", Resources(cpu=1), Resources(cpu=1)),
        ("env_vars", {"A": "1", "_b.c-d": ""}, {"A": "1", "_b.c-d": ""}),
        ("env_vars", {}, {}),
        ("secrets", "key", (Secret("key"),)),
        ("secrets", Secret("key"), (Secret("key"),)),
        ("secrets", ["a", Secret("b")], (Secret("a"), Secret("b"))),
        ("secrets", [], ()),
        ("description", "x" * 255, "x" * 255),
        ("pod_template", "gpu-pod", "gpu-pod"),
        ("pod_template", PodTemplate(), PodTemplate()),
        ("interruptible", True, True),
        ("include", [], ()),
        ("cache", "auto", Cache("auto")),
        ("cache", "override", Cache("override")),
        ("cache", None, Cache("disable")),
        ("cache", Cache("auto", salt="x"), Cache("auto", salt="x")),
        ("reusable", ReusePolicy(), ReusePolicy()),
        ("reusable", "off", "off"),
        ("queue", "gpu", "gpu"),
    ],
)
def test_what_is_given_is_an_attribute(name: str, value: Any, kept: Any) -> None:
    assert getattr(TaskEnvironment("env", **{name: value}), name) == kept


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("image", 3, DefinitionTypeError, r"image is 3 \(int\), expected an Image, an image reference or 'auto'"),
        ("image", "", DefinitionError, "image is '', expected a str that is not empty"),
        ("image", "a b", DefinitionError, "image is 'a b', expected an image reference such as"),
        ("resources", "1", DefinitionTypeError, r"resources is '1' \(str\), expected Resources\(...\)"),
        ("resources", {"cpu": 1}, DefinitionTypeError, r"resources is {'cpu': 1} \(dict\), expected Resources"),
        ("env_vars", [("A", "1")], DefinitionTypeError, r"env_vars is \[.*\] \(list\), expected a dict\[str, str\]"),
        ("env_vars", {"A": 1}, DefinitionTypeError, r"env_vars\['A'\] is 1 \(int\), expected a str"),
        ("env_vars", {1: "a"}, DefinitionTypeError, r"a name in env_vars is 1 \(int\), expected a str"),
        ("env_vars", {"": "a"}, DefinitionError, "a name in env_vars is '', expected a str that is not empty"),
        ("env_vars", {"A=B": "a"}, DefinitionError, "a name in env_vars is 'A=B', expected the name of an environment"),
        ("env_vars", {"A": "\0"}, DefinitionError, r"env_vars\['A'\] is '\\x00', expected a str without null"),
        ("secrets", 3, DefinitionTypeError, r"secrets is 3 \(int\), expected a str, a Secret, or a list of them"),
        ("secrets", ["a", 3], DefinitionTypeError, r"secrets\[1\] is 3 \(int\), expected a str or a Secret"),
        ("depends_on", "env", DefinitionTypeError, r"depends_on is 'env' \(str\), expected a list of environments"),
        ("depends_on", ["env"], DefinitionTypeError, r"depends_on\[0\] is 'env' \(str\), expected a TaskEnvironment"),
        ("description", "x" * 256, DefinitionError, "description has 256 characters, expected at most 255"),
        ("description", 3, DefinitionTypeError, r"description is 3 \(int\), expected a str"),
        (
            "pod_template",
            {},
            DefinitionTypeError,
            "pod_template is {} .*, expected the name of a template or a PodTempl",
        ),
        ("interruptible", 1, DefinitionTypeError, r"interruptible is 1 \(int\), expected True or False"),
        ("include", "*.txt", DefinitionTypeError, r"include is '\*.txt' \(str\), expected a sequence of str, such as"),
        ("include", [3], DefinitionTypeError, r"include\[0\] is 3 \(int\), expected a str"),
        ("include", ["no-such-*"], DefinitionError, r"include is 'no-such-\*', expected a path or glob that matches"),
        ("cache", "yes", DefinitionError, "cache is 'yes', expected 'auto' or 'override' or 'disable'"),
        (
            "cache",
            True,
            DefinitionTypeError,
            r"cache is True \(bool\), expected 'auto', 'override', 'disable' or a Cache",
        ),
        ("reusable", True, DefinitionTypeError, r"reusable is True \(bool\), expected a ReusePolicy, or 'off'"),
        ("plugin_config", object(), DefinitionTypeError, "expected an instance of a registered type; there are: "),
        ("queue", 3, DefinitionTypeError, r"queue is 3 \(int\), expected a str"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name: str, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"TaskEnvironment 'env': .*{message}"):
        TaskEnvironment("env", **{name: value})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imgae", "TaskEnvironment has no parameter 'imgae'; did you mean 'image'"),
        ("retries", r"retries is set on @env.task and override\(\), TaskEnvironment does not accept it"),
        ("timeout", r"timeout is set on @env.task and override\(\)"),
        ("report", "report is set on @env.task, TaskEnvironment does not accept it"),
        ("triggers", "triggers is set on @env.task"),
        ("docs", "docs is set on @env.task"),
        ("entrypoint", "entrypoint is set on @env.task"),
    ],
)
def test_a_parameter_of_another_level_is_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(UnknownParameterError, match=message):
        TaskEnvironment("env", **{name: 1})


def test_a_refused_environment_leaves_its_name_free() -> None:
    with pytest.raises(DefinitionError):
        TaskEnvironment("env", queue=3)  # type: ignore[arg-type]
    assert TaskEnvironment("env").name == "env"


def test_included_files_are_looked_up_beside_the_declaring_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    env = TaskEnvironment("env", include=["test_env*.py", "../authoring/conftest.py"])
    assert env.include == ("test_env*.py", "../authoring/conftest.py")
    assert os.path.samefile(env.include_folder, Path(__file__).parent)


def test_dependencies_may_be_cyclic_and_count_once(env: TaskEnvironment) -> None:
    other = TaskEnvironment("other", depends_on=[env, env])
    env.add_dependency(other, other)
    env.add_dependency(other)
    assert other.depends_on == (env,)
    assert env.depends_on == (other,)


def test_an_environment_cannot_depend_on_itself(env: TaskEnvironment) -> None:
    with pytest.raises(DefinitionError, match="'env': depends_on holds the environment itself"):
        env.add_dependency(env)
    with pytest.raises(DefinitionTypeError, match=r"depends_on\[1\] is 'x' \(str\), expected a TaskEnvironment"):
        env.add_dependency(TaskEnvironment("other"), "x")  # type: ignore[arg-type]
    assert env.depends_on == ()


def test_tasks_are_listed_by_full_name(env: TaskEnvironment) -> None:
    @env.task
    async def one() -> None: ...

    @env.task(short_name="zwei")
    def two() -> None: ...

    assert dict(env.tasks) == {"env.one": one, "env.two": two}
    assert isinstance(one, AsyncTask)
    assert isinstance(two, SyncTask)
    with pytest.raises(TypeError):
        env.tasks["env.three"] = two  # type: ignore[index]


def test_a_clone_takes_every_parameter_and_no_tasks(env: TaskEnvironment) -> None:
    @env.task
    async def one() -> None: ...

    changes: dict[str, Any] = {
        "image": "acme/tools",
        "resources": Resources(cpu=2),
        "env_vars": {"A": "1"},
        "secrets": "key",
        "depends_on": [env],
        "description": "A clone.",
        "pod_template": "pod",
        "interruptible": True,
        "include": ["conftest.py"],
        "cache": "auto",
        "reusable": ReusePolicy(),
        "queue": "gpu",
    }
    clone = env.clone_with("clone", **changes)
    assert dict(clone.tasks) == {}
    assert clone.description == "A clone."
    again = clone.clone_with("again")
    kept = {name: getattr(clone, name) for name in changes}
    assert {name: getattr(again, name) for name in changes} == kept
    assert again.include_folder == clone.include_folder


def test_a_clone_keeps_what_is_not_given_and_clears_what_is_given_empty() -> None:
    env = TaskEnvironment(
        "env",
        env_vars={"A": "1"},
        secrets="key",
        queue="gpu",
        interruptible=True,
        depends_on=[TaskEnvironment("other")],
        description="x",
        reusable=ReusePolicy(),
        include=["conftest.py"],
    )
    same = env.clone_with("same", env_vars=None, queue=None)
    assert (same.env_vars, same.queue, same.interruptible) == ({"A": "1"}, "gpu", True)
    empty = env.clone_with(
        "empty",
        env_vars={},
        secrets=[],
        queue="",
        interruptible=False,
        depends_on=[],
        description="",
        reusable="off",
        include=[],
    )
    assert (empty.env_vars, empty.secrets, empty.queue, empty.interruptible) == ({}, (), "", False)
    assert (empty.depends_on, empty.description, empty.reusable, empty.include) == ((), "", "off", ())


def test_a_clone_shares_nothing_with_the_original(env: TaskEnvironment) -> None:
    env.env_vars = {"A": "1"}
    clone = env.clone_with("clone")
    env.env_vars = {"A": "2"}
    env.add_dependency(TaskEnvironment("other"))
    assert clone.env_vars == {"A": "1"}
    assert clone.depends_on == ()
    with pytest.raises(TypeError):
        clone.env_vars["B"] = "3"  # type: ignore[index]


def test_a_clone_refuses_what_the_constructor_refuses(env: TaskEnvironment) -> None:
    with pytest.raises(UnknownParameterError, match="no parameter 'resource'; did you mean 'resources'"):
        env.clone_with("clone", resource=1)  # type: ignore[call-arg]
    with pytest.raises(DefinitionTypeError, match="'clone': queue is 3"):
        env.clone_with("clone", queue=3)  # type: ignore[arg-type]


def test_an_attribute_can_be_assigned_and_is_checked(env: TaskEnvironment) -> None:
    env.resources = Resources(cpu=2)
    assert env.resources == Resources(cpu=2)
    with pytest.raises(DefinitionTypeError, match=r"'env': resources is 3 \(int\), expected Resources"):
        env.resources = 3  # type: ignore[assignment]
    assert env.resources == Resources(cpu=2)
    env.resources = None
    assert env.resources is None
    with pytest.raises(AttributeError):
        env.resource = Resources(cpu=2)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        env.name = "other"  # type: ignore[misc]


@pytest.mark.usefixtures("_plugins")
def test_a_plugin_and_warm_workers_exclude_each_other_unless_the_plugin_allows_it() -> None:
    message = "reusable and plugin_config are both set, expected one of them: the plugin 'cluster'"
    with pytest.raises(DefinitionError, match=message):
        TaskEnvironment("env", plugin_config=Cluster(), reusable=ReusePolicy())
    env = TaskEnvironment("env", plugin_config=Cluster())
    with pytest.raises(DefinitionError, match=message):
        env.reusable = ReusePolicy()

    @env.task
    async def job() -> None: ...

    with pytest.raises(DefinitionError, match=message):
        job.override(reusable=ReusePolicy())
    assert env.reusable is None
    assert TaskEnvironment("warm", plugin_config=WarmCluster(), reusable=ReusePolicy()).reusable == ReusePolicy()
    spec = job.spec()
    assert (spec.plugin, spec.plugin_config) == ("cluster", '{"workers": 1}')


@pytest.mark.usefixtures("_plugins")
def test_a_type_of_configuration_has_one_plugin() -> None:
    register_plugin(Cluster, ClusterPlugin("reloaded", allows_reuse=False))
    with pytest.raises(DefinitionTypeError, match=r"config_type is 3 \(int\), expected a class"):
        register_plugin(3, ClusterPlugin("x", allows_reuse=True))  # type: ignore[arg-type]
    with pytest.raises(DefinitionTypeError, match=r"plugin is 'x' .*, expected an object with name, allows_reuse"):
        register_plugin(int, "x")  # type: ignore[arg-type]

    class Other(ClusterPlugin): ...

    with pytest.raises(DefinitionError, match="Cluster is served by 'reloaded', not by 'other'"):
        register_plugin(Cluster, Other("other", allows_reuse=False))


def test_the_sandbox_says_that_it_is_not_there_yet(env: TaskEnvironment) -> None:
    with pytest.raises(NotSupportedError, match="'env': sandboxed tasks are not available"):

        @env.sandbox.task
        def one() -> None: ...

    with pytest.raises(NotSupportedError):
        env.sandbox.orchestrator(lambda: None)


def _plain(x: int) -> int:
    return x


async def _other(x: int) -> int:
    return x


def test_tasks_without_an_environment_get_one() -> None:
    image = Image.from_debian_base()
    tasks = SyncTask(_plain, image=image), AsyncTask(_other, image=Image.from_debian_base())
    with pytest.raises(DefinitionError, match="task '_plain' belongs to no environment"):
        tasks[0].spec()
    before = TaskEnvironment("before")
    env = TaskEnvironment.from_task("made", *tasks, depends_on=[before])
    assert dict(env.tasks) == {"made._plain": tasks[0], "made._other": tasks[1]}
    assert env.image == image
    assert env.depends_on == (before,)
    assert tasks[0].spec().task == "made._plain"
    assert TaskEnvironment.from_task("plain", SyncTask(_plain)).image == "auto"


def test_tasks_of_different_images_or_of_an_environment_are_refused(env: TaskEnvironment) -> None:
    one, two = SyncTask(_plain, image="acme/one"), AsyncTask(_other, image="acme/two")
    with pytest.raises(ValueError, match="'_other' has the image 'acme/two', expected that of '_plain': 'acme/one'"):
        TaskEnvironment.from_task("made", one, two)

    @env.task
    def owned() -> None: ...

    with pytest.raises(ValueError, match=r"<task env.owned> belongs to TaskEnvironment 'env', expected a task without"):
        TaskEnvironment.from_task("made", owned)
    with pytest.raises(
        DefinitionTypeError, match=r"tasks\[0\] is <function _plain> .*, expected a task without an environ"
    ):
        TaskEnvironment.from_task("made", _plain)  # type: ignore[arg-type]
