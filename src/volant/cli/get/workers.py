"""`volant get workers`: live attempts and warm interpreters, with what they use."""

from typing import Any

import click

from volant.api.program import program
from volant.cli.commands import Command
from volant.cli.get.options import output_option
from volant.cli.shapes import WorkerShape, WorkersShape, ZygoteShape, wait_as_json
from volant.cli.showing import duration_of, print_json
from volant.cli.tables import dim, phase_cell, print_table
from volant.client.driving import drive
from volant.client.lines import format_seconds
from volant.client.waits import describe_wait
from volant.kit.memory import private_memory, tree_memory
from volant.kit.processes import cpu_time_and_state
from volant.kit.quantities import format_bytes
from volant.model.control_protocol import (
    EngineStatus,
    GetStatus,
    ListWorkers,
    WorkerList,
    WorkerStatus,
    ZygoteStatus,
)

_WORKERS = ("PROCESS", "RUN", "TASK", "ACTION", "ATTEMPT", "PHASE", "FOR", "CPU", "MEMORY", "")
_ZYGOTES = ("ZYGOTE", "ENVIRONMENT", "FORKS", "MEMORY")


@click.command("workers", cls=Command)
@output_option
def command(output: str) -> None:
    """List the processes that work for this home: attempts, and the interpreters that they are forked from.

    Memory is that of the whole process tree, without what it shares with others. No engine is started for this.
    """
    workers, zygotes = drive(_look, name="volant get workers")
    if output == "json":
        print_json(
            WorkersShape(
                workers=[_worker_as_json(each) for each in workers], zygotes=[_zygote_as_json(each) for each in zygotes]
            )
        )
        return
    if not workers and not zygotes:
        click.echo(f"nothing works for {program.settings().home}", err=True)
        return
    if workers:
        print_table(_WORKERS, [_worker_row(each) for each in workers], cuts=(9, 1, 2), drops=(9, 4, 3))
    if zygotes:
        if workers:
            click.echo()
        print_table(_ZYGOTES, [_zygote_row(each) for each in zygotes], cuts=(1,))


async def _look() -> tuple[tuple[WorkerStatus, ...], tuple[ZygoteStatus, ...]]:
    async with program.client().running_connection() as connection:
        if connection is None:
            return (), ()
        workers = await connection.ask(lambda number: ListWorkers(request=number), WorkerList)
        status = await connection.ask(lambda number: GetStatus(request=number), EngineStatus)
    return workers.workers, status.zygotes


def _usage(pid: int | None) -> tuple[float | None, int | None]:
    """CPU seconds and bytes of a process tree; None for one that is gone."""
    if pid is None or (memory := tree_memory(pid)) is None:
        return None, None
    return cpu_time_and_state(pid)[0], memory


def _worker_as_json(worker: WorkerStatus) -> WorkerShape:
    cpu, memory = _usage(worker.pid)
    return {
        "pid": worker.pid,
        "run": worker.run,
        "action": worker.action,
        "task": worker.task,
        "environment": worker.environment,
        "attempt": worker.attempt + 1,
        "phase": worker.phase.value,
        "mode": worker.mode,
        "started_at": worker.started_at,
        "cpu_seconds": cpu,
        "memory": memory,
        "waits": wait_as_json(worker.wait),
    }


def _zygote_as_json(zygote: ZygoteStatus) -> ZygoteShape:
    return {
        "pid": zygote.pid,
        "environment": zygote.environment,
        "imported": zygote.imported,
        "forks": zygote.forks,
        "memory": private_memory(zygote.pid),
    }


def _worker_row(worker: WorkerStatus) -> tuple[Any, ...]:
    cpu, memory = _usage(worker.pid)
    return (
        "" if worker.pid is None else str(worker.pid),
        worker.run,
        worker.task,
        dim(worker.action[:8]),
        str(worker.attempt + 1) if worker.attempt else "",
        phase_cell(worker.phase),
        duration_of(worker.started_at, None),
        "" if cpu is None else format_seconds(cpu),
        "" if memory is None else format_bytes(memory),
        dim("" if worker.wait is None else describe_wait(worker.wait)),
    )


def _zygote_row(zygote: ZygoteStatus) -> tuple[Any, ...]:
    memory = private_memory(zygote.pid)
    return (
        str(zygote.pid),
        zygote.environment if zygote.imported else f"{zygote.environment} (imports for each)",
        str(zygote.forks),
        "" if memory is None else format_bytes(memory),
    )
