"""Modules whose import starts threads: a fork has to work all the same, and slower only where it must."""

import importlib.util
import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.fake_engine import FakeEngine, code_in
from volant.bundle.loading import load_file_as_module
from volant.model.worker_protocol import ZygoteFailed, ZygoteReady

NewEngine = Callable[..., FakeEngine]

LIBRARIES = {
    "numpy": """
        import numpy as np
        GRID = np.arange(250_000.0).reshape(500, 500)

        def compute() -> float:
            return float((GRID @ GRID.T)[0, 0]) + float(np.linalg.svd(np.ones((50, 50)))[1][0])
        """,
    "pandas": """
        import pandas as pd
        FRAME = pd.DataFrame({"key": ["a", "b"] * 500, "value": range(1000)})

        def compute() -> float:
            return float(FRAME.groupby("key")["value"].sum()["a"])
        """,
    "polars": """
        import polars as pl
        FRAME = pl.DataFrame({"key": ["a", "b"] * 500, "value": range(1000)})

        def compute() -> float:
            return float(FRAME.group_by("key").agg(pl.col("value").sum()).sort("key")["value"][0])
        """,
    "polars used at import": """
        import polars as pl
        FRAME = pl.DataFrame({"key": ["a", "b"] * 500, "value": range(1000)})
        TOTALS = FRAME.group_by("key").agg(pl.col("value").sum()).sort("key")

        def compute() -> float:
            again = FRAME.lazy().group_by("key").agg(pl.col("value").sum()).sort("key").collect()
            return float((TOTALS["value"] + again["value"]).sum())
        """,
    "pyarrow": """
        import pyarrow as pa
        import pyarrow.compute as pc
        TABLE = pa.table({"key": ["a", "b"] * 500, "value": list(range(1000))})

        def compute() -> float:
            grouped = TABLE.group_by("key").aggregate([("value", "sum")])
            return float(pc.sum(grouped["value_sum"]).as_py())
        """,
    "pyarrow used at import": """
        import pyarrow as pa
        import pyarrow.compute as pc
        TABLE = pa.table({"key": ["a", "b"] * 500, "value": list(range(1000))})
        GROUPED = TABLE.group_by("key").aggregate([("value", "sum")])

        def compute() -> float:
            grouped = TABLE.group_by("key").aggregate([("value", "sum")])
            return float(pc.sum(grouped["value_sum"]).as_py() + pc.sum(GROUPED["value_sum"]).as_py())
        """,
    "torch": """
        import torch
        GRID = torch.arange(10_000.0).reshape(100, 100)

        def compute() -> float:
            return float((GRID @ GRID.T).sum())
        """,
}

TASKS = """
    import os, threading, volant
    env = volant.TaskEnvironment(name="{name}")

    IMPORTED_IN = os.getpid()

    @env.task
    def result() -> float:
        return compute()

    @env.task
    def place() -> list[int]:
        return [IMPORTED_IN, os.getpid(), os.getppid()]
    """


def module_with(folder: Path, name: str, text: str) -> Any:
    """The user's module, loaded here as well, under the name that the zygote uses."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text) + textwrap.dedent(TASKS.format(name=name.replace("_", "-"))))
    return load_file_as_module(path, name=name)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_really_works_in_two_forks_at_once(new_engine: NewEngine, tmp_path: Path, library: str) -> None:
    needed = library.partition(" ")[0]
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed here, so nothing is known about forks with it")
    name = "lib_" + library.replace(" ", "_")
    module = module_with(tmp_path, name, LIBRARIES[library])
    expected = module.compute()
    engine = new_engine(code_in(tmp_path, name))
    workers = [engine.fork(module.result) for _ in range(4)]
    assert [worker.value() for worker in workers] == [expected] * 4
    for worker in workers:
        assert worker.exited().exit_code == 0


def test_threads_of_openblas_are_no_obstacle(new_engine: NewEngine, tmp_path: Path) -> None:
    module_with(tmp_path, "lib_blas", LIBRARIES["numpy"])
    assert new_engine(code_in(tmp_path, "lib_blas")).ready() == ZygoteReady(imported=True, warning=None)


def test_the_library_that_started_threads_is_named_and_forks_import_it_themselves(
    new_engine: NewEngine, tmp_path: Path
) -> None:
    module = module_with(tmp_path, "lib_polars_named", LIBRARIES["polars used at import"])
    engine = new_engine(code_in(tmp_path, "lib_polars_named"))
    answer = engine.ready()
    assert isinstance(answer, ZygoteReady)
    assert not answer.imported
    assert answer.warning is not None
    assert "polars" in answer.warning
    imported_in, pid, zygote = engine.fork(module.place).value()
    assert imported_in == pid != zygote
    assert zygote == engine.process.pid


def test_a_thread_of_the_users_own_module_is_found(new_engine: NewEngine, tmp_path: Path) -> None:
    text = """
        import queue, threading
        questions, answers = queue.Queue(), queue.Queue()
        def serve():
            while True:
                answers.put(2 * questions.get())
        threading.Thread(target=serve, daemon=True).start()

        def compute() -> float:
            questions.put(21.0)
            return answers.get(timeout=30)
        """
    module = module_with(tmp_path, "own_thread", text)
    engine = new_engine(code_in(tmp_path, "own_thread"))
    answer = engine.ready()
    assert isinstance(answer, ZygoteReady)
    assert not answer.imported
    assert "'own_thread'" in str(answer.warning)
    assert [engine.fork(module.result).value() for _ in range(2)] == [42.0, 42.0]


def test_a_thread_that_has_ended_is_no_obstacle(new_engine: NewEngine, tmp_path: Path) -> None:
    text = """
        import threading
        thread = threading.Thread(target=print)
        thread.start()
        thread.join()

        def compute() -> float:
            return 1.0
        """
    module_with(tmp_path, "ended_thread", text)
    assert new_engine(code_in(tmp_path, "ended_thread")).ready() == ZygoteReady(imported=True, warning=None)


def test_an_import_that_fails_only_in_the_fork_is_reported_by_the_attempt(
    new_engine: NewEngine, tmp_path: Path
) -> None:
    text = f"""
        import os, threading, time
        marker = {str(tmp_path / "second")!r}
        if os.path.exists(marker):
            raise LookupError("not twice")
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

        def compute() -> float:
            return 1.0
        """
    module = module_with(tmp_path, "once_only", text)
    engine = new_engine(code_in(tmp_path, "once_only"))
    assert isinstance(engine.ready(), ZygoteReady)
    (tmp_path / "second").touch()
    failure = engine.fork(module.result).failure()
    assert (failure.code, failure.message, failure.retryable) == ("LookupError", "not twice", False)
    assert "once_only.py" in failure.traceback


def test_the_environment_and_programs_of_the_first_import_are_gone(new_engine: NewEngine, tmp_path: Path) -> None:
    """The process starts over: what the import did to it must not be there twice."""
    text = f"""
        import os, subprocess, sys, threading, time
        os.environ["COUNT"] = os.environ.get("COUNT", "") + "x"
        COUNT = os.environ["COUNT"]
        service = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open({str(tmp_path / "services")!r}, "a") as file:
            print(service.pid, file=file)
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()

        def compute() -> float:
            return float(len(COUNT))
        """
    module = module_with(tmp_path, "starts_over", text)
    module.service.kill()
    module.service.wait()
    del os.environ["COUNT"]
    engine = new_engine(code_in(tmp_path, "starts_over"))
    assert not isinstance(engine.ready(), ZygoteFailed)
    worker = engine.fork(module.result)
    assert worker.value() == 1.0
    worker.exited()
    services = [int(line) for line in (tmp_path / "services").read_text().split()]
    assert len(services) == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in services[1:])
