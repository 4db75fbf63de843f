"""Cells of a notebook define tasks and run them, with a loop already running in the kernel."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.scenarios.conftest import User

CELLS = [
    """
import asyncio
import volant
env = volant.TaskEnvironment(name="notebook")
OFFSET = 10

class Reading:
    def __init__(self, value):
        self.value = value

def shift(reading):
    return Reading(reading.value + OFFSET)
""",
    """
@env.task
async def read(n: int) -> Reading:
    return shift(Reading(n))

@env.task
async def main(count: int) -> list[int]:
    readings = await asyncio.gather(*(read(n) for n in range(count)))
    return [reading.value for reading in readings]
""",
    "print(volant.run(main, count=3).outputs()[0])",
    "run = await volant.run.aio(main, count=2)\nprint(run.outputs()[0])",
    """
@env.task
async def main(count: int) -> str:
    return f"a new main, {count}"
""",
    "print(volant.run(main, count=3).outputs()[0])",
    "print(volant.with_runcontext(mode='inline').run(main, count=4).outputs()[0])",
]


@pytest.mark.filterwarnings("ignore")
def test_tasks_defined_and_redefined_in_cells(user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("VOLANT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VOLANT_HOME", str(user.home))
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    printed = [
        output["text"].strip() for cell in notebook.cells for output in cell.outputs if output.get("name") == "stdout"
    ]
    assert printed == ["[10, 11, 12]", "[10, 11]", "a new main, 3", "a new main, 4"]
