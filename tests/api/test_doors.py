"""The public names: all there, nothing imported before it is used."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import volant
import volant.errors
from volant.model import errors as tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", volant.__all__)
def test_every_public_name_can_be_used(name: str) -> None:
    assert getattr(volant, name) is not None
    assert name in dir(volant)


def test_importing_volant_imports_nothing_else_of_weight() -> None:
    code = (
        "import sys, volant; print(sorted(name for name in sys.modules if name.partition('.')[0] in set(sys.argv[1:])))"
    )
    heavy = ["asyncio", "msgspec", "pydantic", "cloudpickle", "rich", "click", "psutil", "sqlite3"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_misspelt_name_suggests_the_nearest() -> None:
    with pytest.raises(AttributeError, match="no attribute 'TaskEnviroment'; did you mean 'TaskEnvironment'"):
        _ = volant.TaskEnviroment


def test_every_error_of_the_tree_is_public() -> None:
    classes = {name for name, value in vars(tree).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes <= set(volant.errors.__all__)


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert volant.__version__ == project["project"]["version"]
