"""The three levels: what each accepts, which wins, and what the merged spec says."""

import sys
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.authoring.caching import Cache
from volant.authoring.documentation import Documentation
from volant.authoring.environment import TaskEnvironment
from volant.authoring.images import Image
from volant.authoring.links import URLLink
from volant.authoring.parameters import PARAMETERS, Level
from volant.authoring.pods import PodTemplate
from volant.authoring.registry import default_registry
from volant.authoring.resources import GPU, Resources
from volant.authoring.retries import Backoff, RetryStrategy
from volant.authoring.reuse import ReusePolicy
from volant.authoring.secrets import Secret
from volant.authoring.timeouts import Timeout
from volant.authoring.triggers import FixedRate, Trigger, TriggerTime
from volant.model.errors import DefinitionError, NotSupportedError, UnknownParameterError
from volant.model.specs import (
    BackoffSpec,
    CacheMode,
    CacheSpec,
    ImageSpec,
    LinkSpec,
    ResourceSpec,
    RetrySpec,
    ReuseSpec,
    TimeoutSpec,
)

REFERENCE = {
    "name": "E",
    "image": "E",
    "depends_on": "E",
    "description": "E",
    "plugin_config": "E",
    "include": "E",
    "resources": "EO",
    "env_vars": "EO",
    "secrets": "EO",
    "reusable": "EO",
    "cache": "ETO",
    "pod_template": "ETO",
    "interruptible": "ETO",
    "queue": "ETO",
    "short_name": "TO",
    "retries": "TO",
    "timeout": "TO",
    "max_inline_io_bytes": "TO",
    "links": "TO",
    "report": "T",
    "triggers": "T",
    "docs": "T",
    "task_resolver": "T",
    "entrypoint": "T",
}
LEVELS = {"E": Level.ENVIRONMENT, "T": Level.TASK, "O": Level.OVERRIDE}


def test_every_parameter_is_accepted_where_the_reference_says() -> None:
    assert {name: tuple(LEVELS[each] for each in levels) for name, levels in REFERENCE.items()} == PARAMETERS


@pytest.mark.parametrize("name", [name for name, levels in REFERENCE.items() if "T" not in levels])
def test_the_decorator_names_the_level_that_accepts_a_parameter(env: TaskEnvironment, name: str) -> None:
    accepting = " and ".join(PARAMETERS[name])
    with pytest.raises(UnknownParameterError) as caught:
        env.task(**{name: 1})  # type: ignore[call-overload]
    assert f"{name} is set on {accepting}, @env.task does not accept it" in str(caught.value)


@pytest.mark.parametrize("name", [name for name, levels in REFERENCE.items() if "O" not in levels])
def test_override_names_the_level_that_accepts_a_parameter(env: TaskEnvironment, name: str) -> None:
    @env.task
    def job() -> None: ...

    accepting = " and ".join(PARAMETERS[name])
    with pytest.raises(UnknownParameterError) as caught:
        job.override(**{name: 1})  # type: ignore[arg-type]
    message = f"task 'env.job'.override(): {name} is set on {accepting}, override() does not accept it"
    assert str(caught.value) == message


def test_an_unknown_keyword_names_the_nearest(env: TaskEnvironment) -> None:
    with pytest.raises(UnknownParameterError, match="has no parameter 'retrys'; did you mean 'retries'"):
        env.task(retrys=1)  # type: ignore[call-overload]

    @env.task
    def job() -> None: ...

    with pytest.raises(UnknownParameterError, match="has no parameter 'resource'; did you mean 'resources'"):
        job.override(resource=1)  # type: ignore[call-arg]
    with pytest.raises(UnknownParameterError, match=r"has no parameter 'zzz'\n") as caught:
        job.override(zzz=1)  # type: ignore[call-arg]
    assert str(caught.value.hint).startswith("the parameters are resources, env_vars, ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("short_name", "", "short_name is '', expected a str that is not empty"),
        ("short_name", 3, "short_name is 3 (int), expected a str"),
        ("cache", "yes", "cache is 'yes', expected 'auto' or 'override' or 'disable'"),
        ("retries", -1, "retries is -1, expected an int, 0 or more"),
        ("retries", 1.5, "retries is 1.5 (float), expected an int, 0 or more, or a RetryStrategy"),
        ("retries", True, "retries is True (bool), expected an int, 0 or more, or a RetryStrategy"),
        ("timeout", -1, "timeout is -1, expected seconds or a timedelta, 0 or more, or a Timeout"),
        ("timeout", float("nan"), "timeout is nan, expected seconds"),
        ("timeout", float("inf"), "timeout is inf, expected seconds"),
        ("timeout", timedelta(seconds=-1), "timeout is timedelta(seconds=-1), expected seconds"),
        ("timeout", "5m", "timeout is '5m' (str), expected seconds or a timedelta, 0 or more, or a Timeout"),
        ("timeout", 1e-9, "timeout is 1e-09, expected seconds"),
        ("docs", "text", "docs is 'text' (str), expected Documentation(...)"),
        ("pod_template", 3, "pod_template is 3 (int), expected the name of a template or a PodTemplate"),
        ("report", 1, "report is 1 (int), expected True or False"),
        ("interruptible", "no", "interruptible is 'no' (str), expected True or False"),
        ("max_inline_io_bytes", 0, "max_inline_io_bytes is 0, expected an int, 1 or more"),
        ("max_inline_io_bytes", "1Mi", "max_inline_io_bytes is '1Mi' (str), expected an int, 1 or more"),
        ("queue", 3, "queue is 3 (int), expected a str"),
        ("triggers", "daily", "triggers is 'daily' (str), expected a Trigger or a tuple of them"),
        ("triggers", (1,), "triggers[0] is 1 (int), expected a Trigger"),
        ("triggers", (Trigger.daily(), Trigger.daily()), "triggers[1].name is 'daily', expected a name that no other"),
        ("links", 3, "links is 3 (int), expected a Link or a sequence of them"),
        ("task_resolver", 3, "task_resolver is 3 (int), expected an object with loader_args(task) and load_task"),
        ("entrypoint", 1, "entrypoint is 1 (int), expected True or False"),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_the_decorator(
    env: TaskEnvironment, name: str, value: Any, message: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        env.task(**{name: value})  # type: ignore[call-overload]
    assert f"@env.task of TaskEnvironment 'env': {message}" in str(caught.value)
    if "O" in REFERENCE[name]:

        @env.task
        def job() -> None: ...

        with pytest.raises(DefinitionError) as caught:
            job.override(**{name: value})
        assert f"task 'env.job'.override(): {message}" in str(caught.value)


def test_without_settings_a_spec_has_the_defaults(env: TaskEnvironment) -> None:
    @env.task
    async def job(n: int = 1) -> int:
        """Say what it does.

        And more.
        """
        return n

    spec = job.spec()
    assert (spec.task, spec.short_name, spec.environment, spec.is_async) == ("env.job", "job", "env", True)
    assert spec.resources == ResourceSpec(cpu=1000)
    assert spec.retries == RetrySpec(count=0)
    assert spec.timeout == TimeoutSpec()
    assert spec.cache == CacheSpec(mode=CacheMode.DISABLE)
    assert spec.image == ImageSpec()
    assert spec.max_inline_io_bytes == 10 * 1024 * 1024
    assert spec.description == "Say what it does.\n\nAnd more."
    assert (spec.env_vars, spec.secrets, spec.links, spec.not_enforced) == ((), (), (), ())
    assert (spec.queue, spec.reusable, spec.pod_template, spec.plugin) == (None, None, None, None)
    assert (spec.interruptible, spec.report, spec.entrypoint) == (False, False, False)


def test_a_spec_says_all_that_was_given() -> None:
    env = TaskEnvironment(
        "env",
        resources=Resources(cpu=(1, 2), memory=("1Gi", "2Gi"), gpu=GPU("A100", 2, "1g.5gb"), disk="3Gi", shm="auto"),
        env_vars={"B": "2", "A": "1"},
        image=Image.from_debian_base().with_env_vars({"A": "0", "C": "x=y"}),
        reusable=ReusePolicy((1, 3), concurrency=4, idle_ttl=5, scope="run"),
    )

    @env.task(
        retries=RetryStrategy(3, backoff=Backoff(1, factor=2, cap=60)),
        timeout=Timeout(max_runtime=1, max_queued_time=2, deadline=3),
        cache=Cache("override", version_override="7", ignored_inputs="n", salt="s", max_age=60),
        docs=Documentation("Documented."),
        pod_template=PodTemplate(labels={"a": "b"}),
        report=True,
        interruptible=True,
        max_inline_io_bytes=5,
        queue="gpu",
        triggers=Trigger("t", FixedRate(5), inputs={"n": TriggerTime}),
        links=URLLink("logs", "https://logs/{run_name}"),
        entrypoint=True,
        short_name="short",
    )
    async def job(n: int) -> int:
        return n

    spec = job.spec()
    gib, second = 2**30, timedelta(seconds=1)
    assert spec.resources == ResourceSpec(
        cpu=1000,
        cpu_limit=2000,
        memory=gib,
        memory_limit=2 * gib,
        gpu=2,
        gpu_device="A100",
        gpu_partition="1g.5gb",
        disk=3 * gib,
        shm_auto=True,
    )
    assert spec.env_vars == (("A", "1"), ("B", "2"), ("C", "x=y"))
    assert spec.retries == RetrySpec(count=3, backoff=BackoffSpec(base=second, factor=2.0, cap=60 * second))
    assert spec.timeout == TimeoutSpec(max_runtime=second, max_queued_time=2 * second, deadline=3 * second)
    assert spec.cache == CacheSpec(
        mode=CacheMode.OVERRIDE, version="7", ignored_inputs=("n",), salt="s", max_age=60 * second
    )
    assert spec.reusable == ReuseSpec(min_replicas=1, max_replicas=3, concurrency=4, idle_ttl=5 * second, scope="run")
    assert spec.links == (LinkSpec(name="logs", uri="https://logs/{run_name}"),)
    assert spec.pod_template == PodTemplate(labels={"a": "b"}).to_json()
    assert (spec.description, spec.short_name, spec.queue) == ("Documented.", "short", "gpu")
    assert (spec.report, spec.interruptible, spec.entrypoint, spec.max_inline_io_bytes) == (True, True, True, 5)
    assert spec.not_enforced == (
        "cache",
        "timeout",
        "resources.cpu (its limit)",
        "resources.memory (its limit)",
        "resources.gpu (which devices)",
        "resources.disk",
        "resources.shm",
        "reusable",
        "pod_template",
        "interruptible",
        "queue",
        "report",
        "links",
        "triggers",
    )


def test_what_has_no_effect_anyway_is_not_reported(env: TaskEnvironment) -> None:
    @env.task(timeout=0, cache="disable", interruptible=False, links=(), triggers=(), queue="", report=False)
    def job() -> None: ...

    assert job.override(reusable="off", pod_template="", resources=Resources(cpu=2)).spec().not_enforced == ()


FLAGS = st.sampled_from([None, False, True])


@given(FLAGS, FLAGS, FLAGS)
def test_the_most_specific_level_that_says_something_wins(
    environment: bool | None, task: bool | None, override: bool | None
) -> None:
    with default_registry.isolated():
        env = TaskEnvironment("env", interruptible=environment)

        @env.task(interruptible=task)
        def job() -> None: ...

        found = job.override(interruptible=override).spec().interruptible
    said = [value for value in (override, task, environment) if value is not None]
    assert found is (said[0] if said else False)


def test_falsy_values_count_and_empty_ones_clear() -> None:
    env = TaskEnvironment("env", env_vars={"A": "1"}, cache="auto", queue="gpu", pod_template="pod")

    @env.task(retries=3, timeout=5, links=URLLink("a", "https://a"), cache="auto")
    def job() -> None: ...

    kept = job.override(retries=None, timeout=None, links=None, cache=None, env_vars=None, queue=None).spec()
    assert kept == job.spec()
    found = job.override(
        retries=0, timeout=0, links=(), cache="disable", env_vars={}, queue="", pod_template="", secrets=[]
    ).spec()
    assert (found.retries.count, found.timeout, found.links) == (0, TimeoutSpec(), ())
    assert (found.cache.mode, found.env_vars, found.queue, found.pod_template) == (CacheMode.DISABLE, (), None, None)


def test_override_returns_another_task_and_leaves_this_one(env: TaskEnvironment) -> None:
    @env.task(retries=1)
    def job() -> None: ...

    before = job.spec()
    changed = job.override(retries=5, short_name="other")
    assert changed is not job
    assert type(changed) is type(job)
    assert changed.root is job
    assert (changed.name, changed.short_name) == ("env.job", "other")
    assert changed.spec().retries.count == 5
    assert job.spec() is before
    assert env.tasks["env.job"] is job


def test_overrides_add_up_and_the_last_wins(env: TaskEnvironment) -> None:
    @env.task
    def job() -> None: ...

    found = job.override(retries=1, short_name="a").override(retries=2).override(queue="gpu").spec()
    assert (found.retries.count, found.short_name, found.queue) == (2, "a", "gpu")
    assert job.override(env_vars={"A": "1"}).override(env_vars={"B": "2"}).spec().env_vars == (("B", "2"),)


def test_a_refused_override_leaves_nothing_behind(env: TaskEnvironment) -> None:
    @env.task
    def job() -> None: ...

    with pytest.raises(DefinitionError):
        job.override(short_name="other", retries=-1)
    assert job.short_name == "job"


def test_the_environment_is_read_when_the_task_is_called(env: TaskEnvironment) -> None:
    @env.task
    def job() -> None: ...

    changed = job.override(retries=1)
    assert job.spec().env_vars == ()
    env.env_vars = {"A": "1"}
    assert job.spec().env_vars == changed.spec().env_vars == (("A", "1"),)
    env.env_vars = None  # type: ignore[assignment]
    assert job.spec().env_vars == ()


def test_a_spec_is_the_same_object_until_something_changes() -> None:
    def visible() -> None: ...

    visible.__qualname__ = visible.__name__
    env = TaskEnvironment("env")
    job = env.task(visible)
    sys.modules[__name__].__dict__["visible"] = job
    try:
        first = job.spec()
        assert all(job.spec() is first for _ in range(1000))
        env.queue = "gpu"
        second = job.spec()
        assert second is not first
        assert job.spec() is second
        env.queue = "gpu"
        assert job.spec() is second
    finally:
        del sys.modules[__name__].__dict__["visible"]


WARM = ReusePolicy(2)
CHANGES: list[dict[str, Any]] = [
    {"resources": Resources(cpu=2)},
    {"env_vars": {"A": "1"}},
    {"env_vars": {}},
    {"secrets": "key"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_warm_worker_has_no_settings_of_its_own_per_task(change: dict[str, Any]) -> None:
    env = TaskEnvironment("env", reusable=WARM)

    @env.task
    async def job() -> None: ...

    (name,) = change
    message = f"task 'env.job'.override\\(\\): {name} .* expected reusable='off' in the same override as {name}"
    with pytest.raises(DefinitionError, match=message):
        job.override(**change)
    cold = job.override(reusable="off", **change)
    assert cold.settings["reusable"] == "off"
    with pytest.raises(DefinitionError, match=f"expected reusable='off' in the same override as {name}"):
        cold.override(reusable=WARM)
    assert job.override(reusable=ReusePolicy(5)).spec().reusable == ReuseSpec(min_replicas=5, max_replicas=5)


def test_an_environment_that_becomes_warm_later_refuses_the_call(env: TaskEnvironment) -> None:
    @env.task
    async def job() -> None: ...

    changed = job.override(env_vars={"A": "1"})
    env.reusable = WARM
    with pytest.raises(DefinitionError, match=r"task 'env.job': env_vars belongs to a warm worker"):
        changed.spec()


def test_sync_tasks_do_not_share_a_worker_at_once() -> None:
    side_by_side = ReusePolicy(concurrency=2)
    message = r"task 'env.job': a sync task in an environment with ReusePolicy\(concurrency=2\), expected an async def"
    env = TaskEnvironment("env", reusable=side_by_side)
    with pytest.raises(DefinitionError, match=message):

        @env.task
        def job() -> None: ...

    assert dict(env.tasks) == {}
    env.reusable = ReusePolicy(concurrency=1)
    again = env.task(_job)
    with pytest.raises(DefinitionError, match="a sync task"):
        env.reusable = side_by_side
    with pytest.raises(DefinitionError, match="a sync task"):
        again.override(reusable=side_by_side)
    assert env.reusable == ReusePolicy(concurrency=1)


def _job() -> None: ...


RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.mark.parametrize(
    "image",
    [
        "auto",
        Image.from_debian_base(),
        Image.from_debian_base(python_version=RUNNING),
        Image.from_debian_base(python=RUNNING, name="x", registry="ghcr.io/acme").with_env_vars({"A": "1"}),
    ],
)
def test_an_image_that_adds_nothing_is_the_running_interpreter(image: Any) -> None:
    env = TaskEnvironment("env", image=image)
    assert env.task(_job).spec().task == "env._job"


@pytest.mark.parametrize(
    ("settings", "task_settings", "message"),
    [
        ({"image": "acme/tools:1"}, {}, "its image is 'acme/tools:1'"),
        ({"image": Image.from_base("acme/tools:1")}, {}, "its image starts from 'acme/tools:1'"),
        ({"image": Image.from_debian_base().with_pip_packages("pandas")}, {}, r"its image has layers \(pip\)"),
        ({"image": Image.from_debian_base("3.8")}, {}, r"its image asks for Python 3.8, this is 3\."),
        ({"secrets": ["a", "b"]}, {}, r"secrets \('a', 'b'\) are not available"),
        ({"cache": Cache(serialize=True)}, {}, r"Cache\(serialize=True\) is not available"),
        ({}, {"cache": Cache(serialize=True)}, r"Cache\(serialize=True\) is not available"),
    ],
)
def test_what_cannot_be_ignored_is_refused_when_called_and_not_before(
    settings: dict[str, Any], task_settings: dict[str, Any], message: str
) -> None:
    env = TaskEnvironment("env", **settings)
    job = env.task(**task_settings)(_job)
    with pytest.raises(NotSupportedError, match=f"task 'env._job': {message}") as caught:
        job.spec()
    assert caught.value.hint
    job()


def test_a_secret_can_be_cleared_for_a_call() -> None:
    env = TaskEnvironment("env", secrets=[Secret("a")])
    assert env.task(_job).override(secrets=[]).spec().secrets == ()


def test_names_of_inputs_in_settings_are_inputs(env: TaskEnvironment) -> None:
    message = "task 'env.job': Cache.ignored_inputs name 'm', expected names of its inputs: 'n'"
    with pytest.raises(DefinitionError, match=message):

        @env.task(cache=Cache(ignored_inputs="m"))
        def job(n: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"the inputs of Trigger 'hourly' name 'at', expected .* takes no inputs"):
        env.task(triggers=Trigger.hourly("at"))(_job)
    with pytest.raises(DefinitionError, match=r"ignored_inputs name 'x'"):
        env.task(_job).override(cache=Cache(ignored_inputs="x"))


def test_docs_are_the_docstring_unless_given(env: TaskEnvironment) -> None:
    def documented() -> None:
        """From the docstring."""

    assert env.task(documented).docs == Documentation("From the docstring.")
    assert env.task(docs=Documentation("Given."))(documented).docs.summary == "Given."
    assert env.task(_job).docs.description == ""
