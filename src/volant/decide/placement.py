"""Which queued attempts may start now.

CPU and memory are admitted by request. A holder that only waits lends its CPU (not its memory or its
devices); when it wakes it has it again at once, beyond capacity if need be, and nothing new is admitted
until the sum is within capacity again. Runs take turns; within a run deeper actions go first, so that a
tree is finished branch by branch instead of being opened everywhere, and equals go in the order they came.

Two exceptions to "the sum of requests stays within capacity": the one above, and progress. A request larger
than the machine runs alone; and when nothing that runs can make progress, the first in line is admitted.

A run may have a bound on its running actions. One that only waits for actions that it called does not count, or a
tree deeper than the bound would never end; one that sleeps or talks to a network does, whatever became of its CPU.
Who wakes counts again at once, beyond the bound if need be; there is no exception for progress, since whoever counts
can make some.
"""

import heapq

import msgspec

from volant.model.ids import AttemptKey, RunId
from volant.model.waits import Lack, Scarce

LOOKAHEAD = 64
"""How many queued attempts behind one that does not fit are looked at, per run."""
PATIENCE = 256
"""How often one that does not fit may be passed over before everyone waits for it."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine has, or may be used of it."""

    cpu: int
    """Thousandths of a core."""
    memory: int
    """Bytes."""
    gpus: int = 0
    processes: int = 512
    """Live attempts."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt asks for."""

    cpu: int
    memory: int = 0
    gpus: int = 0
    processes: int = 1
    """0: it runs in a process that is there, and takes nothing of the machine but what its run allows."""


class Admission(msgspec.Struct, frozen=True):
    """An attempt may start; *reason* says why capacity is exceeded for it, if it is."""

    key: AttemptKey
    reason: str | None = None


class _Bound:
    """How many actions of a run may run at once, and how many do."""

    __slots__ = ("most", "running")

    def __init__(self, most: int) -> None:
        self.most = most
        self.running = 0


class _Holder:
    __slots__ = ("alone", "bound", "counts", "lent", "request")

    def __init__(self, request: Request, *, alone: bool, bound: _Bound | None) -> None:
        self.request = request
        """What it holds: no more than there is."""
        self.lent = False
        self.bound = bound
        self.counts = False
        """Whether it is one of those that run within the bound."""
        self.alone = alone


class _Entry:
    __slots__ = ("key", "passed", "request", "run", "withdrawn")

    def __init__(self, key: AttemptKey, run: RunId, request: Request) -> None:
        self.key = key
        self.run = run
        self.request = request
        self.passed = 0
        self.withdrawn = False


class Placement:
    """Who holds what, and who waits for it."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._holders: dict[AttemptKey, _Holder] = {}
        self._entries: dict[AttemptKey, _Entry] = {}
        self._queues: dict[RunId, list[tuple[int, int, _Entry]]] = {}
        self._turns: list[RunId] = []
        self._bounds: dict[RunId, _Bound] = {}
        self._count = 0
        self.cpu_used = 0
        self.memory_used = 0
        self.gpus_used = 0
        self.processes = 0
        self._alone = 0
        """Holders that run alone and have not lent their CPU."""

    @property
    def queued(self) -> int:
        """How many attempts wait."""
        return len(self._entries)

    @property
    def has_working(self) -> bool:
        """Whether a holder that asked for CPU has not lent it."""
        return self.cpu_used > 0

    def working(self) -> list[AttemptKey]:
        """Holders that have not lent their CPU."""
        return [key for key, holder in self._holders.items() if not holder.lent]

    def line(self, run: RunId) -> list[tuple[AttemptKey, Request]]:
        """Who of a run waits for what, first come first."""
        waiting = sorted(self._queues.get(run, ()))
        return [(entry.key, entry.request) for _, _, entry in waiting if not entry.withdrawn]

    def lacks(self, request: Request) -> tuple[Lack, ...]:
        """What is not free of a request now; nothing if it fits."""
        capacity = self.capacity
        asked = (
            (Scarce.CPU, request.cpu, capacity.cpu - self.cpu_used),
            (Scarce.MEMORY, request.memory, capacity.memory - self.memory_used),
            (Scarce.GPU, request.gpus, capacity.gpus - self.gpus_used),
            (Scarce.PROCESSES, 1, capacity.processes - self.processes),
        )
        found = [Lack(what=what, wanted=wanted, free=max(free, 0)) for what, wanted, free in asked if 0 < wanted > free]
        if not found and not self._fits(request):
            found.append(Lack(what=Scarce.MACHINE, wanted=1, free=0))
        return tuple(found)

    def bind(self, run: RunId, most: int) -> None:
        """From now on at most so many actions of *run* run at once; to be said before the first of them is queued."""
        self._bounds[run] = _Bound(most)

    def unbind(self, run: RunId) -> None:
        """The run has ended."""
        self._bounds.pop(run, None)

    def enqueue(self, key: AttemptKey, *, run: RunId, depth: int, request: Request) -> None:
        """Put an attempt in line."""
        self._count += 1
        entry = _Entry(key, run, request)
        self._entries[key] = entry
        queue = self._queues.get(run)
        if queue is None:
            queue = self._queues[run] = []
            self._turns.append(run)
        heapq.heappush(queue, (-depth, self._count, entry))

    def withdraw(self, key: AttemptKey) -> bool:
        """Take an attempt out of the line; whether it was in it."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        entry.withdrawn = True
        self._forget_lines()
        return True

    def release(self, key: AttemptKey) -> None:
        """A holder needs its CPU, memory and devices no longer. Its process still counts until `gone`."""
        holder = self._holders.pop(key, None)
        if holder is None:
            return
        if not holder.lent:
            self.cpu_used -= holder.request.cpu
            self._alone -= holder.alone
        self.memory_used -= holder.request.memory
        self.gpus_used -= holder.request.gpus
        self._count_running(holder, counts=False)

    def came(self) -> None:
        """A process of an attempt is here that was not admitted here."""
        self.processes += 1

    def take(self, key: AttemptKey, *, run: RunId, request: Request) -> None:
        """An attempt holds what it asks for from now on, whether it is free or not."""
        alone = self._is_oversized(request)
        request = self._held(request)
        holder = self._holders[key] = _Holder(request, alone=alone, bound=self._bounds.get(run))
        self._count_running(holder, counts=True)
        self._alone += alone
        self.cpu_used += request.cpu
        self.memory_used += request.memory
        self.gpus_used += request.gpus

    def gone(self) -> None:
        """A process of an attempt is gone."""
        self.processes -= 1

    def lend(self, key: AttemptKey, *, for_calls: bool = False) -> None:
        """A holder only waits; *for_calls*: for actions that it called."""
        holder = self._holders.get(key)
        if holder is None:
            return
        self._count_running(holder, counts=not for_calls)
        if not holder.lent:
            holder.lent = True
            self.cpu_used -= holder.request.cpu
            self._alone -= holder.alone

    def take_back(self, key: AttemptKey) -> None:
        """A holder works again."""
        holder = self._holders.get(key)
        if holder is None:
            return
        self._count_running(holder, counts=True)
        if holder.lent:
            holder.lent = False
            self.cpu_used += holder.request.cpu
            self._alone += holder.alone

    def answered(self, key: AttemptKey) -> None:
        """An answer is on its way to a holder: it counts as running again, though its CPU may stay lent."""
        holder = self._holders.get(key)
        if holder is not None:
            self._count_running(holder, counts=True)

    def admit(self, *, can_progress: bool) -> list[Admission]:
        """All that may start now, in the order they should.

        *can_progress*: whether anything that was admitted before can go on without what is queued. If not,
        and nothing fits, the first in line is admitted all the same.
        """
        admitted: list[Admission] = []
        while self._entries and (entry := self._next_fitting()) is not None:
            admitted.append(self._hold(entry))
        if not admitted and self._entries and not can_progress and (first := self._first()) is not None:
            admitted.append(self._hold(first, reason="nothing that runs can go on without it"))
        if admitted:
            self._forget_lines()
        return admitted

    def _forget_lines(self) -> None:
        """Drop what is left of lines in which nobody waits."""
        if not self._entries:
            self._queues.clear()
            self._turns.clear()

    def _hold(self, entry: _Entry, *, reason: str | None = None) -> Admission:
        del self._entries[entry.key]
        entry.withdrawn = True
        if reason is None and self._is_oversized(entry.request):
            reason = f"it requests more than the machine has ({self.excess(entry.request)}) and runs alone"
        self.take(entry.key, run=entry.run, request=entry.request)
        self.processes += entry.request.processes
        turn = self._turns.index(entry.run)
        self._turns.append(self._turns.pop(turn))
        return Admission(entry.key, reason)

    def _next_fitting(self) -> _Entry | None:
        """The next that fits, run by run; those at the head of a line that it passes over remember it."""
        passed: list[_Entry] = []
        for run in list(self._turns):
            queue = self._clean(run)
            if not queue or self._is_at_bound(run):
                continue
            head = queue[0][2]
            if self._fits(head.request):
                heapq.heappop(queue)
                found = head
            elif head.passed >= PATIENCE and self.processes < self.capacity.processes:
                return None
            else:
                passed.append(head)
                behind = self._behind(queue)
                if behind is None:
                    continue
                found = behind
            for entry in passed:
                entry.passed += 1
            return found
        return None

    def _behind(self, queue: list[tuple[int, int, _Entry]]) -> _Entry | None:
        """A queued attempt behind the head that fits, if the head waits for something that it does not need."""
        head = queue[0][2].request
        # The first places of a heap are near its smallest entries: near enough for passing by.
        for _, _, entry in queue[1:LOOKAHEAD]:
            # Mostly they are of one spec and so the very same request, which need not be compared.
            if entry.request is head or entry.withdrawn or entry.request == head:
                continue
            if self._fits(entry.request):
                return entry
        return None

    def _first(self) -> _Entry | None:
        for run in list(self._turns):
            queue = self._clean(run)
            if queue and not self._is_at_bound(run):
                return heapq.heappop(queue)[2]
        return None

    def _is_at_bound(self, run: RunId) -> bool:
        bound = self._bounds.get(run) if self._bounds else None
        return bound is not None and bound.running >= bound.most

    def _count_running(self, holder: _Holder, *, counts: bool) -> None:
        if holder.bound is not None and holder.counts is not counts:
            holder.counts = counts
            holder.bound.running += 1 if counts else -1

    def _clean(self, run: RunId) -> list[tuple[int, int, _Entry]]:
        queue = self._queues[run]
        while queue and queue[0][2].withdrawn:
            heapq.heappop(queue)
        if not queue:
            del self._queues[run]
            self._turns.remove(run)
        return queue

    def _fits(self, request: Request) -> bool:
        if request.processes == 0:
            return True
        if self.processes >= self.capacity.processes:
            return False
        if self._is_oversized(request):
            return self.cpu_used == 0 and self.memory_used == 0 and self.gpus_used == 0
        capacity = self.capacity
        # What is not asked for is not missed, though others may hold more than there is.
        return (
            self._alone == 0
            and (request.cpu == 0 or self.cpu_used + request.cpu <= capacity.cpu)
            and (request.memory == 0 or self.memory_used + request.memory <= capacity.memory)
            and (request.gpus == 0 or self.gpus_used + request.gpus <= capacity.gpus)
        )

    def _held(self, request: Request) -> Request:
        """Of a request larger than the machine, all of the machine."""
        capacity = self.capacity
        return Request(
            cpu=min(request.cpu, capacity.cpu),
            memory=min(request.memory, capacity.memory),
            gpus=min(request.gpus, capacity.gpus),
            processes=request.processes,
        )

    def _is_oversized(self, request: Request) -> bool:
        capacity = self.capacity
        return request.cpu > capacity.cpu or request.memory > capacity.memory or request.gpus > capacity.gpus

    def excess(self, request: Request) -> str:
        """What is requested beyond the whole machine, for people; empty when it has that much."""
        capacity = self.capacity
        if request.cpu > capacity.cpu:
            return f"{request.cpu / 1000:g} CPU of {capacity.cpu / 1000:g}"
        if request.memory > capacity.memory:
            return f"{request.memory} bytes of memory of {capacity.memory}"
        return f"{request.gpus} GPU of {capacity.gpus}" if request.gpus > capacity.gpus else ""
