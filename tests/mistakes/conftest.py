"""What mistakes are made in: a project, a home, and a way to see that nothing was written there."""

import asyncio
import hashlib
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.mistakes.catalogue import write_accepted
from volant.api.program import program
from volant.authoring.registry import default_registry
from volant.client.reporting import Silent
from volant.kit.homes import config_path, engine_log_path, journal_path
from volant.model.control_protocol import Done, StopEngine
from volant.model.errors import VolantError

SECONDS = 20
"""A mistake is answered at once; what takes this long hangs."""

PREAMBLE = """\
import asyncio, enum, functools, threading
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict
import volant
from volant import *
from volant import errors
env = TaskEnvironment("env")
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "mistakes" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


def pytest_sessionfinish() -> None:
    write_accepted()


class Place:
    """A home, and a folder with the user's files."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder

    def written(self) -> str:
        """All that a run would leave in the home, as one text to compare: rows of the journal, blobs, logs."""
        if not self.home.exists():
            return "no home"
        spoken = (config_path(self.home), engine_log_path(self.home))
        files = [
            f"{path.relative_to(self.home)} {path.stat().st_size}"
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and path not in spoken and not path.name.startswith("journal.db")
        ]
        return "\n".join([*files, *_rows(journal_path(self.home))])

    def counts(self) -> dict[str, int]:
        """How many rows each table of the journal has."""
        return {line.split()[0]: int(line.split()[1]) for line in _rows(journal_path(self.home))}

    def anonymous(self, text: str) -> str:
        """The same text on every machine."""
        for path, name in ((self.home, "HOME"), (self.folder, "FOLDER")):
            text = text.replace(str(path), name)
        text = re.sub(re.escape(sys.base_prefix) + r"/lib/python3\.[0-9]+", "PYTHON", text)
        assert " at 0x" not in text  # an address tells nobody anything
        return text

    def execute(self, text: str, *, name: str = "mistake") -> ModuleType:
        """Execute a snippet as a module of the user's."""
        file = self.folder / f"{name}.py"
        source = f"{PREAMBLE}\n{text}"
        file.write_text(source, encoding="utf-8")
        module = ModuleType(name)
        module.__file__ = str(file)
        sys.modules[name] = module
        exec(compile(source, str(file), "exec"), module.__dict__)
        return module

    def told(self, error: BaseException) -> str:
        """What somebody reads who made the mistake."""
        hint = f"\nhint: {error.hint}" if isinstance(error, VolantError) and error.hint else ""
        return self.anonymous(f"{type(error).__name__}: {error}{hint}")


def _rows(journal: Path) -> list[str]:
    if not journal.exists():
        return []
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_schema where type = 'table'")]
        found = [(name, database.execute(f"select * from {name}").fetchall()) for name in sorted(tables)]
    database.close()
    return [f"{name} {len(rows)} {hashlib.sha256(repr(rows).encode()).hexdigest()[:8]}" for name, rows in found]


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Place]:
    """A short path, since sockets lie there; the engine that somebody started there is stopped in the end."""
    with tempfile.TemporaryDirectory(prefix="vm") as folder:
        base = Path(folder).resolve()
        (base / "project").mkdir()
        place = Place(base / "home", base / "project")
        yield place
        if place.home.exists():
            asyncio.run(stop_engine(place.home))


async def stop_engine(home: Path) -> None:
    settings = program.settings({"home": home, "mode": None})
    async with program.client(settings).running_connection() as connection:
        if connection is not None:
            await connection.ask(lambda number: StopEngine(request=number, abort_runs=True), Done)
            await connection.gone


@pytest.fixture
def place(shared_place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A program that has told Volant nothing yet, in a home and a folder of the module's own."""
    for name in [name for name in os.environ if name.startswith("VOLANT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VOLANT_HOME", str(shared_place.home))
    monkeypatch.chdir(shared_place.folder)
    monkeypatch.setattr(program, "arguments", {})
    monkeypatch.setattr(program, "flags", {})
    monkeypatch.setattr(program, "endpoint", None)
    monkeypatch.setattr(program, "reporters", lambda _mode: Silent())
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    with default_registry.isolated():
        yield shared_place
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and str(shared_place.folder) in file:
            del sys.modules[name]
