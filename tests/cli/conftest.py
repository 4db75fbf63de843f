"""A person at a terminal, with a project and a home."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE = 100.0
"""Seconds; nothing here takes a tenth of it unless it hangs."""

PROJECT = {
    "hello.py": """
        import enum
        import volant

        env = volant.TaskEnvironment(name="hello")

        class Colour(enum.Enum):
            RED = "r"

        @env.task
        async def main(n: int = 1, name: str = "x", colour: Colour = Colour.RED, dry_run: bool = False) -> str:
            "Say hello."
            print("captured, not shown")
            return f"{n} {name} {colour.name} {dry_run}"

        @env.task
        async def needs(number: int, numbers: list[int]) -> list[int]:
            return [number * each for each in numbers]

        @env.task
        async def only_positional(first: int, /, second: int = 2) -> tuple[int, int]:
            return first, second

        @env.task
        async def nothing() -> None: ...

        def helper(key: str) -> str:
            return {}[key]

        @env.task
        async def inner(key: str) -> str:
            print("before it fails")
            return helper(key)

        @env.task
        async def fails(key: str = "missing") -> str:
            return await inner(key)

        @env.task
        async def prints(loud: bool | None = None, names: list[str] | None = None, no_loud: int = 0) -> list[dict]:
            '''Print each name.

            Args:
                names: Who is
                    greeted.
            '''
            for name in names or []:
                print("hello", name)
            return [{"name": name, "loud": loud} for name in names or []]
    """,
    "one.py": """
        import volant
        env = volant.TaskEnvironment(name="one")
        @env.task
        def single(x: float = 0.5) -> float:
            return x * 2
    """,
    "entry.py": """
        import volant
        env = volant.TaskEnvironment(name="entry")
        @env.task
        async def other() -> str: return "other"
        @env.task(entrypoint=True)
        async def start(name: str = "run") -> str: return f"start {name}"
    """,
    "broken.py": """
        import volant
        def deeper(): raise LookupError("at import")
        deeper()
    """,
    "exits.py": "raise SystemExit(3)",
    "wrong.py": """
        import volant
        env = volant.TaskEnvironment(name="wrong", resources=volant.Resources(cpu="many"))
    """,
    "imports_broken.py": "import broken",
    "package/__init__.py": "",
    "package/module.py": """
        import volant
        from package import names
        env = volant.TaskEnvironment(name="package")
        @env.task
        async def only() -> str: return names.NAME
    """,
    "package/names.py": "NAME = 'from a package'",
    "numbers.json": "[1, 2, 3]",
    "empty.py": "x = 1",
    "slow.py": """
        import asyncio, pathlib, signal, time, volant
        env = volant.TaskEnvironment(name="slow")
        @env.task(entrypoint=True)
        async def main(mark: str) -> None:
            pathlib.Path(mark).touch()
            await asyncio.sleep(1000)
        @env.task
        def sleeps(mark: str) -> None:
            pathlib.Path(mark).touch()
            time.sleep(1000)
        @env.task
        def loops(mark: str) -> None:
            async def forever() -> None:
                pathlib.Path(mark).touch()
                await asyncio.sleep(1000)
            asyncio.run(forever())
        @env.task
        async def computes(mark: str) -> None:
            pathlib.Path(mark).touch()
            until = time.monotonic() + 0.5
            while time.monotonic() < until: pass
        @env.task
        def loops_over(mark: str) -> None:
            async def forever() -> None:
                asyncio.ensure_future(computes(mark))
                await asyncio.sleep(1000)
            asyncio.run(forever())
        @env.task(retries=2)
        def naps(mark: str, n: int) -> None:
            pathlib.Path(mark).touch()
            time.sleep(2)
        @env.task
        def swallows(mark: str) -> int:
            for n in range(3):
                try: naps(mark, n)
                except Exception: pass
            return 1
        @env.task
        def maps(mark: str) -> int:
            return len(list(volant.map(naps, [mark] * 3, range(3))))
        @env.task
        def stubborn(mark: str) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            pathlib.Path(mark).touch()
            time.sleep(1000)
    """,
}


class Person:
    """Types commands in a project."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VOLANT_")}
        self.environ = {
            **kept,
            "VOLANT_HOME": str(home),
            "PYTHONWARNINGS": "error",
            "VOLANT_GRACE_PERIOD": "1",
            "COLUMNS": "120",
        }

    def types(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """What `volant ARGUMENTS` prints, and its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "volant", *arguments],
            capture_output=True,
            text=True,
            env={**self.environ, **variables},
            cwd=self.folder,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def begins(self, *arguments: str) -> "subprocess.Popen[str]":
        """The same, without waiting."""
        return subprocess.Popen(
            [sys.executable, "-m", "volant", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environ,
            cwd=self.folder,
        )


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("project")
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    found = Person(tmp_path_factory.mktemp("h") / "home", folder)
    yield found
    done = found.types("engine", "stop", "--abort-runs")
    assert done.returncode == 0, done.stderr
