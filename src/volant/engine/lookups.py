"""Questions about runs, actions and tasks, answered from the journal."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from volant.decide.live import outcome_of
from volant.engine.engine import Engine
from volant.kit.nearest import did_you_mean
from volant.model.control_protocol import (
    ActionDetails,
    ActionList,
    ActionSummary,
    GetAction,
    ListActions,
    ListRuns,
    ListSummaries,
    ListTasks,
    ListWorkers,
    RunDetails,
    RunList,
    SummaryList,
    TaskList,
    TaskRecord,
    WorkerList,
    WorkerStatus,
)
from volant.model.errors import ActionNotFoundError, RunNotFoundError
from volant.model.ids import RunId
from volant.model.records import ActionRecord, RunRecord
from volant.model.specs import ActionSpec, Loader
from volant.model.worker_protocol import Outcome
from volant.ports.journal import Journal, RunFilter
from volant.ports.leases import Leases

_CANDIDATES = 5
"""So many names are listed when one is ambiguous."""
_NEAR = 200
"""So many of the newest names are compared with one that is unknown."""
_NAMED = 2000
"""So many actions of a run, the first ones, are found by the name of their task."""
_MOST_SPECS = 4000
_AT_ONCE = 200
"""Specs that are read in one turn of the loop."""

_decode_spec = msgspec.msgpack.Decoder(ActionSpec).decode


class Lookups:
    """What the journal has, and whether the engine executes it now."""

    def __init__(self, journal: Journal, engine: Engine, leases: Leases) -> None:
        self._journal = journal
        self._engine = engine
        self._leases = leases

    async def run(self, run: RunId) -> RunRecord:
        """The run of this name.

        Raises:
            RunNotFoundError: there is none.
        """
        record = await self._journal.run(run)
        if record is None:
            newest = await self._journal.runs(RunFilter(limit=_NEAR))
            near = did_you_mean(run, _beginnings([each.run for each in newest], len(run)))
            msg = f"there is no run named '{run}' in this home{near}"
            raise RunNotFoundError(msg, hint="`volant get runs` lists them")
        return record

    async def named(self, name: str) -> RunRecord:
        """The run of this name, or the only one whose name starts so.

        Raises:
            RunNotFoundError: there is none, or several.
        """
        record = await self._journal.run(RunId(name))
        if record is not None:
            return record
        names = await self._journal.matching_runs(name, limit=_CANDIDATES + 1)
        if len(names) > 1:
            msg = f"'{name}' is the start of several runs: {_listed(names)}"
            raise RunNotFoundError(msg, hint="give more of the name")
        return await self.run(names[0] if names else RunId(name))

    async def end(self, run: RunId) -> tuple[RunRecord, Outcome | None]:
        """A run that has ended, and the outcome of its root."""
        record = await self.run(run)
        root = await self._journal.action(run, record.root)
        return record, None if root is None else outcome_of(root)

    async def is_elsewhere(self, record: RunRecord) -> bool:
        """Whether another engine, on the same database, has the run and its lease has not run out.

        Raises:
            JournalError: the store did not answer.
        """
        if record.phase.is_final or record.run in self._engine.runs or self._leases.duration == timedelta.max:
            return False
        return record.owner != self._leases.owner and record.run not in await self._leases.reap()

    async def details(self, request: int, name: str) -> RunDetails:
        """Answers `GetRun`."""
        record = await self.named(name)
        # Asked before the row is read: a run that ends meanwhile was live.
        is_live = record.run in self._engine.runs
        if not is_live and not record.phase.is_final:
            record = await self.run(record.run)
        counts = await self._journal.count_actions(record.run)
        root = await self._journal.action(record.run, record.root)
        return RunDetails(
            request=request,
            run=record,
            counts={str(phase): count for phase, count in counts.items()},
            root_outputs=None if root is None else root.outputs,
            live=is_live,
            elsewhere=await self.is_elsewhere(record),
        )

    async def runs(self, message: ListRuns) -> RunList:
        """Answers `ListRuns`."""
        where = RunFilter(
            phases=message.phases,
            task=message.task,
            labels=tuple(message.labels.items()),
            since=message.since,
            before=message.before,
            limit=message.limit,
        )
        return RunList(request=message.request, runs=tuple(await self._journal.runs(where)))

    async def actions(self, message: ListActions) -> ActionList:
        """Answers `ListActions`."""
        page = await self._journal.actions(
            message.run, parent=message.parent, phases=message.phases, after=message.after, limit=message.limit
        )
        position = page[-1][0] if page else message.after
        return ActionList(request=message.request, actions=tuple([record for _, record in page]), position=position)

    async def summaries(self, message: ListSummaries) -> SummaryList:
        """Answers `ListSummaries`."""
        page = await self._journal.actions(
            message.run, parent=message.parent, phases=message.phases, after=message.after, limit=message.limit
        )
        waits = self._engine.why_waiting(message.run, [each.action for _, each in page if not each.phase.is_final])
        return SummaryList(
            request=message.request,
            actions=tuple([ActionSummary.of(each, waits.get(each.action)) for _, each in page]),
            position=page[-1][0] if page else message.after,
        )

    async def action(self, message: GetAction) -> ActionDetails:
        """Answers `GetAction`.

        Raises:
            RunNotFoundError: there is no such run.
            ActionNotFoundError: it has no such action, or several.
        """
        record = await self.named(message.run)
        action = await self.action_named(record.run, message.action)
        spec = await self._journal.spec(action.spec)
        return ActionDetails(
            request=message.request,
            action=action,
            attempts=tuple(await self._journal.attempts(record.run, action.action)),
            spec_body=b"" if spec is None else spec.body,
            wait=self._engine.why_waiting(record.run, [action.action]).get(action.action),
        )

    async def action_named(self, run: RunId, name: str) -> ActionRecord:
        """The action of a run with this id, or the only one whose id starts so, or the only call of a task so named.

        Raises:
            ActionNotFoundError: there is none, or several.
        """
        ids = await self._journal.matching_actions(run, name.lower(), limit=_CANDIDATES + 1) if name else ()
        if len(ids) > 1:
            msg = f"'{name}' is the start of several actions of run '{run}': {_listed([each[:12] for each in ids])}"
            raise ActionNotFoundError(msg, hint="give more of the id")
        if ids:
            found = await self._journal.action(run, ids[0])
            if found is not None:
                return found
        return await self._called(run, name)

    async def _called(self, run: RunId, name: str) -> ActionRecord:
        actions = [each for _, each in await self._journal.actions(run, limit=_NAMED)]
        named = [each for each in actions if name in (each.task, each.short_name)]
        if len(named) == 1:
            return named[0]
        if named:
            shown = [each.action[:12] for each in named[: _CANDIDATES + 1]]
            msg = f"run '{run}' called task '{name}' several times: {_listed(shown)}"
            raise ActionNotFoundError(msg, hint="give the beginning of an id")
        names = {name: None for each in actions for name in (each.short_name, each.task, each.action)}
        msg = f"run '{run}' has no action '{name}'{did_you_mean(name, names)}"
        raise ActionNotFoundError(msg, hint=f"`volant get run {run}` lists them")

    async def tasks(self, message: ListTasks) -> TaskList:
        """Answers `ListTasks`."""
        found: dict[str, TaskRecord] = {}
        for number, spec in enumerate(await self._journal.specs(limit=_MOST_SPECS), start=1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                settings = _decode_spec(spec.body)
            except msgspec.MsgspecError:
                # Written by a release whose specs this one cannot read.
                continue
            if settings.task in found or message.task not in (None, settings.task):
                continue
            if message.environment not in (None, settings.environment):
                continue
            loader = Loader(kind=settings.loader.kind, module=settings.loader.module, qualname=settings.loader.qualname)
            found[settings.task] = TaskRecord(
                spec=spec.spec, used_at=spec.used_at, settings=msgspec.structs.replace(settings, loader=loader)
            )
            if len(found) >= message.limit:
                break
        return TaskList(request=message.request, tasks=tuple(found.values()))

    def workers(self, message: ListWorkers) -> WorkerList:
        """Answers `ListWorkers`."""
        return WorkerList(
            request=message.request,
            workers=tuple(
                WorkerStatus(
                    run=run,
                    action=action.id,
                    attempt=attempt.number,
                    task=action.spec.task,
                    environment=action.spec.environment,
                    phase=attempt.phase,
                    mode=self._engine.runs[run].options.mode,
                    pid=attempt.pid,
                    started_at=attempt.started_at,
                    wait=self._engine.why_waiting(run, [action.id]).get(action.id),
                )
                for run, action, attempt in self._engine.attempts()
                if run in self._engine.runs
            ),
        )


def _beginnings(names: Sequence[str], length: int) -> list[str]:
    """The names, and of longer ones what may have been meant by so many characters."""
    return [*names, *(name[:length] for name in names if len(name) > length)]


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _CANDIDATES else ""
    return ", ".join(names[:_CANDIDATES]) + more
