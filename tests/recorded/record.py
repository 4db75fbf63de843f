"""Records a home for later versions to read: `python -m tests.recorded.record tests/assets/recorded-N`.

To be run once for each release whose journal differs from the one before. What says where it was made is replaced.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from volant.journal.sqlite import SqliteJournal
from volant.model.control_protocol import RunOptions
from volant.model.records import Batch
from volant.model.submissions import decode_submission, encode_submission
from volant.ports.journal import RunFilter

RUNS = ("finished", "failed", "aborted", "interrupted", "inline")
_NOWHERE = "/recorded"
_PATIENCE = 60.0


def main(target: Path) -> None:
    """Record, tidy, and write beside it what the command line shows."""
    with tempfile.TemporaryDirectory(prefix="volant-recorded-") as folder:
        home = Path(folder, "home")
        project = Path(folder, "project")
        project.mkdir()
        shutil.copy(Path(__file__).with_name("pipeline.py"), project)
        environ = {**os.environ, "VOLANT_HOME": str(home), "RECORDED_GATE": f"{folder}/gate"}
        _record(project, home, environ)
        asyncio.run(_tidy(home / "journal.db"))
        target.mkdir(parents=True)
        shutil.copy(home / "journal.db", target)
        shutil.copytree(home / "blobs", target / "blobs")
        shown = {run: _shown(run, project, environ) for run in RUNS}
        (target / "expected.json").write_text(json.dumps(shown, indent=1) + "\n")
        _volant(project, environ, "engine", "stop")


def _record(project: Path, home: Path, environ: dict[str, str]) -> None:
    point = '{"x": 5, "names": ["a"]}'
    _volant(
        project,
        environ,
        "run",
        "--name",
        "finished",
        "--label",
        "kind=sample",
        "pipeline.py",
        "finished",
        "--point",
        point,
    )
    _volant(project, environ, "run", "--name", "inline", "--mode", "inline", "pipeline.py", "square", "--n", "7")
    _volant(project, environ, "run", "--name", "failed", "pipeline.py", "failed", "--n", "3", ok=False)
    for name in ("aborted", "interrupted"):
        log = project.parent / f"{name}.log"
        started = subprocess.Popen(
            [sys.executable, "-m", "volant", "run", "--name", name, "pipeline.py", "interrupted", "--n", "4"],
            cwd=project,
            env={**environ, "RECORDED_LOG": str(log)},
        )
        until = time.monotonic() + _PATIENCE
        while not log.exists() or log.read_text().count("gate") < 2:
            assert time.monotonic() < until, "the gates were not reached"
            time.sleep(0.05)
        if name == "aborted":
            _volant(project, environ, "abort", "run", name)
        else:
            _kill_all(started, home)
        started.wait(_PATIENCE)


def _kill_all(client: "subprocess.Popen[bytes]", home: Path) -> None:
    client.kill()
    engine = psutil.Process(json.loads((home / "engine.lock").read_text())["pid"])
    for process in [engine, *engine.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


async def _tidy(path: Path) -> None:
    """Replace what names this machine, by the journal's own means."""
    journal = await SqliteJournal.open(path)
    for record in await journal.runs(RunFilter()):
        options, code = decode_submission(record.options)
        assert isinstance(options, RunOptions)
        code = msgspec.structs.replace(
            code,
            interpreter=f"{_NOWHERE}/python",
            package_root=f"{_NOWHERE}/src",
            sys_path=(f"{_NOWHERE}/project",),
            cwd=f"{_NOWHERE}/project",
        )
        replaced = msgspec.structs.replace(
            record, options=encode_submission(options, code), blobs=f"file://{_NOWHERE}/blobs"
        )
        actions = [action for _, action in await journal.actions(record.run)]
        attempts = [
            msgspec.structs.replace(attempt, host="recorded", log=f"{_NOWHERE}/logs/{Path(attempt.log or '').name}")
            for action in actions
            for attempt in await journal.attempts(record.run, action.action)
        ]
        await journal.commit(Batch(runs=(replaced,), actions=tuple(actions), attempts=tuple(attempts)))
    await journal.close()


def _shown(run: str, project: Path, environ: dict[str, str]) -> object:
    found = json.loads(_volant(project, environ, "get", "run", run, "-o", "json").stdout)
    values = json.loads(_volant(project, environ, "get", "io", run, "-o", "json").stdout)
    return {"run": found, "io": values}


def _volant(
    project: Path, environ: dict[str, str], *arguments: str, ok: bool = True
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "volant", *arguments],
        cwd=project,
        env=environ,
        check=ok,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
