"""Clients: who submits a run and watches it to its end, whatever becomes of engines; and who looks on, or aborts."""

import asyncio
from typing import Protocol

from tests.simulation.laws import Laws
from tests.simulation.machine import Machine, Process
from tests.simulation.programs import Program
from tests.simulation.wires import Wire
from volant.model.code import CodeSource
from volant.model.control_protocol import (
    CONTROL_PROTOCOL_VERSION,
    AbortRun,
    ClientToEngine,
    EngineToClient,
    Hello,
    Refused,
    ResumeRun,
    RunEvents,
    RunOptions,
    SubmitRun,
    WatchRun,
)
from volant.model.ids import RunId
from volant.model.payloads import Inline
from volant.model.records import RunRecord
from volant.testing.memory_journal import MemoryStore

CODE = CodeSource(interpreter="python", package_root="", sys_path=(), cwd="/", digest="")
_CAUTION = 150.0
"""Seconds; longer than any commit takes."""


class ConnectionEnded(Exception):
    """The engine is gone, or let go of this client."""


class Engines(Protocol):
    """Where clients find engines."""

    def connect(self, client: Process, *, slowest: float) -> Wire | None:
        """A connection to an engine that listens; None, and one is on its way, when there is none."""
        ...


class Peer:
    """A connection that asks and is told."""

    def __init__(self, wire: Wire, laws: Laws) -> None:
        self._wire = wire
        self._laws = laws
        self._request = 0
        self.events: list[RunEvents] = []

    async def greet(self) -> None:
        self._wire.say(Hello(protocol=CONTROL_PROTOCOL_VERSION, version="1", pid=7))
        await self._answer()

    def next_request(self) -> int:
        self._request += 1
        return self._request

    async def ask(self, message: ClientToEngine) -> EngineToClient:
        """The answer; what it hears of runs meanwhile is kept in `events`."""
        self._wire.say(message)
        return await self._answer()

    async def next_events(self) -> RunEvents:
        if self.events:
            return self.events.pop(0)
        heard = await self._hear()
        assert isinstance(heard, RunEvents), heard
        return heard

    def leave(self) -> None:
        self._wire.end()

    async def _answer(self) -> EngineToClient:
        while isinstance(heard := await self._hear(), RunEvents):
            self.events.append(heard)
        if isinstance(heard, Refused) and "the engine failed" in heard.message:
            raise self._laws.broken("an engine does not fail", heard.message)
        return heard

    async def _hear(self) -> EngineToClient:
        heard = await self._wire.heard.get()
        if heard is None:
            raise ConnectionEnded
        return heard


class Watching:
    """Follows a run, and sees that nothing of its feed is missing."""

    def __init__(self, run: RunId, laws: Laws, store: MemoryStore) -> None:
        self.run = run
        self.cursor = 0
        self.ended: RunRecord | None = None
        self._laws = laws
        self._store = store

    def hear(self, events: RunEvents) -> None:
        for change in events.changes:
            if change.seq <= self.cursor:
                raise self._laws.broken("a watcher is told everything once", f"{self.run}: {change.seq} again")
            if change.seq != self.cursor + 1:
                what = f"{self.run}: {change.seq} after {self.cursor}"
                raise self._laws.broken("a watcher is told everything once", what)
            self.cursor = change.seq
        if events.ended is not None:
            if self.cursor != len(self._store.runs[self.run].changes):
                what = f"{self.run}: it ended after {self.cursor} changes"
                raise self._laws.broken("a watcher is told everything once", what)
            self.ended = events.ended


class Client:
    """Submits one run and stays until it is told its end."""

    def __init__(
        self,
        machine: Machine,
        engines: Engines,
        laws: Laws,
        store: MemoryStore,
        *,
        run: RunId,
        program: Program,
        is_cautious: bool,
    ) -> None:
        """*is_cautious*: it gives an engine that does not answer time to write the run, before it asks another. Two
        engines that create runs of one name at once can disturb one another; see `take_unowned` of the journal on
        Postgres, whose port allows rows for whatever nobody owns."""
        self.process = Process(machine, f"client-{run}")
        self.watching = Watching(run, laws, store)
        self.options = RunOptions(
            name=run,
            grace_period=machine.random.choice([0.1, 5.0]),
            max_action_concurrency=machine.random.choice([None, None, None, 1, 3]),
        )
        self._machine = machine
        self._engines = engines
        self._laws = laws
        self._program = program
        self._has_asked = self._is_accepted = False
        self._is_cautious = is_cautious
        self.process.start(self._main())

    async def _main(self) -> None:
        random = self._machine.random
        while self.watching.ended is None:
            wire = self._engines.connect(self.process, slowest=random.choice([0.001, 0.05]))
            if wire is None:
                await asyncio.sleep(random.uniform(0.05, 0.5))
                continue
            peer = Peer(wire, self._laws)
            try:
                await peer.greet()
                if await self._is_executed(peer):
                    await self._watch(peer)
            except ConnectionEnded:
                if self._has_asked and not self._is_accepted and self._is_cautious:
                    await asyncio.sleep(_CAUTION)
            peer.leave()
            await asyncio.sleep(random.uniform(0.0, 2.0))

    async def _is_executed(self, peer: Peer) -> bool:
        run = self.watching.run
        if not self._is_accepted:
            self._has_asked = True
            answer = await peer.ask(self._submission(peer.next_request()))
            self._is_accepted = not isinstance(answer, Refused) or answer.error == "RunNameTakenError"
            if not isinstance(answer, Refused) or not self._is_accepted:
                return self._is_accepted
        answer = await peer.ask(ResumeRun(request=peer.next_request(), run=run, environ={}))
        if isinstance(answer, Refused):
            self._machine.note(self.process.name, f"is refused: {answer.message}")
            # Its name may have been taken by a submission of its own that was never stored.
            self._is_accepted = answer.error != "RunNotFoundError"
            return "has ended" in answer.message
        return True

    async def _watch(self, peer: Peer) -> None:
        run = self.watching.run
        peer.events.clear()
        answer = await peer.ask(WatchRun(request=peer.next_request(), run=run, after=self.watching.cursor))
        if isinstance(answer, Refused):
            return
        while self.watching.ended is None:
            self.watching.hear(await peer.next_events())

    def _submission(self, request: int) -> SubmitRun:
        task = self._program.root
        return SubmitRun(
            request=request,
            spec=task.digest,
            spec_body=task.spec_body,
            inputs=Inline(data=task.name.encode()),
            inputs_digest=task.name,
            code=CODE,
            options=self.options,
            environ={},
            watch=False,
        )


class Onlooker:
    """Watches a run from the beginning, for a while, and comes again."""

    def __init__(self, machine: Machine, engines: Engines, laws: Laws, store: MemoryStore, *, run: RunId) -> None:
        self.process = Process(machine, f"looks-{run}")
        self._machine = machine
        self._engines = engines
        self._laws = laws
        self._store = store
        self._run = run
        self.process.start(self._main())

    async def _main(self) -> None:
        random = self._machine.random
        while True:
            await asyncio.sleep(random.expovariate(0.3))
            wire = self._engines.connect(self.process, slowest=random.choice([0.001, 1.0]))
            if wire is None:
                continue
            peer = Peer(wire, self._laws)
            watching = Watching(self._run, self._laws, self._store)
            try:
                await peer.greet()
                answer = await peer.ask(WatchRun(request=peer.next_request(), run=self._run))
                if not isinstance(answer, Refused):
                    for _ in range(random.randint(1, 50)):
                        watching.hear(await peer.next_events())
                        if watching.ended is not None:
                            return
            except ConnectionEnded:
                pass
            peer.leave()


class Aborter:
    """Aborts a run, or an action of it, some time."""

    def __init__(
        self, machine: Machine, engines: Engines, laws: Laws, store: MemoryStore, *, run: RunId, after: float
    ) -> None:
        self.process = Process(machine, f"aborts-{run}")
        self.has_asked = False
        self._machine = machine
        self._engines = engines
        self._laws = laws
        self._store = store
        self._run = run
        self._after = after
        self.process.start(self._main())

    async def _main(self) -> None:
        random = self._machine.random
        await asyncio.sleep(self._after)
        while True:
            wire = self._engines.connect(self.process, slowest=0.01)
            if wire is None:
                await asyncio.sleep(0.3)
                continue
            peer = Peer(wire, self._laws)
            try:
                await peer.greet()
                stored = self._store.runs.get(self._run)
                action = None
                if stored is not None and random.random() < 0.7:
                    action = random.choice(list(stored.actions))
                self.has_asked = True
                self._machine.note(self.process.name, f"aborts {action[:5] if action else 'the run'}")
                await peer.ask(AbortRun(request=peer.next_request(), run=self._run, action=action))
            except ConnectionEnded:
                pass
            peer.leave()
            return
