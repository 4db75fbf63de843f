"""What all value classes promise, and what each accepts."""

import copy
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.authoring.caching import Cache, VersionParameters, as_cache
from volant.authoring.documentation import Documentation
from volant.authoring.images import Image, Layer
from volant.authoring.links import URLLink, as_links, link_spec
from volant.authoring.pods import PodTemplate
from volant.authoring.resources import GPU, TPU, Device, Resources
from volant.authoring.retries import Backoff, RetryStrategy, as_retries
from volant.authoring.reuse import ReusePolicy
from volant.authoring.secrets import Secret, as_secrets
from volant.authoring.timeouts import Timeout, as_timeout
from volant.authoring.triggers import Cron, FixedRate, Trigger, TriggerTime
from volant.authoring.value import Value
from volant.model.errors import DefinitionError, DefinitionTypeError, UnknownParameterError

S = timedelta(seconds=1)


class BySalt:
    """A policy of a test."""

    def get_version(self, salt: str, parameters: VersionParameters) -> str:
        return salt + parameters.func.__name__


SAMPLES: list[Value] = [
    Resources(cpu=(1, 2), memory="1Gi", gpu="A100:1", disk="1Gi", shm="auto"),
    Device(2, "A100"),
    GPU("A100", 2),
    TPU("V5P"),
    Cache("override", salt="x", ignored_inputs=["a"], max_age=60),
    ReusePolicy(replicas=(1, 3), idle_ttl=5),
    Backoff(1, factor=2, cap=60),
    RetryStrategy(3, backoff=Backoff(1)),
    Timeout(max_runtime=5, deadline=timedelta(hours=1)),
    Secret("key", group="group", as_env_var="KEY"),
    PodTemplate({"containers": [{"name": "primary"}]}, labels={"a": "b"}),
    Cron("0 0 * * *", "Europe/Berlin"),
    FixedRate(5, start_time=datetime(2026, 1, 1, tzinfo=UTC)),
    Trigger("nightly", Cron("0 0 * * *"), inputs={"at": TriggerTime}),
    URLLink("logs", "https://logs/{run_name}"),
    Documentation("What it does."),
    Image.from_debian_base("3.12").with_pip_packages("pandas"),
    Layer("pip", ["pandas"]),
]
NAMES = [type(sample).__name__ for sample in SAMPLES]


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_a_value_is_equal_to_its_copies_and_pickles(sample: Value) -> None:
    for other in (copy.copy(sample), copy.deepcopy(sample), pickle.loads(pickle.dumps(sample))):
        assert other == sample
        assert hash(other) == hash(sample)
    assert sample != object()


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_a_value_does_not_change(sample: Value) -> None:
    name = next(iter(vars(sample)))
    with pytest.raises(AttributeError, match=f"does not change; make a new one to set '{name}'"):
        setattr(sample, name, None)
    with pytest.raises(AttributeError, match="does not change"):
        delattr(sample, name)


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_a_value_prints_as_the_call_that_makes_it(sample: Value) -> None:
    scope: dict[str, Any] = {type(each).__name__: type(each) for each in SAMPLES}
    scope.update(datetime=__import__("datetime"), TriggerTime=TriggerTime)
    assert eval(repr(sample), scope) == sample


def test_a_value_prints_only_what_differs_from_the_defaults() -> None:
    assert repr(Resources(cpu="500m")) == "Resources(cpu='500m')"
    assert repr(GPU("A100")) == "GPU(device='A100')"


@pytest.mark.parametrize("kind", [type(sample) for sample in SAMPLES], ids=NAMES)
def test_a_misspelt_keyword_is_refused_by_name(kind: Any) -> None:
    with pytest.raises(UnknownParameterError, match=f"^{kind.__name__} has no parameter 'frobnicate'\n") as caught:
        kind(frobnicate=1)
    assert str(caught.value.hint).startswith("the parameters are ")


def test_a_misspelt_keyword_names_the_nearest() -> None:
    with pytest.raises(
        UnknownParameterError, match="Cache has no parameter 'ignore_inputs'; did you mean 'ignored_inputs'"
    ):
        Cache(ignore_inputs=("a",))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Cache("sometimes"),
            DefinitionError,
            "behavior is 'sometimes', expected 'auto' or 'override' or 'disable'",
        ),
        (lambda: Cache("disabled"), DefinitionError, "did you mean 'disable'"),
        (lambda: Cache(True), DefinitionTypeError, r"behavior is True \(bool\), expected 'auto'"),
        (
            lambda: Cache(version_override=""),
            DefinitionError,
            "version_override is '', expected a str that is not empty",
        ),
        (lambda: Cache(version_override=2), DefinitionTypeError, r"version_override is 2 \(int\), expected a str"),
        (lambda: Cache(serialize=1), DefinitionTypeError, r"serialize is 1 \(int\), expected True or False"),
        (lambda: Cache(ignored_inputs=[1]), DefinitionTypeError, r"ignored_inputs\[0\] is 1 \(int\), expected a str"),
        (lambda: Cache(salt=None), DefinitionTypeError, "salt is None, expected a str"),
        (
            lambda: Cache(policies=["x"]),
            DefinitionTypeError,
            r"policies\[0\] is 'x' \(str\), expected an object with get_v",
        ),
        (lambda: Cache(policies=BySalt), DefinitionTypeError, "policies is <class .*BySalt'>, expected an object"),
        (
            lambda: Cache(version_override="1", policies=BySalt()),
            DefinitionError,
            "policies is .*, expected none beside",
        ),
        (lambda: Cache(max_age=0), DefinitionError, "max_age is 0, expected seconds or a timedelta, more than 0"),
        (lambda: Cache(max_age="1h"), DefinitionTypeError, r"max_age is '1h' \(str\), expected seconds or a timedelta"),
        (lambda: ReusePolicy(replicas=0), DefinitionError, "replicas is 0, expected an int, 1 or more"),
        (lambda: ReusePolicy(replicas=(3, 1)), DefinitionError, r"replicas is \(3, 1\), expected a smallest number"),
        (lambda: ReusePolicy(replicas=(1, 2, 3)), DefinitionError, "expected an int or a pair"),
        (lambda: ReusePolicy(replicas="2"), DefinitionTypeError, r"replicas is '2' \(str\), expected an int"),
        (lambda: ReusePolicy(replicas=(-1, 1)), DefinitionError, "the smallest number of replicas is -1"),
        (lambda: ReusePolicy(concurrency=0), DefinitionError, "concurrency is 0, expected an int, 1 or more"),
        (
            lambda: ReusePolicy(idle_ttl=-1),
            DefinitionError,
            "idle_ttl is -1, expected seconds or a timedelta, 0 or more",
        ),
        (lambda: ReusePolicy(scope="world"), DefinitionError, "scope is 'world', expected 'global' or 'run'"),
        (lambda: Backoff(-1), DefinitionError, "base is -1, expected seconds"),
        (lambda: Backoff(1, factor=0.5), DefinitionError, "factor is 0.5, expected a finite number, 1 or more"),
        (lambda: Backoff(1, factor=float("inf")), DefinitionError, "factor is inf, expected a finite number"),
        (lambda: Backoff(1, factor="2"), DefinitionTypeError, r"factor is '2' \(str\), expected a finite number"),
        (lambda: Backoff(10, cap=5), DefinitionError, "cap is 5, expected at least the base, 10 s"),
        (lambda: RetryStrategy(-1), DefinitionError, "count is -1, expected an int, 0 or more"),
        (lambda: RetryStrategy(1, backoff=5), DefinitionTypeError, r"backoff is 5 \(int\), expected a Backoff"),
        (lambda: Timeout(max_runtime=-1), DefinitionError, "max_runtime is -1, expected seconds"),
        (lambda: Timeout(deadline=float("nan")), DefinitionError, "deadline is nan, expected seconds"),
        (lambda: Timeout(deadline=1e30), DefinitionError, "deadline is 1e[+]30, expected seconds"),
        (
            lambda: Timeout(max_queued_time="1"),
            DefinitionTypeError,
            r"max_queued_time is '1' \(str\), expected seconds",
        ),
        (lambda: Secret(""), DefinitionError, "key is '', expected a str that is not empty"),
        (lambda: Secret("a b"), DefinitionError, "key is 'a b', expected letters, digits"),
        (
            lambda: Secret("a", as_env_var="1A"),
            DefinitionError,
            "as_env_var is '1A', expected the name of an environment",
        ),
        (lambda: Secret("a", mount=3), DefinitionTypeError, r"mount is 3 \(int\), expected a path"),
        (
            lambda: PodTemplate("spec"),
            DefinitionTypeError,
            r"pod_spec is 'spec' \(str\), expected a dict or a V1PodSpec",
        ),
        (lambda: PodTemplate({"containers": {}}), DefinitionTypeError, r"pod_spec\['containers'\] is {} \(dict\)"),
        (
            lambda: PodTemplate({"containers": [{}]}),
            DefinitionTypeError,
            r"the name of pod_spec\['containers'\]\[0\] is None",
        ),
        (lambda: PodTemplate({"volumes": [object()]}), DefinitionTypeError, "expected plain data as in YAML"),
        (lambda: PodTemplate(labels={"a": 1}), DefinitionTypeError, r"labels\['a'\] is 1 \(int\), expected a str"),
        (lambda: Cron("61 * * * *"), DefinitionError, r"expression is '61 \* \* \* \*', expected five fields"),
        (lambda: Cron("often"), DefinitionError, "expression is 'often', expected five fields"),
        (lambda: Cron("0 0 31 2 *"), DefinitionError, "expression is '0 0 31 2 .', expected"),
        (
            lambda: Cron("0 0 * * *", "Mars/Olympus"),
            DefinitionError,
            "timezone is 'Mars/Olympus', expected an IANA time",
        ),
        (lambda: Cron("0 0 * * *", "../etc"), DefinitionError, "timezone is '../etc', expected an IANA time zone"),
        (lambda: FixedRate(0), DefinitionError, "interval_minutes is 0, expected an int, 1 or more"),
        (
            lambda: FixedRate(S * 0),
            DefinitionError,
            "interval_minutes is .*, expected seconds or a timedelta, more than 0",
        ),
        (lambda: FixedRate(1, datetime(2026, 1, 1)), DefinitionError, "start_time is .*, expected an aware datetime"),
        (lambda: FixedRate(1, "now"), DefinitionTypeError, r"start_time is 'now' \(str\), expected an aware datetime"),
        (lambda: Trigger("", Cron("0 0 * * *")), DefinitionError, "name is '', expected a str that is not empty"),
        (
            lambda: Trigger("t", "0 0 * * *"),
            DefinitionTypeError,
            "Trigger 't': automation is .*, expected a Cron or a Fix",
        ),
        (
            lambda: Trigger("t", FixedRate(1), inputs=[1]),
            DefinitionTypeError,
            "inputs is .*, expected a dict of inputs",
        ),
        (lambda: Trigger("t", FixedRate(1), env_vars={"A": 1}), DefinitionTypeError, r"env_vars\['A'\] is 1 \(int\)"),
        (lambda: URLLink("", "https://x"), DefinitionError, "name is ''"),
        (
            lambda: URLLink("x", "https://x/{run_nam}"),
            DefinitionError,
            "expected placeholders among run_name.*mean 'run_name'",
        ),
        (lambda: URLLink("x", "https://x/{"), DefinitionError, "expected a text whose braces close"),
        (lambda: Documentation(3), DefinitionTypeError, r"description is 3 \(int\), expected a str"),
    ],
)
def test_a_value_that_cannot_be_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@given(st.floats(min_value=0.001, max_value=1e6))
def test_seconds_and_a_timedelta_are_the_same_timeout(seconds: float) -> None:
    assert Timeout(max_runtime=seconds) == Timeout(max_runtime=timedelta(seconds=seconds)) == as_timeout("t", seconds)


@pytest.mark.parametrize("unbounded", [0, 0.0, timedelta(0), Timeout(), Timeout(0, 0, 0)])
def test_a_timeout_of_zero_is_unbounded(unbounded: Any) -> None:
    assert as_timeout("t", unbounded) == Timeout()


def test_short_spellings_become_full_values() -> None:
    assert as_cache("t", "auto") == Cache("auto")
    assert as_retries("t", 3) == RetryStrategy(3)
    assert as_secrets("t", "key") == as_secrets("t", ["key", Secret("key")]) == (Secret("key"),)
    assert Cache(ignored_inputs="a") == Cache(ignored_inputs=("a",))
    assert ReusePolicy(2) == ReusePolicy((2, 2))
    assert ReusePolicy((0, 2)) != ReusePolicy(2)


def test_a_policy_is_any_object_that_gives_a_version() -> None:
    policy = BySalt()
    assert Cache(policies=policy).policies == (policy,)
    assert Cache(policies=[policy, policy]).policies == (policy, policy)


@pytest.mark.parametrize(
    ("secret", "variable"),
    [
        (Secret("api-key"), "API_KEY"),
        (Secret("api.key", group="my-team"), "MY_TEAM_API_KEY"),
        (Secret("api-key", as_env_var="TOKEN"), "TOKEN"),
    ],
)
def test_a_secret_has_a_variable(secret: Secret, variable: str) -> None:
    assert secret.env_var == variable


def test_a_secret_is_mounted_at_a_path_of_any_kind() -> None:
    assert Secret("a", mount=Path("/run/a")).mount == "/run/a"


def test_a_pod_of_the_kubernetes_package_is_plain_data() -> None:
    class Container:
        attribute_map = {"name": "name", "image_pull_policy": "imagePullPolicy", "image": "image"}
        name, image_pull_policy, image = "primary", "Always", None

    class Spec:
        attribute_map = {"containers": "containers", "node_selector": "nodeSelector"}
        containers, node_selector = [Container()], {"disk": "ssd"}

    wanted = {"containers": [{"name": "primary", "imagePullPolicy": "Always"}], "nodeSelector": {"disk": "ssd"}}
    assert PodTemplate(Spec()).pod_spec == wanted


def test_triggers_have_short_forms() -> None:
    made = [Trigger.minutely(), Trigger.hourly("at"), Trigger.daily(), Trigger.weekly(), Trigger.monthly(name="m")]
    assert [trigger.name for trigger in made] == ["minutely", "hourly", "daily", "weekly", "m"]
    assert made[1].inputs == {"at": TriggerTime}
    assert pickle.loads(pickle.dumps(TriggerTime)) is TriggerTime


def test_a_link_of_ones_own_is_any_object_with_a_name_and_an_address() -> None:
    class Dashboard:
        name = "dashboard"

        def get_link(self, run_name: str, action_name: str, **others: Any) -> str:
            return f"https://dash/{run_name}/{action_name}"

    (link,) = as_links("t", Dashboard())
    assert link_spec(link).uri == "https://dash/{run_name}/{action_name}"
    with pytest.raises(DefinitionTypeError, match=r"links\[0\] is 'x' \(str\), expected an object with a name"):
        as_links("t", ["x"])
