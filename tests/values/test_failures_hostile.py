"""Exceptions that misbehave harm neither the process that encodes them nor the one that decodes them."""

import gc
import threading
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from volant.model import errors
from volant.model.failures import Failure, FailureKind
from volant.values.failures import MAX_BYTES, Unsendable, decode_exception, details, encode_exception


def cross(exc: BaseException) -> Any:
    """Through the bytes that the engine keeps, with a check of their size."""
    data = msgspec.msgpack.encode(encode_exception(exc))
    assert len(data) < MAX_BYTES + 1024 * 1024
    received = decode_exception(msgspec.msgpack.decode(data, type=Failure))
    assert "".join(traceback.format_exception(decode_exception(encode_exception(ValueError("x")))))
    return received


class StrRaises(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class StrExits(ValueError):
    def __str__(self) -> str:
        raise SystemExit(3)


class StrIsNoString(ValueError):
    def __str__(self) -> str:
        text: Any = self.args
        return text


class StrRecurses(ValueError):
    def __str__(self) -> str:
        return str(self)


class ReprRaises(ValueError):
    def __repr__(self) -> str:
        raise KeyboardInterrupt


class ReduceRaises(ValueError):
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


class ReduceExits(ValueError):
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise SystemExit(1)


class ReduceLies(ValueError):
    def __reduce__(self) -> Any:
        return str, ("not an exception",)


class ReduceIsNonsense(ValueError):
    def __reduce__(self) -> Any:
        return 3


class RebuildingRaises(ValueError):
    def __init__(self, text: str, *, strict: bool = True) -> None:
        if not strict:
            raise RuntimeError("refused")
        super().__init__(text)

    def __reduce__(self) -> Any:
        return _lenient, (type(self), "text")


def _lenient(cls: Any, text: str) -> Any:
    return cls(text, strict=False)


class AnyAttributeRecurses(ValueError):
    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "_")


class AnyAttributeExits(ValueError):
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(f"asked for {name}")


class SetStateRaises(ValueError):
    def __setstate__(self, state: Any) -> Any:
        raise RuntimeError("no state")


class EqualityRaises(ValueError):
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Truthless(ValueError):
    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")


class LyingProxy:
    """As proxies of web frameworks do, says that it is something else."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no request")

    def __reduce__(self) -> Any:
        raise RuntimeError("no request")


class HoldsProxies(ValueError):
    code = LyingProxy()
    request = LyingProxy()
    __getstate__ = LyingProxy()
    __notes__ = LyingProxy()


class HostileText(str):
    __slots__ = ()

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class HostileTaskError(errors.TaskError):
    code = HostileText("C1")
    kind = HostileText("user")
    task = HostileText("t")

    @property
    def action(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        raise SystemExit("no action")

    attempts: Any = 2**100


class LyingMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")

    @property
    def __mro__(cls) -> Any:  # type: ignore[override]
        raise RuntimeError("no order")

    @property
    def __dict__(cls) -> Any:  # type: ignore[override]
        raise RuntimeError("no names")

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no instances")

    def __subclasscheck__(cls, subclass: type) -> bool:
        raise RuntimeError("no subclasses")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(cls) -> int:
        raise RuntimeError("no hash")


class WithLyingMeta(ValueError, metaclass=LyingMeta):
    pass


HOSTILE: list[type[ValueError]] = [
    StrRaises,
    StrExits,
    StrIsNoString,
    StrRecurses,
    ReprRaises,
    ReduceRaises,
    ReduceExits,
    ReduceLies,
    ReduceIsNonsense,
    RebuildingRaises,
    AnyAttributeRecurses,
    AnyAttributeExits,
    SetStateRaises,
    EqualityRaises,
    Truthless,
    HoldsProxies,
]


@pytest.mark.parametrize("cls", HOSTILE, ids=lambda cls: cls.__name__)
def test_hostile_methods_cost_neither_type_nor_arguments(cls: type[ValueError]) -> None:
    original = cls("text")
    BaseException.__dict__["__cause__"].__set__(original, cls("cause"))
    received = cross(cross(original))
    assert issubclass(type(received), cls)
    assert issubclass(type(received), errors.TaskError)
    assert BaseException.__dict__["args"].__get__(received) == ("text",)
    assert details(received).code == cls.__name__
    assert isinstance(details(received).message, str)
    with pytest.raises(cls):
        raise received


def test_a_hostile_task_error_harms_nobody() -> None:
    received = cross(cross(HostileTaskError("text")))
    assert type(received) is HostileTaskError
    assert (received.args, details(received).code, details(received).kind) == (("text",), "C1", FailureKind.USER)


def test_a_lying_metaclass_harms_nobody() -> None:
    failure = encode_exception(WithLyingMeta("text"))
    assert failure.message == "text"
    assert failure.code == "WithLyingMeta"
    assert BaseException.__dict__["args"].__get__(decode_exception(failure)) == ("text",)


def _in_every_place(value: object) -> list[BaseException]:
    as_argument = ValueError("text", value)
    as_attribute: Any = ValueError("text")
    as_attribute.held = value
    as_attribute.other = 3
    as_obj = AttributeError("text", name="n", obj=value)
    as_exit = SystemExit(value)
    inside = ValueError("text", [1, {"deep": value}])
    in_member = ExceptionGroup("text", [as_argument, as_attribute])
    return [as_argument, as_attribute, as_obj, as_exit, inside, in_member]


class Unpicklable:
    def __init__(self, how: Callable[[], Any]) -> None:
        self._how = how

    def __reduce__(self) -> Any:
        return self._how()


class ReprExits(Unpicklable):
    def __repr__(self) -> str:
        raise SystemExit(1)


def _raise(exc: BaseException) -> Any:
    raise exc


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


UNSENDABLE: dict[str, Callable[[], object]] = {
    "lock": threading.Lock,
    "generator": lambda: (n for n in range(3)),
    "module": lambda: threading,
    "raising": lambda: Unpicklable(lambda: _raise(RuntimeError("no"))),
    "exiting": lambda: Unpicklable(lambda: _raise(SystemExit(3))),
    "interrupting": lambda: Unpicklable(lambda: _raise(KeyboardInterrupt())),
    "nonsense": lambda: Unpicklable(lambda: 3),
    "no repr": lambda: ReprExits(lambda: _raise(MemoryError())),
    "lying proxy": LyingProxy,
    "deep": lambda: _nested(100_000),
}


@pytest.mark.parametrize("name", UNSENDABLE)
@pytest.mark.parametrize("place", range(6))
def test_values_that_cannot_be_pickled_cost_only_themselves(name: str, place: int) -> None:
    original = _in_every_place(UNSENDABLE[name]())[place]
    received = cross(cross(original))
    assert isinstance(received, type(original))
    if isinstance(original, AttributeError):
        assert (received.args, received.name) == (("text",), "n")
    if "other" in vars(original):
        assert received.other == 3
        assert isinstance(received.held, Unsendable)
    if isinstance(original, ExceptionGroup):
        assert [e.args[0] for e in received.exceptions] == ["text", "text"]


def test_a_lock_among_the_arguments_is_replaced_by_its_text() -> None:
    lock = threading.Lock()
    received = cross(ValueError("busy", lock))
    assert str(received) == str(ValueError("busy", lock))
    assert isinstance(received.args[1], Unsendable)
    assert repr(received.args[1]) == repr(lock)


def test_open_files_among_the_attributes_cost_only_themselves(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as handle:
        original: Any = OSError(5, "broken", "name")
        original.handle, original.sector = handle, 7
        received = cross(original)
    assert (received.errno, received.filename, received.sector) == (5, "name", 7)
    assert "log" in str(received.handle)


@pytest.mark.parametrize(
    "huge", [b"x" * 100_000_000, "x" * 100_000_000, list(range(3_000_000))], ids=["bytes", "text", "list"]
)
def test_huge_values_are_left_out_and_the_type_stays(huge: Any) -> None:
    original: Any = ValueError("text", huge)
    original.small = 1
    failure = encode_exception(original)
    assert len(failure.message) < 100_000
    assert len(failure.traceback) < 400_000
    assert len(failure.exception) < MAX_BYTES
    received: Any = decode_exception(failure)
    assert isinstance(received, ValueError)
    assert (received.args[0], received.small) == ("text", 1)
    assert isinstance(received.args[1], Unsendable)


def test_many_large_values_stay_below_the_limit_together() -> None:
    group = ExceptionGroup("many", [ValueError(n, bytes(1_000_000)) for n in range(30)])
    failure = encode_exception(group)
    assert len(failure.exception) < MAX_BYTES
    received: Any = decode_exception(failure)
    assert [type(e).__name__ for e in received.exceptions] == ["ValueError"] * 30
    assert received.exceptions[0].args == (0, bytes(1_000_000))
    assert len({e.args[0] for e in received.exceptions}) == 30


def test_a_group_too_large_for_the_limit_arrives_as_text() -> None:
    group = ExceptionGroup("far too many", [ValueError(n) for n in range(100_000)])
    failure = encode_exception(group)
    assert failure.exception == b""
    received = decode_exception(failure)
    assert type(received) is errors.TaskError
    assert "far too many" in str(received)
    assert details(received).code == "ExceptionGroup"


def test_ten_thousand_members_arrive() -> None:
    received: Any = cross(ExceptionGroup("many", [KeyError(n) for n in range(10_000)]))
    assert [e.args[0] for e in received.exceptions] == list(range(10_000))


def test_thousands_of_received_members_keep_their_details() -> None:
    def fail(number: int) -> None:
        raise KeyError(number)

    def failed(number: int) -> Any:
        try:
            fail(number)
        except KeyError as exc:
            failure = encode_exception(exc)
        return decode_exception(msgspec.structs.replace(failure, action=f"a{number}", traceback="long" * 5000))

    received = cross(ExceptionGroup("many", [failed(n) for n in range(3000)]))
    assert [details(e).action for e in received.exceptions] == [f"a{n}" for n in range(3000)]
    last = received.exceptions[-1]
    assert details(last).message == "2999"
    assert "in fail" in details(last).traceback
    assert last.remote_traceback == details(last).traceback


def test_chains_that_lead_back_to_themselves_arrive() -> None:
    first, second = KeyError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    first.__context__ = first.__cause__
    received = cross(cross(first))
    assert received.__cause__.__cause__ is received
    alone = ValueError("alone")
    alone.__cause__ = alone
    received = cross(alone)
    assert received.__cause__ is received


def test_arguments_that_contain_the_exception_arrive() -> None:
    original = ValueError("text")
    original.args = ("text", original, [original])
    received = cross(cross(original))
    assert received.args[1] is received
    assert received.args[2][0] is received


def test_a_group_that_its_member_refers_to_arrives() -> None:
    member: Any = ValueError("member")
    group = ExceptionGroup("group", [member, member])
    member.group, member.__cause__ = group, group
    received = cross(cross(group))
    assert received.exceptions[0] is received.exceptions[1]
    assert received.exceptions[0].group is received
    assert received.exceptions[0].__cause__ is received


def test_endless_chains_of_causes_are_cut() -> None:
    last: BaseException = ValueError("last")
    for number in range(40_000):
        following = ValueError(number)
        following.__cause__ = last
        last = following
    received = cross(last)
    assert isinstance(received, ValueError)
    length, one = 0, received
    while one.__cause__ is not None:
        length, one = length + 1, one.__cause__
    assert length > 1000
    while isinstance(last, ValueError) and last.__cause__ is not None:  # frees them one by one
        last.__cause__, last = None, last.__cause__


def test_deeply_nested_groups_harm_nobody() -> None:
    group: Exception = ValueError("core")
    for _ in range(5000):
        group = ExceptionGroup("layer", [group])
    received, depth = cross(group), 0
    assert isinstance(received, ExceptionGroup)
    while isinstance(received, ExceptionGroup):
        received, depth = received.exceptions[0], depth + 1
    assert depth == 5000
    assert str(received) == "core"


def test_runaway_recursion_is_encoded_in_bounds() -> None:
    def down(n: int) -> int:
        return up(n) + 1

    def up(n: int) -> int:
        return down(n + 1)

    with pytest.raises(RecursionError) as caught:
        down(0)
    failure = encode_exception(caught.value)
    assert len(failure.exception) < 50_000
    received = decode_exception(failure)
    assert isinstance(received, RecursionError)
    assert "in down" in "".join(traceback.format_exception(received))


@pytest.mark.parametrize("text", ["\udcff", "a\x00b", "x" * 300_000, "\ud800\udc00"])
def test_any_text_survives_the_journal(text: str) -> None:
    original = OSError(2, text, text)
    original.add_note(text)
    group = ExceptionGroup(text, [original])
    for exc in (original, ValueError(text), group):
        received = cross(exc)
        assert received.args[:1] == exc.args[:1]
        assert received.__class__.__name__ == exc.__class__.__name__
    assert cross(original).filename == text
    assert cross(group).message == text
    assert cross(WithText(text)).code == text


class WithText(ValueError):
    @property
    def code(self) -> object:
        return self.args[0]


@pytest.mark.parametrize("notes", ["text", 3, ["a", 3, None], ("tuple",)])
def test_odd_notes_arrive_as_they_are(notes: object) -> None:
    original: Any = ValueError("text")
    original.__notes__ = notes
    received = cross(original)
    assert isinstance(received, ValueError)
    assert (received.args, received.__notes__) == (("text",), notes)


def test_notes_that_cannot_be_pickled_cost_only_themselves() -> None:
    original: Any = ValueError("text")
    original.__notes__ = [threading.Lock()]
    received = cross(original)
    assert isinstance(received, ValueError)
    assert isinstance(received.__notes__, Unsendable)


def test_classes_that_come_and_go_leave_nothing_behind() -> None:
    def once() -> Any:
        cls = type("Passing", (ValueError,), {"__module__": "nowhere"})
        received = cross(cls("text"))
        assert isinstance(received, cls)
        return weakref.ref(cls), weakref.ref(type(received))

    original, extended = once()
    gc.collect()
    assert extended() is None
    assert original() is None


def test_syntax_errors_with_odd_fields_arrive() -> None:
    original = SyntaxError("bad")
    original.lineno, original.text, original.offset = "seven", 3, [1]  # type: ignore[assignment]  # pyright: ignore
    received = cross(original)
    assert (received.lineno, received.text, received.offset) == ("seven", 3, [1])


def test_a_class_that_cannot_travel_arrives_as_text() -> None:
    lock = threading.Lock()

    class Holding(ValueError):
        held = lock

    try:
        raise Holding("text")
    except Holding as exc:
        exc.add_note("noted")
        exc.__cause__ = KeyError("cause")
        failure = encode_exception(exc)
    received: Any = decode_exception(failure)
    assert type(received) is errors.TaskError
    assert str(received) == "text"
    assert (received.code, details(received).code) == ("Holding", "Holding")
    assert received.__notes__ == ["noted"]
    assert type(received.__cause__) is KeyError
    assert "test_a_class_that_cannot_travel" in "".join(traceback.format_exception(received))
    again = decode_exception(encode_exception(received))
    assert (str(again), details(again).code) == ("text", "Holding")


def test_a_non_recoverable_class_that_cannot_travel_still_refuses_retries() -> None:
    class Holding(errors.NonRecoverableError):
        held = threading.Lock()

    failure = encode_exception(Holding("text"))
    assert failure.retryable is False
    assert encode_exception(decode_exception(failure)).retryable is False


def test_a_member_that_cannot_travel_costs_only_itself() -> None:
    class Holding(ValueError):
        held = threading.Lock()

    received = cross(ExceptionGroup("g", [Holding("held"), KeyError("k")]))
    assert [type(e).__name__ for e in received.exceptions] == ["TaskError", "KeyError"]
    assert details(received.exceptions[0]).code == "Holding"
    assert str(received.exceptions[0]) == "held"


def test_failures_of_every_kind_decode_whatever_their_text_is() -> None:
    for kind in FailureKind:
        for code in ("", "OOMError", "ExitCode", "Signal", "\udcff"):
            for text in (
                "",
                "limit peak code signal",
                "exit code -9 ",
                "SIGNOTHING",
                "limit 9" + "9" * 5000 + " bytes",
            ):
                assert isinstance(decode_exception(Failure(kind=kind, code=code, message=text)), errors.TaskError)
