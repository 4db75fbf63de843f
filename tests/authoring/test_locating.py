"""How another process finds a task: by module, in the main script, by value, or as a resolver says."""

import asyncio
import copy
import pickle
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import msgspec
import pytest

from tests.authoring.sessions import in_run
from volant.authoring.environment import TaskEnvironment
from volant.authoring.loading import load_task
from volant.authoring.registry import default_registry
from volant.authoring.resolvers import DefaultResolver
from volant.authoring.task import Task
from volant.model.errors import CallError, DefinitionTypeError
from volant.model.specs import Loader, LoaderKind

ENV = TaskEnvironment("locating", env_vars={"A": "1"})


@ENV.task
async def fib(n: int) -> int:
    return n if n < 2 else await fib(n - 1) + await fib(n - 2)


def _plain(n: int) -> int:
    return n + 1


renamed = ENV.task(_plain)
number = 3


class Namespace:
    @staticmethod
    @ENV.task
    def inside(n: int) -> int:
        return n


class ByName:
    """A resolver of a test: the name is all that travels."""

    def loader_args(self, task: Task[..., Any], root_dir: str | None = None) -> list[str]:
        assert root_dir == str(Path(__file__).parent)
        return [task.func.__name__]

    def load_task(self, loader_args: list[str]) -> Task[..., Any]:
        found: Task[..., Any] = globals()[loader_args[0]]
        return found


class AtPath(ByName):
    import_path = f"{__name__}.RESOLVER"


class Nowhere(ByName):
    import_path = "nowhere"


RESOLVER = AtPath()


@ENV.task(task_resolver=ByName())
def resolved(n: int) -> int:
    return n


@ENV.task(task_resolver=RESOLVER)
def resolved_at_path(n: int) -> int:
    return n


@pytest.mark.parametrize(
    ("task", "qualname"), [(fib, "fib"), (renamed, "renamed"), (Namespace.inside, "Namespace.inside")]
)
def test_a_task_of_a_module_is_found_by_name(task: Task[..., Any], qualname: str) -> None:
    loader = task.spec().loader
    assert loader == Loader(kind=LoaderKind.MODULE, module=__name__, qualname=qualname)
    assert load_task(loader) is task
    assert task.override(env_vars={}).spec().loader == loader


def test_a_task_of_a_function_body_travels_by_value() -> None:
    offset = 10

    @ENV.task
    async def local_2(n: int) -> int:
        return offset + await fib(n)

    loader = local_2.spec().loader
    assert loader.kind is LoaderKind.VALUE
    loaded = load_task(loader)
    assert loaded is not local_2
    assert loaded.name == "locating.local_2"
    assert asyncio.run(loaded(10)) == 65


def test_what_travels_by_value_may_call_itself_and_its_neighbours() -> None:
    env = TaskEnvironment("recursive", queue="gpu")

    @env.task
    async def even(n: int) -> bool:
        return n == 0 or await odd(n - 1)

    @env.task
    async def odd(n: int) -> bool:
        return n != 0 and await even(n - 1)

    loaded = load_task(even.spec().loader)
    assert asyncio.run(loaded(7)) is False
    assert loaded.environment.name == "recursive"
    assert loaded.environment.queue == "gpu"
    assert default_registry.get("recursive") is env


def test_annotations_of_a_function_body_survive_as_text() -> None:
    scope: dict[str, Any] = {"ENV": ENV, "__name__": "nowhere"}
    source = """
    from __future__ import annotations
    def make():
        class Local: ...
        @ENV.task
        def job(x: Local, y: list[Local]) -> Local:
            return x
        return job, Local
    """
    exec(textwrap.dedent(source), scope)
    job, local_class = scope["make"]()
    loaded = load_task(job.spec().loader)
    assert loaded.interface.types == {"x": local_class, "y": list[local_class]}
    assert loaded.interface.returns is local_class


def test_a_value_is_pickled_anew_for_each_submission_and_once_within_a_run() -> None:
    box = [1]

    @ENV.task
    def local_4() -> int:
        return box[0]

    first = local_4.spec()
    assert local_4.spec() is first
    box[0] = 2
    second = local_4.spec()
    assert load_task(second.loader)() == 2
    with in_run():
        box[0] = 3
        assert local_4.spec() is second


def test_what_cannot_travel_is_refused_with_a_hint() -> None:
    lock = __import__("threading").Lock()

    @ENV.task
    def local_5() -> bool:
        return bool(lock.acquire())

    with pytest.raises(
        CallError, match=r"task 'locating.local_5' is no module's attribute, so it travels by value"
    ) as caught:
        local_5.spec()
    assert caught.value.hint is not None
    assert "top level of a module" in caught.value.hint


def test_a_resolver_says_how_the_task_is_found() -> None:
    loader = resolved.spec().loader
    assert loader == Loader(kind=LoaderKind.RESOLVER, module=__name__, qualname="ByName", arguments=("resolved",))
    assert load_task(loader) is resolved
    loader = resolved_at_path.spec().loader
    assert (loader.module, loader.qualname) == (__name__, "RESOLVER")
    assert load_task(loader) is resolved_at_path
    job = ENV.task(task_resolver=Nowhere())(_other)
    with pytest.raises(ValueError, match="import_path is 'nowhere', expected 'module:name'"):
        job.spec()


def _other(n: int) -> int:
    return n


def test_the_default_resolver_goes_by_module_and_name() -> None:
    arguments = DefaultResolver().loader_args(fib)
    assert DefaultResolver().load_task(arguments) is fib


def test_what_is_no_task_is_refused_when_loading() -> None:
    with pytest.raises(DefinitionTypeError, match=r"test_locating:number is 3 \(int\), expected a task"):
        load_task(Loader(kind=LoaderKind.MODULE, module=__name__, qualname="number"))


def test_a_task_of_a_module_pickles_as_a_reference() -> None:
    for dumps in (pickle.dumps, cloudpickle.dumps):
        data = dumps(fib)
        assert len(data) < 200
        assert pickle.loads(data) is fib
    assert copy.deepcopy(fib) is fib
    changed = pickle.loads(pickle.dumps(fib.override(short_name="other")))
    assert (changed.short_name, changed.root) == ("other", fib)


def test_an_environment_pickles_with_its_settings_and_without_its_tasks() -> None:
    loaded = pickle.loads(pickle.dumps(ENV))
    assert (loaded.name, loaded.env_vars, dict(loaded.tasks)) == ("locating", {"A": "1"}, {})
    assert default_registry.get("locating") is not loaded


def test_environments_that_depend_on_each_other_pickle() -> None:
    one, two = TaskEnvironment("one"), TaskEnvironment("two")
    one.add_dependency(two)
    two.add_dependency(one)
    loaded = pickle.loads(pickle.dumps(one))
    assert loaded.depends_on[0].depends_on == (loaded,)


def test_a_task_of_a_notebook_travels_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    source = """
    from volant.authoring.environment import TaskEnvironment
    env = TaskEnvironment("cells")
    factor = 2
    @env.task
    async def job(n: int) -> int:
        return n * factor
    """
    exec(compile(textwrap.dedent(source), "<cell>", "exec"), main.__dict__)
    first = main.job.spec()
    assert first.loader.kind is LoaderKind.VALUE
    main.factor = 3
    assert asyncio.run(load_task(main.job.spec().loader)(2)) == 6


SCRIPT = """
import asyncio, sys
import msgspec
from volant.authoring.environment import TaskEnvironment
from volant.authoring.loading import load_task
from volant.model.specs import ActionSpec

env = TaskEnvironment("script")
factor = 2

@env.task
async def job(n: int) -> int:
    return n * factor

def outer():
    @env.task
    def inner(n: int) -> int:
        return n * factor
    return inner

if __name__ == "__main__":
    inner = outer()
    for task in (job, inner):
        sys.stdout.write(msgspec.json.encode(task.spec()).decode() + "\\n")
"""


def test_tasks_of_a_script_are_found_in_it_or_travel_by_value(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    job, inner = (msgspec.json.decode(line) for line in done.stdout.splitlines())
    assert job["loader"] == {"kind": "main", "module": "__main__", "qualname": "job"}
    # Its name is bound behind the guard, where a worker does not come.
    assert inner["loader"]["kind"] == "value"
    loader = msgspec.convert(inner["loader"], Loader)
    assert load_task(loader)(4) == 8
