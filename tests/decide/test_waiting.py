"""Why actions wait: what is told follows from who is where, and asking changes nothing."""

from datetime import UTC, datetime, timedelta

from volant.decide.placement import Capacity, Placement, Request
from volant.decide.run_machine import RunMachine
from volant.decide.waiting import why_waiting
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import RunRecord
from volant.model.specs import ActionSpec, BackoffSpec, Loader, LoaderKind, RetrySpec
from volant.model.waits import Lack, Scarce, Wait, WaitKind
from volant.model.worker_protocol import Failed, SubmitCall

T0 = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunId("r")
ROOT = ActionId("root")
CPU = Request(cpu=1000)
SPEC = ActionSpec(
    task="env.task",
    short_name="task",
    environment="env",
    loader=Loader(kind=LoaderKind.MODULE, module="m", qualname="task"),
    is_async=True,
    retries=RetrySpec(count=1, backoff=BackoffSpec(base=timedelta(seconds=30))),
)


class Scene:
    """A run whose root has a place, on a machine of some size."""

    def __init__(self, capacity: Capacity | None = None) -> None:
        self.placement = Placement(capacity or Capacity(cpu=2000, memory=1000))
        record = RunRecord(run=RUN, task="env.task", root=ROOT, phase=ActionPhase.QUEUED, created_at=T0)
        self.machine = RunMachine(record, host="here")
        self.keys: dict[ActionId, AttemptKey] = {}
        self.machine.create(spec=SPEC, spec_digest=SpecDigest("s"), inputs=Inline(data=b""), inputs_digest="d", now=T0)
        self.enqueue(ROOT)

    def enqueue(self, action: ActionId, request: Request = CPU, depth: int = 0) -> None:
        key = self.keys[action] = AttemptKey(len(self.keys) + 1)
        self.placement.enqueue(key, run=RUN, depth=depth, request=request)

    def call(self, name: str, number: int, request: Request = CPU) -> ActionId:
        message = SubmitCall(
            attempt_key=self.keys[ROOT],
            call=CallId(number),
            action=ActionId(name),
            spec=SpecDigest("s"),
            inputs=Inline(data=b""),
            inputs_digest=name,
        )
        self.machine.called(self.keys[ROOT], message, SPEC, T0)
        self.enqueue(ActionId(name), request, depth=1)
        return ActionId(name)

    def begin(self, action: ActionId) -> None:
        self.placement.admit(can_progress=True)
        self.machine.admitted(action, self.keys[action])
        self.machine.started(self.keys[action], 7, None, T0)

    def why(self, action: ActionId) -> Wait | None:
        return why_waiting(RUN, self.machine.actions.values(), self.placement, self.keys).get(action)


def test_an_action_that_works_waits_for_nothing() -> None:
    scene = Scene()
    scene.begin(ROOT)
    assert scene.why(ROOT) is None


def test_an_action_with_a_place_and_no_process_waits_for_its_process() -> None:
    scene = Scene()
    scene.placement.admit(can_progress=True)
    scene.machine.admitted(ROOT, scene.keys[ROOT])
    assert scene.why(ROOT) == Wait(kind=WaitKind.PROCESS)


def test_what_is_not_free_is_named_with_what_is() -> None:
    scene = Scene()
    scene.begin(ROOT)
    big = scene.call("big", 1, Request(cpu=2000, memory=500))
    assert scene.why(big) == Wait(kind=WaitKind.PLACE, lacks=(Lack(what=Scarce.CPU, wanted=2000, free=1000),))


def test_memory_and_devices_that_are_short_are_named_too() -> None:
    scene = Scene(Capacity(cpu=4000, memory=1000, gpus=1, processes=3))
    scene.begin(ROOT)
    scene.call("holder", 1, Request(cpu=1000, memory=700, gpus=1))
    scene.begin(ActionId("holder"))
    waits = scene.call("waits", 2, Request(cpu=1000, memory=600, gpus=1))
    wait = scene.why(waits)
    assert wait is not None
    assert wait.lacks == (
        Lack(what=Scarce.MEMORY, wanted=600, free=300),
        Lack(what=Scarce.GPU, wanted=1, free=0),
    )


def test_live_processes_are_bounded() -> None:
    scene = Scene(Capacity(cpu=4000, memory=0, processes=1))
    scene.begin(ROOT)
    child = scene.call("child", 1)
    wait = scene.why(child)
    assert wait is not None
    assert wait.lacks == (Lack(what=Scarce.PROCESSES, wanted=1, free=0),)


def test_who_runs_alone_keeps_the_machine() -> None:
    scene = Scene(Capacity(cpu=4000, memory=100))
    scene.begin(ROOT)
    scene.placement.release(scene.keys[ROOT])
    huge = scene.call("huge", 1, Request(cpu=0, memory=200))
    scene.begin(huge)
    small = scene.call("small", 2)
    wait = scene.why(small)
    assert wait is not None
    assert wait.lacks == (Lack(what=Scarce.MACHINE, wanted=1, free=0),)


def test_those_in_line_are_counted() -> None:
    scene = Scene(Capacity(cpu=1000, memory=0))
    scene.begin(ROOT)
    names = [scene.call(f"a{number}", number) for number in range(1, 5)]
    scene.placement.withdraw(scene.keys[names[1]])
    found = {name: scene.why(name) for name in names}
    assert [found[name].ahead for name in (names[0], names[2], names[3])] == [0, 1, 2]  # type: ignore[union-attr]
    assert found[names[1]] is None


def test_a_failed_action_waits_for_the_time_of_its_next_attempt() -> None:
    scene = Scene()
    scene.begin(ROOT)
    failure = Failure(kind=FailureKind.USER, code="ValueError", message="no")
    scene.machine.finished(scene.keys[ROOT], Failed(failure=failure), T0)
    assert scene.why(ROOT) == Wait(kind=WaitKind.ENDING)
    scene.machine.gone(scene.keys[ROOT], Exit(code=1), T0)
    assert scene.why(ROOT) == Wait(kind=WaitKind.BACKOFF, until=T0 + timedelta(seconds=30))


def test_a_parent_waits_for_its_children_and_else_for_something_of_its_own() -> None:
    scene = Scene()
    scene.begin(ROOT)
    scene.machine.waiting(scene.keys[ROOT], 0, T0)
    assert scene.why(ROOT) == Wait(kind=WaitKind.EVENT)
    scene.call("one", 1)
    scene.call("two", 2)
    assert scene.why(ROOT) is None  # it called something: it works
    scene.machine.waiting(scene.keys[ROOT], 0, T0)
    assert scene.why(ROOT) == Wait(kind=WaitKind.CHILDREN, calls=2)


def test_what_is_being_aborted_says_why() -> None:
    scene = Scene()
    scene.begin(ROOT)
    scene.machine.abort(None, "enough", T0)
    assert scene.why(ROOT) == Wait(kind=WaitKind.ENDING, reason="enough")
