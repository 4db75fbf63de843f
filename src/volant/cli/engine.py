"""`volant engine status|stop|log`: nothing here starts an engine."""

import asyncio
import contextlib
from collections import deque

import click

from volant.api.program import program
from volant.cli.commands import Command, Group
from volant.cli.failing import EXIT_FAILED
from volant.cli.showing import duration_of, print_json
from volant.client.connection import Connection
from volant.client.driving import drive
from volant.client.starting import reach_engine
from volant.kit.homes import engine_log_path
from volant.kit.quantities import format_bytes, format_cpu
from volant.model.control_protocol import Done, EngineStatus, GetStatus, StopEngine
from volant.model.errors import EngineError, EngineGoneError

_LEAVING = 30.0
"""Seconds that an engine may take to let go of its home once it has said that it leaves."""


@click.group("engine", cls=Group)
def command() -> None:
    """Look at the engine of the home, or stop it."""


@command.command("status", cls=Command)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text")
def status(output: str) -> int:
    """Show what the engine is doing. The exit code is 1 when none runs."""
    found = drive(_status, name="volant engine status")
    if found is None:
        click.echo(f"no engine runs for {program.settings().home}", err=True)
        return EXIT_FAILED
    if output == "json":
        print_json(found)
    else:
        _print_status(found)
    return 0


@command.command("stop", cls=Command)
@click.option("--abort-runs", is_flag=True, help="Abort the runs that it executes; without it a busy engine stays.")
def stop(abort_runs: bool) -> None:
    """Stop the engine, and wait until it has left."""
    home = program.settings().home
    stopped = drive(lambda: _stop(abort_runs=abort_runs), name="volant engine stop")
    click.echo(f"the engine of {home} has left" if stopped else f"no engine runs for {home}", err=True)


@command.command("log", cls=Command)
@click.option("--lines", "-n", type=click.IntRange(1), default=100, show_default=True, help="So many of the last ones.")
def log(lines: int) -> None:
    """Print what the engine wrote, over all its lives."""
    path = engine_log_path(program.settings().home)
    try:
        with path.open(encoding="utf-8", errors="replace") as opened:
            found = deque(opened, maxlen=lines)
    except FileNotFoundError:
        click.echo(f"no engine has run for {path.parent}", err=True)
        return
    for line in found:
        click.echo(line, nl=False)


async def _status() -> EngineStatus | None:
    async with program.client().running_connection() as connection:
        if connection is None:
            return None
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
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LEAVING
    await asyncio.wait([connection.gone], timeout=_LEAVING)
    while loop.time() < deadline:
        reached = reach_engine(connection.home)
        if reached is None:
            return
        reached.close()
        await asyncio.sleep(0.02)
    msg = f"the engine of {connection.home} said that it leaves, but is still there after {_LEAVING:g} s"
    raise EngineError(msg, hint="volant engine log shows what it is doing")


def _print_status(found: EngineStatus) -> None:
    lines = (
        ("home", found.home),
        ("process", found.pid),
        ("version", found.version),
        ("up", duration_of(found.started_at, None)),
        ("clients", found.clients - 1),
        ("runs", ", ".join(found.live_runs) or "none"),
        ("actions", f"{found.live_actions:,} live, {found.queued_actions:,} queued, {found.live_attempts:,} running"),
        ("cpu", f"{format_cpu(found.cpu_used)} of {format_cpu(found.cpu)} cores"),
        ("memory", format_bytes(found.resident_memory)),
        ("zygotes", len(found.zygotes)),
    )
    for name, value in lines:
        click.echo(f"{name:<9} {value}")
    for zygote in found.zygotes:
        click.echo(f"  {zygote.pid}  {zygote.environment}  {zygote.forks} forks")
