"""Questions about runs and actions, answered from the journal."""

from volant.decide.live import outcome_of
from volant.engine.engine import Engine
from volant.model.control_protocol import (
    ActionDetails,
    ActionList,
    GetAction,
    ListActions,
    ListRuns,
    RunDetails,
    RunList,
)
from volant.model.errors import ActionNotFoundError, RunNotFoundError
from volant.model.ids import ActionId, RunId
from volant.model.records import RunRecord
from volant.model.worker_protocol import Outcome
from volant.ports.journal import Journal, RunFilter


class Lookups:
    """What the journal has, and whether the engine executes it now."""

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine

    async def run(self, run: RunId) -> RunRecord:
        """The run of this name.

        Raises:
            RunNotFoundError: there is none.
        """
        record = await self._journal.run(run)
        if record is None:
            msg = f"there is no run named '{run}' in this home"
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
        names = await self._journal.matching_runs(name, limit=5)
        if len(names) > 1:
            msg = f"'{name}' is the start of several runs: {', '.join(names)}"
            raise RunNotFoundError(msg, hint="give more of the name")
        return await self.run(names[0] if names else RunId(name))

    async def end(self, run: RunId) -> tuple[RunRecord, Outcome | None]:
        """A run that has ended, and the outcome of its root."""
        record = await self.run(run)
        root = await self._journal.action(run, record.root)
        return record, None if root is None else outcome_of(root)

    async def details(self, request: int, name: str) -> RunDetails:
        """Answers `GetRun`."""
        record = await self.named(name)
        counts = await self._journal.count_actions(record.run)
        root = await self._journal.action(record.run, record.root)
        return RunDetails(
            request=request,
            run=record,
            counts={str(phase): count for phase, count in counts.items()},
            root_outputs=None if root is None else root.outputs,
            live=record.run in self._engine.runs,
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

    async def action(self, message: GetAction) -> ActionDetails:
        """Answers `GetAction`.

        Raises:
            RunNotFoundError: there is no such run.
            ActionNotFoundError: it has no such action.
        """
        record = await self.named(message.run)
        action = await self._journal.action(record.run, ActionId(message.action))
        if action is None:
            msg = f"run '{record.run}' has no action '{message.action}'"
            raise ActionNotFoundError(msg, hint=f"`volant get run {record.run}` lists them")
        spec = await self._journal.spec(action.spec)
        return ActionDetails(
            request=message.request,
            action=action,
            attempts=tuple(await self._journal.attempts(record.run, action.action)),
            spec_body=b"" if spec is None else spec.body,
        )
