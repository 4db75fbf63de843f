"""Who may start: capacity holds but for the two stated exceptions, and everything that can run does."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from volant.decide.placement import Capacity, Placement, Request
from volant.model.ids import AttemptKey, RunId

ONE = Request(cpu=1000)


def place(capacity: Capacity | None = None) -> Placement:
    return Placement(capacity or Capacity(cpu=2000, memory=1000))


def enqueue(placement: Placement, key: int, *, run: str = "r", depth: int = 0, request: Request = ONE) -> None:
    placement.enqueue(AttemptKey(key), run=RunId(run), depth=depth, request=request)


def admit(placement: Placement, *, can_progress: bool = True) -> list[int]:
    return [int(admission.key) for admission in placement.admit(can_progress=can_progress)]


def test_as_many_start_as_there_are_cores() -> None:
    placement = place()
    for key in range(5):
        enqueue(placement, key)
    assert admit(placement) == [0, 1]
    assert admit(placement) == []
    placement.release(AttemptKey(0))
    assert admit(placement) == [2]


def test_a_holder_that_waits_lends_its_cpu_and_takes_it_back_beyond_capacity() -> None:
    placement = place()
    for key in range(5):
        enqueue(placement, key)
    assert admit(placement) == [0, 1]
    placement.lend(AttemptKey(0))
    assert admit(placement) == [2]
    placement.take_back(AttemptKey(0))
    assert placement.cpu_used == 3000
    placement.release(AttemptKey(1))
    assert admit(placement) == []
    placement.release(AttemptKey(2))
    assert admit(placement) == [3]


def test_memory_is_not_lent() -> None:
    placement = place()
    enqueue(placement, 1, request=Request(cpu=1000, memory=700))
    enqueue(placement, 2, request=Request(cpu=1000, memory=700))
    assert admit(placement) == [1]
    placement.lend(AttemptKey(1))
    assert admit(placement) == []


def test_deeper_actions_go_first_and_equals_in_the_order_they_came() -> None:
    placement = place(Capacity(cpu=1000, memory=0))
    enqueue(placement, 1, depth=1)
    enqueue(placement, 2, depth=2)
    enqueue(placement, 3, depth=2)
    order: list[int] = []
    while placement.queued:
        (key,) = admit(placement)
        order.append(key)
        placement.release(AttemptKey(key))
        placement.gone()
    assert order == [2, 3, 1]


def test_runs_take_turns() -> None:
    placement = place(Capacity(cpu=1000, memory=0))
    for key in range(4):
        enqueue(placement, key, run="first")
    for key in range(10, 12):
        enqueue(placement, key, run="second")
    order: list[int] = []
    while placement.queued:
        (key,) = admit(placement)
        order.append(key)
        placement.release(AttemptKey(key))
        placement.gone()
    assert order == [0, 10, 1, 11, 2, 3]


def test_a_request_larger_than_the_machine_runs_alone_and_says_so() -> None:
    placement = place()
    enqueue(placement, 1)
    assert admit(placement) == [1]
    enqueue(placement, 2, request=Request(cpu=8000))
    assert admit(placement) == []
    placement.release(AttemptKey(1))
    (admission,) = placement.admit(can_progress=True)
    assert admission.key == 2
    assert admission.reason is not None
    assert "8 CPU of 2" in admission.reason
    enqueue(placement, 3)
    assert admit(placement) == []


def test_when_nothing_that_runs_can_go_on_the_first_in_line_is_admitted() -> None:
    placement = place()
    enqueue(placement, 1, request=Request(cpu=1000, memory=1000))
    assert admit(placement) == [1]
    placement.lend(AttemptKey(1))
    enqueue(placement, 2, request=Request(cpu=1000, memory=500))
    assert admit(placement, can_progress=True) == []
    assert admit(placement, can_progress=False) == [2]


def test_live_processes_are_bounded() -> None:
    placement = place(Capacity(cpu=2000, memory=0, processes=3))
    for key in range(6):
        enqueue(placement, key)
    for _ in range(3):
        for key in admit(placement):
            placement.lend(AttemptKey(key))
    assert placement.processes == 3
    assert placement.queued == 3
    placement.release(AttemptKey(0))
    assert admit(placement) == []
    placement.gone()
    assert admit(placement) == [3]


def test_one_that_does_not_fit_is_not_passed_over_for_ever() -> None:
    placement = place(Capacity(cpu=2000, memory=0))
    enqueue(placement, 0, request=Request(cpu=500))
    assert admit(placement) == [0]
    enqueue(placement, 1, request=Request(cpu=2000))
    passed = 0
    key = 100
    while passed < 2000:
        enqueue(placement, key, request=Request(cpu=500))
        started = admit(placement)
        if not started:
            break
        placement.release(AttemptKey(key))
        placement.gone()
        key += 1
        passed += 1
    assert passed < 2000
    placement.release(AttemptKey(0))
    placement.gone()
    assert admit(placement)[0] == 1


def test_one_that_does_not_fit_is_not_passed_over_for_ever_by_other_runs() -> None:
    placement = place(Capacity(cpu=2000, memory=0))
    enqueue(placement, 0)
    assert admit(placement) == [0]
    enqueue(placement, 1, run="large", request=Request(cpu=2000))
    for key in range(100, 2100):
        enqueue(placement, key, run="small")
        started = admit(placement)
        if not started:
            break
        placement.release(AttemptKey(key))
        placement.gone()
    else:
        raise AssertionError("2,000 attempts of another run went first")
    placement.release(AttemptKey(0))
    placement.gone()
    assert admit(placement) == [1]


def test_children_of_one_that_holds_all_the_memory_run_if_they_ask_for_none() -> None:
    placement = place()
    enqueue(placement, 1, request=Request(cpu=1000, memory=5000))
    assert admit(placement) == [1]
    enqueue(placement, 2)
    assert admit(placement) == []
    placement.lend(AttemptKey(1))
    assert placement.memory_used == 1000
    assert admit(placement) == [2]
    placement.release(AttemptKey(1))
    placement.release(AttemptKey(2))
    assert (placement.cpu_used, placement.memory_used) == (0, 0)


def test_what_asks_for_no_memory_is_not_held_up_by_memory_beyond_capacity() -> None:
    placement = place()
    for key in (1, 2):
        enqueue(placement, key, request=Request(cpu=500, memory=800))
    assert admit(placement) == [1]
    placement.lend(AttemptKey(1))
    assert admit(placement, can_progress=False) == [2]
    enqueue(placement, 3, request=Request(cpu=500))
    assert admit(placement) == [3]


def test_no_more_of_a_run_run_at_once_than_its_bound() -> None:
    placement = place(Capacity(cpu=8000, memory=0))
    placement.bind(RunId("bound"), 2)
    for key in range(5):
        enqueue(placement, key, run="bound")
    for key in range(10, 12):
        enqueue(placement, key, run="free")
    assert sorted(admit(placement)) == [0, 1, 10, 11]
    assert admit(placement, can_progress=False) == []
    placement.release(AttemptKey(0))
    assert admit(placement) == [2]
    placement.unbind(RunId("bound"))
    assert admit(placement) == [3, 4]


def test_one_that_waits_for_its_calls_does_not_count_against_the_bound_and_counts_again_when_it_wakes() -> None:
    placement = place(Capacity(cpu=8000, memory=0))
    placement.bind(RunId("r"), 1)
    for key in range(3):
        enqueue(placement, key)
    assert admit(placement) == [0]
    placement.lend(AttemptKey(0))  # it sleeps: it runs all the same
    assert admit(placement) == []
    placement.lend(AttemptKey(0), for_calls=True)
    assert admit(placement) == [1]
    placement.answered(AttemptKey(0))
    placement.release(AttemptKey(1))
    assert admit(placement) == []
    placement.take_back(AttemptKey(0))
    assert admit(placement) == []
    placement.lend(AttemptKey(0), for_calls=True)
    assert admit(placement) == [2]


def test_a_run_at_its_bound_makes_nobody_wait() -> None:
    placement = place(Capacity(cpu=2000, memory=0))
    placement.bind(RunId("bound"), 1)
    enqueue(placement, 0, run="bound", request=Request(cpu=100))
    assert admit(placement) == [0]
    enqueue(placement, 1, run="bound", request=Request(cpu=2000))
    for key in range(100, 800):
        enqueue(placement, key, run="free")
        assert admit(placement) == [key]
        placement.release(AttemptKey(key))
        placement.gone()


def test_what_runs_in_a_process_that_is_there_waits_for_its_bound_only() -> None:
    placement = place(Capacity(cpu=1000, memory=0, processes=1))
    enqueue(placement, 0)
    assert admit(placement) == [0]
    placement.bind(RunId("inline"), 2)
    for key in range(1, 4):
        enqueue(placement, key, run="inline", request=Request(cpu=0, processes=0))
    enqueue(placement, 4)
    assert admit(placement) == [1, 2]
    placement.release(AttemptKey(1))
    assert admit(placement) == [3]
    assert placement.processes == 1


@given(
    parents=st.lists(st.integers(0, 20), max_size=20),
    most=st.integers(1, 3),
    cores=st.integers(1, 4),
    data=st.data(),
)
def test_a_bound_tree_of_any_shape_ends(parents: list[int], most: int, cores: int, data: st.DataObject) -> None:
    """Each action calls its children at once and waits for them; whatever order things happen in, all of them end."""
    placement = place(Capacity(cpu=cores * 1000, memory=0))
    placement.bind(RunId("r"), most)
    parent_of = {number + 1: parent % (number + 1) for number, parent in enumerate(parents)}
    children = {key: {child for child, parent in parent_of.items() if parent == key} for key in (0, *parent_of)}
    depths = {0: 0}
    for child, parent in parent_of.items():
        depths[child] = depths[parent] + 1
    enqueue(placement, 0)
    working: set[int] = set()
    waiting: set[int] = set()
    called: set[int] = set()
    ended: set[int] = set()
    while len(ended) < len(depths):
        for key in admit(placement, can_progress=bool(working)):
            working.add(key)
            assert len(working) <= most
        key = data.draw(st.sampled_from(sorted(working)))
        if key not in called and children[key]:
            called.add(key)
            for child in children[key]:
                enqueue(placement, child, depth=depths[child])
            working.remove(key)
            waiting.add(key)
            placement.lend(AttemptKey(key), for_calls=True)
            continue
        working.remove(key)
        ended.add(key)
        placement.release(AttemptKey(key))
        placement.gone()
        above = parent_of.get(key)
        if above is not None and children[above] <= ended:
            waiting.remove(above)
            working.add(above)
            placement.take_back(AttemptKey(above))
    assert not placement.queued


BOUNDS = {"a": 2, "b": 1}


class Machine(RuleBasedStateMachine):
    """Random workloads: the sum of requests stays within capacity but for the stated exceptions."""

    def __init__(self) -> None:
        super().__init__()
        self.capacity = Capacity(cpu=4000, memory=100, gpus=2, processes=8)
        self.placement = Placement(self.capacity)
        self.requests: dict[int, Request] = {}
        self.queued: set[int] = set()
        self.running: dict[int, bool] = {}
        """Whether its CPU is lent."""
        self.counting: set[int] = set()
        """Those that run within the bound of their run."""
        self.runs: dict[int, str] = {}
        self.count = 0
        for run, most in BOUNDS.items():
            self.placement.bind(RunId(run), most)

    @rule(
        cpu=st.sampled_from([0, 500, 1000, 4000]),
        memory=st.sampled_from([0, 10, 60]),
        gpus=st.integers(0, 2),
        depth=st.integers(0, 3),
        run=st.sampled_from("abc"),
    )
    def enqueue(self, cpu: int, memory: int, gpus: int, depth: int, run: str) -> None:
        self.count += 1
        self.requests[self.count] = Request(cpu=cpu, memory=memory, gpus=gpus)
        self.queued.add(self.count)
        self.runs[self.count] = run
        enqueue(self.placement, self.count, run=run, depth=depth, request=self.requests[self.count])

    @rule()
    def admit(self) -> None:
        for admission in self.placement.admit(can_progress=True):
            key = int(admission.key)
            self.queued.remove(key)
            self.running[key] = False
            self.counting.add(key)
            run = self.runs[key]
            of_run = [other for other in self.counting if self.runs[other] == run]
            assert len(of_run) <= BOUNDS.get(run, len(of_run))
            used = [self.requests[k] for k, lent in self.running.items() if not lent]
            # Those who woke up may hold more than there is; who asks for none of it need not wait for that.
            assert sum(request.cpu for request in used) <= self.capacity.cpu or self.requests[key].cpu == 0

    @precondition(lambda self: self.running)
    @rule(data=st.data(), for_calls=st.booleans())
    def lend(self, data: st.DataObject, for_calls: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.running[key] = True
        self.counting.discard(key) if for_calls else self.counting.add(key)
        self.placement.lend(AttemptKey(key), for_calls=for_calls)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.counting.add(key)
        self.placement.answered(AttemptKey(key))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.running[key] = False
        self.counting.add(key)
        self.placement.take_back(AttemptKey(key))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[key]
        self.counting.discard(key)
        self.placement.release(AttemptKey(key))
        self.placement.gone()

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.queued)))
        self.queued.remove(key)
        assert self.placement.withdraw(AttemptKey(key))

    @invariant()
    def sums_are_right(self) -> None:
        held = [self.requests[key] for key in self.running]
        assert self.placement.memory_used == sum(request.memory for request in held) <= self.capacity.memory
        assert self.placement.gpus_used == sum(request.gpus for request in held) <= self.capacity.gpus
        assert self.placement.cpu_used == sum(self.requests[k].cpu for k, lent in self.running.items() if not lent)
        assert self.placement.processes == len(self.running) <= self.capacity.processes
        assert self.placement.queued == len(self.queued)

    def teardown(self) -> None:
        """Everything that can run does: let all end, and the line empties."""
        for _ in range(10 * (self.count + 1)):
            for key in list(self.running):
                del self.running[key]
                self.placement.release(AttemptKey(key))
                self.placement.gone()
            for admission in self.placement.admit(can_progress=True):
                self.running[int(admission.key)] = False
                self.queued.remove(int(admission.key))
        assert not self.queued


TestPlacementHistories = Machine.TestCase
TestPlacementHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2)), max_size=30))
def test_all_that_is_queued_is_admitted_in_the_end(requests: list[tuple[int, int]]) -> None:
    placement = place(Capacity(cpu=2000, memory=0, gpus=1))
    for key, (cpu, gpus) in enumerate(requests):
        enqueue(placement, key, request=Request(cpu=cpu, gpus=gpus))
    admitted: list[int] = []
    for _ in range(len(requests) + 1):
        started = admit(placement)
        admitted += started
        for key in started:
            placement.release(AttemptKey(key))
            placement.gone()
    assert sorted(admitted) == list(range(len(requests)))
