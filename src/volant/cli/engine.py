"""`volant engine status|start|stop|log`: only `start` starts an engine."""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from volant.api.program import program
from volant.cli.checkup.service import other_settings
from volant.cli.columns import columns, print_plainly, stdout_console
from volant.cli.commands import Command, Group
from volant.cli.failing import EXIT_FAILED
from volant.cli.showing import duration_of, print_json
from volant.cli.usages import Count
from volant.client.connection import Connection
from volant.client.driving import drive
from volant.client.starting import is_there
from volant.kit.homes import engine_log_path
from volant.kit.quantities import format_bytes, format_cpu
from volant.kit.version import VERSION
from volant.model.control_protocol import Done, EngineStatus, GetStatus, StopEngine
from volant.model.errors import EngineError, EngineGoneError

_FORM = click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
_LOOK_AGAIN = 0.2
"""Seconds between two looks into the log that is followed."""
_LEAVING = 30.0
"""Seconds that an engine may take to let go of its home once it has said that it leaves."""


@click.group("engine", cls=Group)
def command() -> None:
    """Look at the engine of the home, start or stop it.

    One engine per home writes the journal and starts attempts. Runs start it when there is none, and it leaves when it
    has had nothing to do for a while (setting engine.linger), so that nobody needs to look after it.
    """


@command.command("status", cls=Command)
@_FORM
def status(output: str) -> int:
    """Show what the engine is doing. The exit code is 1 when none runs."""
    found = drive(_status, name="volant engine status")
    home = program.settings().home
    if output == "json":
        print_json({"running": found is not None, "home": str(home)} | ({} if found is None else _as_json(found)))
    elif found is None:
        click.echo(f"no engine runs for {home}; a run starts one", err=True)
    else:
        _print_status(found)
    return 0 if found is not None else EXIT_FAILED


@command.command("start", cls=Command)
@_FORM
def start(output: str) -> None:
    """Start the engine, or find it, and wait until it listens."""
    was_running = drive(_status, name="volant engine start") is not None
    found = drive(_start, name="volant engine start")
    if output == "json":
        print_json({"running": True, "started": not was_running, **_as_json(found)})
        return
    what = "runs already" if was_running else "runs"
    click.echo(f"the engine of {found.home} {what}, process {found.pid}", err=True)


@command.command("stop", cls=Command)
@click.option("--abort-runs", is_flag=True, help="Abort the runs that it executes; without it a busy engine stays.")
@_FORM
def stop(abort_runs: bool, output: str) -> None:
    """Stop the engine, and wait until it has left."""
    home = program.settings().home
    stopped = drive(lambda: _stop(abort_runs=abort_runs), name="volant engine stop")
    if output == "json":
        print_json({"home": str(home), "stopped": stopped})
        return
    click.echo(f"the engine of {home} has left" if stopped else f"no engine runs for {home}", err=True)


@command.command("log", cls=Command)
@click.option("--lines", "-n", type=Count(0), default=100, show_default=True, help="So many of the last ones.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what it writes from now on, until Ctrl-C.")
def log(lines: int, follow: bool) -> None:
    """Print what the engine wrote, over all its lives."""
    path = engine_log_path(program.settings().home)
    if not path.exists():
        click.echo(f"no engine has run for {path.parent}", err=True)
        if not follow:
            return
    with contextlib.suppress(KeyboardInterrupt):
        for text in log_lines(path, last=lines, pause=partial(time.sleep, _LOOK_AGAIN) if follow else None):
            click.echo(text, nl=False)


def log_lines(path: Path, *, last: int, pause: Callable[[], object] | None) -> Iterator[str]:
    """The last lines of a file that may not be there yet, and with *pause*, called when there is no more, all that
    follow: for ever, also when the file is replaced or cut."""
    position = 0
    is_first = True
    while True:
        with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as opened:
            if opened.seek(0, os.SEEK_END) < position:
                position = 0
            opened.seek(position)
            yield from deque(opened, maxlen=last) if is_first else opened
            position = opened.tell()
        is_first = False
        if pause is None:
            return
        pause()


async def _status() -> EngineStatus | None:
    async with program.client().running_connection() as connection:
        if connection is None:
            return None
        return await connection.ask(lambda number: GetStatus(request=number), EngineStatus)


async def _start() -> EngineStatus:
    async with program.client().connection() as connection:
        return await connection.ask(lambda number: GetStatus(request=number), EngineStatus)


async def _stop(*, abort_runs: bool) -> bool:
    async with program.client().running_connection() as connection:
        if connection is None:
            return False
        with contextlib.suppress(EngineGoneError):
            await connection.ask(lambda number: StopEngine(request=number, abort_runs=abort_runs), Done)
        await _until_left(connection)
        return True


async def _until_left(connection: Connection) -> None:
    """Nothing of it is left then: it ends last, after its zygotes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LEAVING
    await asyncio.wait([connection.gone], timeout=_LEAVING)
    while is_there(connection.home, connection.welcome.pid):
        if loop.time() > deadline:
            msg = f"the engine of {connection.home} (process {connection.welcome.pid}) said that it leaves, but is "
            msg += f"still there after {_LEAVING:g} s"
            raise EngineError(msg, hint="volant engine log shows what it is doing")
        await asyncio.sleep(0.02)


def _as_json(found: EngineStatus) -> dict[str, Any]:
    shown = {field: getattr(found, field) for field in found.__struct_fields__ if field != "request"}
    return shown | {"clients": found.clients - 1, "cpu": found.cpu / 1000, "cpu_used": found.cpu_used / 1000}


def _print_status(found: EngineStatus) -> None:
    lines: list[tuple[str, str]] = [
        ("home", found.home),
        ("process", str(found.pid)),
        ("version", found.version if found.version == VERSION else f"{found.version}, this is {VERSION}"),
        ("up", duration_of(found.started_at, None)),
        ("clients", str(found.clients - 1)),
        ("runs", ", ".join(found.live_runs) or "none"),
        ("actions", f"{found.live_actions:,} live, {found.queued_actions:,} queued, {found.live_attempts:,} running"),
        ("cores", f"{format_cpu(found.cpu_used)} of {format_cpu(found.cpu)} lent out"),
        ("memory", f"{format_bytes(found.resident_memory)} of its own"),
        ("zygotes", str(len(found.zygotes) or "none")),
    ]
    lines += [("", f"{zygote.pid}  {zygote.environment}  {zygote.forks:,} forks") for zygote in found.zygotes]
    if others := other_settings(found, program.settings()):
        lines += [("note", f"{others}; volant engine stop lets the next one heed it")]
    print_plainly(stdout_console(), columns((), lines))
