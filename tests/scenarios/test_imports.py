"""Modules that import numerical libraries, with and without threads, work in every fork."""

import importlib.util

import pytest

from tests.scenarios.conftest import User, result

LIBRARIES = {
    "numpy": ("import numpy as np", "float((np.ones((200, 200)) @ np.ones((200, 200))).sum()) + n", 8_000_000.0),
    "pandas": ("import pandas as pd", "float(pd.DataFrame({'a': range(100)}).a.sum()) + n", 4950.0),
    "polars": (
        "import polars as pl\nDATA = pl.DataFrame({'g': [1, 2] * 50, 'v': range(100)})\n"
        "BEFORE = DATA.group_by('g').agg(pl.col('v').sum())",
        "float(DATA.group_by('g').agg(pl.col('v').sum())['v'].sum()) + n",
        4950.0,
    ),
    "pyarrow": (
        "import pyarrow as pa, pyarrow.compute as pc",
        "float(pc.sum(pa.array(range(100))).as_py()) + n",
        4950.0,
    ),
    "torch": ("import torch", "float((torch.ones(200, 200) @ torch.ones(200, 200)).sum()) + n", 8_000_000.0),
    "own thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        "float(n)",
        0.0,
    ),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_imported_by_the_user_s_module_works_in_two_forks_at_once(user: User, name: str) -> None:
    if name != "own thread" and importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed on this Python: its import in a zygote is NOT tested")
    imports, expression, expected = LIBRARIES[name]
    text = "\n".join(
        [
            "import asyncio, json",
            imports,
            "import volant",
            "env = volant.TaskEnvironment(name='library')",
            "@env.task",
            "async def use(n: int) -> float:",
            f"    return {expression}",
            "@env.task",
            "async def main() -> list[float]:",
            "    return await asyncio.gather(use(0), use(1), use(2))",
            "if __name__ == '__main__':",
            "    print(json.dumps(volant.run(main).outputs()[0]))",
        ]
    )
    user.environ.pop("PYTHONWARNINGS", None)
    assert result(user.python(text, name="library.py")) == [expected, expected + 1, expected + 2]
