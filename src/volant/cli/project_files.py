"""The files of a new project, as they are written by `volant init`."""

from collections.abc import Mapping
from string import Template

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$name"
version = "0.1.0"
description = "Tasks that Volant runs."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["volant"]

[dependency-groups]
dev = ["pytest"]

[tool.hatch.build.targets.wheel]
packages = ["src/$package"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["src"]

# Settings of this project; `volant get settings` shows all there are, and where each comes from.
[tool.volant]
"""

_PIPELINE = '''\
"""Counts the words of a text, each in a task of its own."""

import asyncio

import volant

env = volant.TaskEnvironment(name="$environment", description="Counts words.")


@env.task(retries=2)
async def count(word: str, text: str) -> int:
    """How often a word stands in a text."""
    found = text.split().count(word)
    print(f"{word}: {found}")
    return found


@env.task
def rank(counts: dict[str, int]) -> dict[str, int]:
    """The most frequent words first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@env.task(entrypoint=True)
async def main(text: str = "the cat and the dog and the bird") -> dict[str, int]:
    """Count the words of a text, all at once."""
    words = sorted(set(text.split()))
    with volant.group("words"):
        counts = await asyncio.gather(*(count(word, text) for word in words))
    return await rank.aio(dict(zip(words, counts, strict=True)))


if __name__ == "__main__":
    run = volant.run(main)
    print(run.name, run.phase, run.outputs()[0])
'''

_TEST = '''\
"""Tasks are functions: call one as it is, or run it with everything around it, in a home of the tests' own."""

from volant.testing import RunTask

from $package.pipeline import main, rank


def test_the_most_frequent_word_comes_first() -> None:
    assert list(rank({"a": 1, "b": 2})) == ["b", "a"]


def test_every_word_is_counted(run_task: RunTask) -> None:
    run = run_task(main, text="a b a")
    assert run.result() == {"a": 2, "b": 1}
    assert len(run.actions) == 4
'''

_README = """\
# $name

Made by `volant init`. The tasks are in `src/$package/pipeline.py`.

```console
$$ volant run src/$package/pipeline.py main --text "to be or not to be"
$$ volant get runs
$$ python -m pytest
```

The first runs the task `main`, each call in a process of its own; the second lists what was run; the third runs the
tests, for which `pip install pytest` is needed. `volant run src/$package/pipeline.py main --help` shows the options,
and `volant doctor` what this machine offers.
"""

_IGNORED = """\
__pycache__/
.pytest_cache/
.venv/
dist/
.volant/
"""


def project_files(*, name: str, package: str) -> Mapping[str, str]:
    """Text by relative path. *name* is the distribution's, *package* what is imported."""
    names = {"name": name, "package": package, "environment": package.strip("_")}
    templates = {
        "pyproject.toml": _PYPROJECT,
        "README.md": _README,
        ".gitignore": _IGNORED,
        f"src/{package}/__init__.py": '"""$name."""\n',
        f"src/{package}/pipeline.py": _PIPELINE,
        "tests/test_pipeline.py": _TEST,
    }
    return {path: Template(text).substitute(names) for path, text in templates.items()}
