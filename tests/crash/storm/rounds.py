"""One round: a run from its submission to its end, and all that dies meanwhile."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.crash.storm.counting import Count, count
from tests.crash.storm.database import Database
from tests.crash.storm.victims import Victims, kill, until_gone
from volant.decide.retrying import LOST_BUDGET

RUN = "storm"
WIDTH = 13
ACTIONS_PER_GROUP = 12 + WIDTH
_ROOT = Path(__file__).resolve().parents[3]
_STUCK = 120.0
"""Seconds without a line of the log after which a round is given up: something waits for ever."""
_LONGEST = 400.0
"""Seconds after which nobody is killed any more, so that a round ends."""
_POLL = 0.02
_COMMAND = 120.0
"""Seconds that a command of the closing part may take."""
_CHANCES = {"worker": 6, "zygote": 3, "engine": 5, "client": 2, "everything": 3, "database": 4}
"""How often each kind of death is drawn, relative to the others."""


class Outcome(NamedTuple):
    """What became of a round."""

    kills: Counter[str]
    count: Count
    result: str
    seconds: float
    pauses: tuple[float, ...]
    """Seconds from each death to the next line of the log."""
    faults: tuple[str, ...]
    """A sentence for everything that is not as it should be."""


class Round:
    """A home, a project and a log of its own; everything in one folder that goes when all was well."""

    def __init__(self, database: Database, *, size: int, seed: str, pace: float, deaths: int = 10_000) -> None:
        """*pace* is the time between two deaths in seconds, on average; 0 lets everything live. There are so many
        *deaths* at most."""
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="volant-storm-")))
        self._home = self.folder / "home"
        self._project = self.folder / "project"
        self._log = self.folder / "log"
        self._temporary = self.folder / "tmp"
        self._victims = Victims(self._home)
        self._database = database
        self._groups = max(2, size // ACTIONS_PER_GROUP)
        self._chance = random.Random(seed)
        self._pace = pace
        self._deaths = deaths
        self._kills: Counter[str] = Counter()
        self._pauses: list[float] = []
        self._losses = 0
        """Since the last death of an engine: an action may lose its worker only so often."""
        self._client: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._clients = 0
        self._said = ""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("VOLANT_")}
        given = {
            "VOLANT_HOME": str(self._home),
            "TMPDIR": str(self._temporary),
            "PYTHONPATH": os.pathsep.join(str(folder) for folder in (_ROOT / "src", _ROOT)),
        }
        self._environ = {**kept, **given, **database.variables()}

    def play(self) -> Outcome:
        """Run it to its end and count. The folder stays when there are faults."""
        for path in (self._project, self._temporary):
            path.mkdir()
        shutil.copy(Path(__file__).with_name("pipeline.py"), self._project)
        self._log.touch()
        began = time.monotonic()
        faults: list[str] = []
        result = ""
        try:
            result = self._to_end()
            seconds = time.monotonic() - began
            self._close()
        except (StuckError, subprocess.SubprocessError) as error:
            faults.append(str(error))
            seconds = time.monotonic() - began
        finally:
            self._clear()
        found = count(self._log.read_text().splitlines())
        faults += [*found.broken, *self._leftovers(), *self._check_journal()]
        if not faults:
            shutil.rmtree(self.folder)
        return Outcome(self._kills, found, result, seconds, tuple(self._pauses), tuple(faults))

    # The run and those who die

    def _to_end(self) -> str:
        self._start("run", "--name", RUN, "pipeline.py", "main", *self._arguments())
        calm_from = time.monotonic() + _LONGEST
        while True:
            until = time.monotonic() + self._chance.uniform(0.4, 1.6) * self._pace
            before = self._size()
            # A death after which nothing happens any more would be hidden by the next one.
            done = self._wait(
                lambda: until <= time.monotonic() < calm_from and self._may_kill() and self._size() > before
            )
            if done is not None:
                return done
            # There may be nobody of that kind just now.
            while not self._kill(self._noted(self._drawn())) and self._look() is None:
                time.sleep(_POLL)

    def _size(self) -> int:
        return self._log.stat().st_size

    def _arguments(self) -> list[str]:
        return ["--groups", str(self._groups), "--width", str(WIDTH), "--log", str(self._log)]

    def _wait(self, is_time: Callable[[], bool]) -> str | None:
        """The run's result; None when it is time for the next death."""
        size, since = self._size(), time.monotonic()
        is_back = not self._kills
        while not is_time():
            if (result := self._look()) is not None:
                return result
            if (now := self._size()) != size:
                if not is_back:
                    is_back = True
                    self._pauses.append(time.monotonic() - since)
                size, since = now, time.monotonic()
            elif time.monotonic() - since > _STUCK:
                raise StuckError(f"nothing happened for {_STUCK:g} s; the last client said: {self._said[-500:]}")
            time.sleep(_POLL)
        return None

    def _look(self) -> str | None:
        """The run's result if there is one; clients that are not there are started."""
        if self._watcher is None or self._watcher.poll() not in (None, 0):
            self._watcher = self._spawn("watcher", "-m", "tests.crash.storm.watching", RUN, str(self._log))
        if self._client is None:
            self._start("resume", RUN)
        elif (code := self._client.poll()) is not None:
            self._said = self._text("err")
            if code == 0:
                return str(json.loads(self._text("out"))["outputs"]["o0"])
            if "has ended, SUCCEEDED" in self._said:
                self._start("attach", RUN)
            elif "no run" in self._said and not self._size():
                self._start("run", "--name", RUN, "pipeline.py", "main", *self._arguments())
            elif "ENDED" in self._said.upper() and "FAILED" in self._said:
                raise StuckError(f"the run failed: {self._said[-1500:]}")
            else:
                time.sleep(_POLL)
                self._start("resume", RUN)
        return None

    def _drawn(self) -> str:
        chances = dict(_CHANCES)
        if not self._database.can_die:
            del chances["database"]
        if self._losses >= LOST_BUDGET:
            # Another one could be the end of `main`, as it should.
            del chances["worker"], chances["zygote"]
        return self._chance.choices(list(chances), list(chances.values()))[0]

    def _may_kill(self) -> bool:
        return self._pace > 0 and self._kills.total() < self._deaths

    def _noted(self, kind: str) -> str:
        with self._log.open("ab", buffering=0) as file:
            file.write(f"death {kind}\n".encode())
            os.fsync(file.fileno())
        return kind

    def _kill(self, kind: str) -> bool:
        match kind:
            case "worker" | "zygote":
                found = self._victims.workers() if kind == "worker" else self._victims.zygotes()
                killed = kill([self._chance.choice(found)] if found else [])
                until_gone(self._victims.orphans())
                self._losses += killed
            case "engine":
                killed = kill(self._victims.engine())
                self._losses = 0 if killed else self._losses
            case "client":
                killed = self._kill_clients()
            case "everything":
                killed = self._kill_clients()
                while found := self._victims.everything():
                    killed += kill(found)
                until_gone(self._victims.orphans())
                self._losses = 0
            case _:
                self._database.die()
                killed = 1
        if killed:
            self._kills[kind] += 1
            # Once more: what was executed between the first note and the death is before it, too.
            self._noted(kind)
        return killed > 0

    def _kill_clients(self) -> int:
        clients = [client for client in (self._client, self._watcher) if client is not None]
        self._client = self._watcher = None
        for client in clients:
            client.kill()
            client.wait()
        return len(clients)

    def _start(self, *arguments: str) -> None:
        self._clients += 1
        self._client = self._spawn(f"client{self._clients}", "-m", "volant", *arguments, "-o", "json")

    def _spawn(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        # Started apart, so that Ctrl-C is for the storm alone.
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("ab") as err:
            return subprocess.Popen(
                [sys.executable, *arguments],
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env=self._environ,
                cwd=self._project,
                start_new_session=True,
            )

    def _text(self, ending: str) -> str:
        return (self.folder / f"client{self._clients}.{ending}").read_text(errors="replace")

    # The end

    def _close(self) -> None:
        """Let the watcher hear the end, and the engine leave; one that died last of all has the next tidy up."""
        self._command("engine", "start")
        if self._watcher is not None:
            self._watcher.wait(_COMMAND)
        self._command("engine", "stop", "--abort-runs")

    def _command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "volant", *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self._environ,
            cwd=self._project,
            timeout=_COMMAND,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def _clear(self) -> None:
        self._kill_clients()

    def _leftovers(self) -> list[str]:
        until = time.monotonic() + 10
        while (left := self._victims.left()) and time.monotonic() < until:
            time.sleep(_POLL)
        faults = [f"a process is left: {line}" for line in left]
        while found := self._victims.everything():
            kill(found)
        files = [path for path in self._temporary.rglob("*") if path.is_file() or path.is_socket()]
        files += [path for path in self._home.rglob("*") if _is_temporary(path)]
        return faults + [f"a file is left: {path.relative_to(self.folder)}" for path in files]

    def _check_journal(self) -> list[str]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = self._command("db", "check")
            return [] if done.returncode == 0 else [f"volant db check: {done.stdout}{done.stderr}"]
        return ["volant db check does not end"]


class StuckError(Exception):
    """A round that cannot come to its end."""


def _is_temporary(path: Path) -> bool:
    """What a home has only while something works in it."""
    # Not the write-ahead log: it is a part of the database for as long as SQLite keeps it.
    is_draft = path.name.startswith(".") or path.name.endswith((".tmp", ".part", ".sock"))
    return is_draft or (path.parent.name == "lives" and path.is_file())
