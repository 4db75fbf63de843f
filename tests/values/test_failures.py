"""What a child raises is what its parent catches: types, arguments, attributes, links and details."""

import builtins
import copy
import inspect
import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.values import failing_samples as samples
from volant.model import errors
from volant.model.failures import Failure, FailureKind
from volant.values.failures import Details, decode_exception, details, encode_exception, ends_program


def cross(exc: BaseException, levels: int = 1, *, told: bool = True, **how: Any) -> Any:
    """The exception after passing through as many parents, each of which was told what the engine tells."""
    for level in range(levels):
        failure = encode_exception(exc, **how)
        assert failure.exception
        failure = msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure)
        if told:
            failure = msgspec.structs.replace(failure, action=f"a{level}", task="env.task", attempts=level + 1)
        exc = decode_exception(failure)
    return exc


def own_fields(exc: BaseException) -> dict[str, str]:
    """What the builtin classes of an exception hold outside `args` and `__dict__`."""
    kept = {
        name
        for k in type(exc).__mro__
        if getattr(builtins, k.__name__, None) is k and k not in (BaseException, object)
        for name, value in vars(k).items()
        if inspect.ismemberdescriptor(value) or name == "characters_written"
    }
    return {name: repr(getattr(exc, name)) for name in kept - {"exceptions"} if hasattr(exc, name)}


def assert_same(received: Any, original: Any) -> None:
    """The received exception is the original in everything a program can ask for."""
    assert isinstance(received, type(original))
    assert type(received).__name__ == type(original).__name__
    assert type(received).__qualname__ == type(original).__qualname__
    assert type(received).__module__ == type(original).__module__
    if isinstance(original, BaseExceptionGroup):
        assert received.message == original.message
        assert len(received.exceptions) == len(original.exceptions)
        for one, other in zip(received.exceptions, original.exceptions, strict=True):
            assert_same(one, other)
    assert repr(received.args) == repr(original.args)
    assert own_fields(received) == own_fields(original)
    assert str(received) == str(original)
    assert repr(received) == repr(original)


BUILTINS = [
    pytest.param(exc, id=f"{cls.__name__}-{number}")
    for cls in samples.builtin_classes()
    for number, exc in enumerate(samples.instances(cls))
]


@pytest.mark.parametrize("original", BUILTINS)
def test_every_builtin_exception_is_itself_after_three_levels(original: BaseException) -> None:
    original.extra = {"more": (1, 2)}  # pyright: ignore[reportAttributeAccessIssue]
    original.add_note("noted")
    received = cross(original, 3)
    assert_same(received, original)
    assert received.extra == {"more": (1, 2)}
    assert received.__notes__ == ["noted"]
    extended = isinstance(original, Exception)
    assert isinstance(received, errors.TaskError) is extended
    assert details(received).code == type(original).__name__
    assert details(received).attempts == 3
    if extended:
        assert vars(received) == vars(original)
    assert ends_program(received) is not extended


def test_the_samples_cover_every_builtin_class() -> None:
    made = {type(exc) for cls in samples.builtin_classes() for exc in samples.instances(cls)}
    assert set(samples.builtin_classes()) <= made
    assert len(made) > 60


@pytest.mark.parametrize("original", samples.user_instances(), ids=lambda exc: type(exc).__name__)
@pytest.mark.parametrize("levels", [1, 3])
def test_exceptions_that_users_write_keep_type_arguments_and_attributes(original: BaseException, levels: int) -> None:
    received = cross(original, levels)
    assert_same(received, original)
    assert {k: repr(v) for k, v in vars(received).items()} == {k: repr(v) for k, v in vars(original).items()}
    assert isinstance(received, errors.TaskError)
    assert details(received).task == "env.task"


def test_slots_are_kept_each_in_its_own_class() -> None:
    received = cross(samples.SlottedBelow("red", 3), 3)
    assert (received.colour, received.size, received.private, received.own_private) == ("red", 3, "p", 3)
    assert not hasattr(received, "empty")


@pytest.mark.parametrize("code", [7, "E42", None, ["list"]])
def test_an_exceptions_own_code_stays_what_it_is(code: object) -> None:
    received = cross(samples.WithCode(code), 3)
    assert received.code == code
    assert details(received).code == (code if isinstance(code, str) else "WithCode")
    assert encode_exception(received).code == details(received).code


def test_attributes_named_like_those_of_task_error_stay_the_users() -> None:
    received = cross(samples.OwnWords(), 2)
    assert (received.kind, received.action, received.attempts) == ("class attribute", "jump", ["one", "two"])
    assert cross(samples.WithCodeProperty(), 2).code == 404
    assert cross(samples.Delegating(), 2).code == "delegated code"
    told = details(received)
    assert (told.kind, told.action, told.attempts) == (FailureKind.USER, "a1", 2)


def test_a_received_exception_tells_what_the_engine_said() -> None:
    received = cross(ZeroDivisionError("division by zero"))
    assert isinstance(received, errors.RuntimeUserError)
    assert (received.code, received.kind, received.action, received.task, received.attempts) == (
        "ZeroDivisionError",
        "user",
        "a0",
        "env.task",
        1,
    )
    assert details(received) == Details(
        kind=FailureKind.USER,
        code="ZeroDivisionError",
        message="division by zero",
        action="a0",
        task="env.task",
        attempts=1,
        traceback=received.remote_traceback,
    )


def test_classes_do_not_grow_with_the_depth_of_parents() -> None:
    first, third = cross(KeyError("k")), cross(KeyError("k"), 3)
    assert type(first) is type(third)
    assert sum(k.__name__ == "KeyError" for k in type(third).__mro__) == 2
    assert len(encode_exception(third).exception) < len(encode_exception(first).exception) + 100


def test_exceptions_that_cannot_be_extended_arrive_as_themselves_and_details_tell() -> None:
    original = samples.validation_error()
    original.add_note("noted")
    received = cross(original, 3)
    assert type(received) is pydantic.ValidationError
    assert received.errors() == original.errors()
    assert received.title == original.title
    assert str(received) == str(original)
    assert received.__notes__ == ["noted"]
    told = details(received)
    assert (told.code, told.action, told.task, told.attempts) == ("ValidationError", "a2", "env.task", 3)
    assert "validation errors for Model" in told.traceback


def test_subclass_hooks_and_metaclasses_do_not_notice() -> None:
    samples.Registering.seen.clear()
    assert isinstance(cross(samples.Registering("r")), errors.TaskError)
    assert samples.Registering.seen == []
    assert isinstance(cross(samples.RefusingSubclasses("r")), errors.TaskError)
    received = cross(samples.WithMetaclass("m"), 2)
    assert isinstance(received, errors.TaskError)
    assert type(received).flag is True


def test_members_of_groups_are_extended_too_and_keep_their_own_details() -> None:
    failed = cross(ValueError("from a child"), 3)
    group = ExceptionGroup("both", [failed, ExceptionGroup("inner", [KeyError("own")])])
    received = cross(group, 2)
    first, inner = received.exceptions
    assert (details(received).action, details(received).attempts) == ("a1", 2)
    assert (details(first).action, details(first).attempts) == ("a2", 3)
    assert (details(inner.exceptions[0]).action, details(inner.exceptions[0]).attempts) == ("a0", 1)
    caught: list[str] = []
    try:
        raise received
    except* KeyError as keys:
        caught.append(f"keys {len(keys.exceptions)}")
    except* errors.TaskError as others:
        caught.append(f"others {len(others.exceptions)}")
    assert caught == ["keys 1", "others 1"]


def test_a_group_splits_as_its_class_says() -> None:
    received = cross(samples.UserGroup(errors=[ValueError(1), TypeError(2)], stage="late"))
    matched, rest = received.split(ValueError)
    assert type(matched) is samples.UserGroup
    assert (matched.stage, rest.stage) == ("late", "late")


def test_cause_context_and_suppression_are_kept() -> None:
    try:
        try:
            {}["missing"]
        except KeyError as key:
            raise samples.KeywordOnly(table="t", row=1) from key
    except samples.KeywordOnly as exc:
        received = cross(exc, 3)
    assert type(received.__cause__) is KeyError
    assert received.__cause__.args == ("missing",)
    assert received.__context__ is received.__cause__
    assert received.__suppress_context__ is True

    try:
        try:
            {}["missing"]
        except KeyError:
            raise ValueError("other") from None
    except ValueError as exc:
        received = cross(exc, 3)
    assert received.__cause__ is None
    assert type(received.__context__) is KeyError
    assert received.__suppress_context__ is True


def test_exceptions_inside_values_stay_one_object_each() -> None:
    shared = samples.KeywordOnly(table="t", row=1)
    outer = ValueError("outer", shared, [shared])
    outer.__cause__ = shared
    outer.myself = outer  # pyright: ignore[reportAttributeAccessIssue]
    received = cross(outer, 2)
    assert received.args[1] is received.args[2][0] is received.__cause__
    assert received.args[1].row == 1
    assert received.myself is received


def test_what_a_class_says_of_its_own_pickling_is_heeded() -> None:
    original = samples.ReducingWithState("host", "secret")
    original.add_note("noted")
    assert b"secret" not in encode_exception(original).exception
    received = cross(original, 2)
    assert (received.host, received.password, received.__notes__) == ("host", "***", ["noted"])
    restored = cross(samples.Restoring("n"), 2)
    assert restored.restored is True
    assert restored.lock.acquire(blocking=False)
    assert isinstance(restored, errors.TaskError)


def test_local_classes_travel_by_value() -> None:
    class Local(LookupError):
        def __init__(self, *, where: str) -> None:
            super().__init__("lost")
            self.where = where

    received = cross(Local(where="here"), 3)
    assert isinstance(received, Local)
    assert received.where == "here"


def test_the_childs_traceback_is_printed_below_the_parents() -> None:
    def deep_in_the_child() -> None:
        raise ZeroDivisionError("child")

    try:
        deep_in_the_child()
    except ZeroDivisionError as exc:
        received = cross(exc)

    def in_the_parent() -> None:
        raise received

    with pytest.raises(ZeroDivisionError) as caught:
        in_the_parent()
    text = "".join(traceback.format_exception(caught.value))
    assert text.index("in in_the_parent") < text.index("in deep_in_the_child")
    assert 'raise ZeroDivisionError("child")' in text
    assert text.rstrip().endswith("ZeroDivisionError: child")
    assert received.__cause__ is None
    assert not hasattr(received, "__notes__")
    again = cross(caught.value, 2)
    assert again.remote_traceback.index("in in_the_parent") < again.remote_traceback.index("in deep_in_the_child")


def test_a_rebuilt_traceback_reads_exactly_like_the_original_one() -> None:
    def fails() -> object:
        value: Any = {"a": [1, 2, 3]}
        return value["a"][0] + value["a"][1] + len(value["a"]) + value["b"][2] + value["a"][0]

    try:
        fails()
    except KeyError as exc:
        expected = traceback.format_exception(exc)
        received = cross(exc, 3)
    assert traceback.format_exception(received) == expected
    assert any("~" in line or "^" in line for line in expected)
    code = received.__traceback__.tb_next.tb_frame.f_code
    assert (code.co_name, code.co_firstlineno) == (fails.__name__, fails.__code__.co_firstlineno)


def test_causes_and_members_are_printed_with_their_own_tracebacks() -> None:
    def first() -> None:
        raise KeyError("first")

    def second() -> None:
        try:
            first()
        except KeyError as exc:
            raise ExceptionGroup("second", [exc, ValueError("bare")]) from exc

    try:
        second()
    except ExceptionGroup as exc:
        expected = traceback.format_exception(exc)
        received = cross(exc, 2)
    assert traceback.format_exception(received) == expected


def test_frames_of_given_folders_are_left_out() -> None:
    try:
        pydantic.TypeAdapter(int).validate_python("x")
    except pydantic.ValidationError as exc:
        folder = pydantic.__file__.rpartition("/")[0]
        whole, short = encode_exception(exc), encode_exception(exc, skip_frames_of=(folder,))
    assert "type_adapter.py" in whole.traceback
    assert "type_adapter.py" not in short.traceback
    assert "test_failures.py" in short.traceback
    printed = "".join(traceback.format_exception(decode_exception(short)))
    assert "type_adapter.py" not in printed
    assert "test_failures.py" in printed


def test_what_the_standard_library_does_between_left_out_frames_is_left_out_with_them(tmp_path: Path) -> None:
    ours = tmp_path / "ours" / "loop.py"
    ours.parent.mkdir()
    source = """
import asyncio

def outer(inner):
    async def within():
        inner()
        raise RuntimeError("ours")
    asyncio.run(within())
"""
    namespace: dict[str, Any] = {}
    exec(compile(source, str(ours), "exec"), namespace)

    def shown(inner: Callable[[], object]) -> str:
        try:
            namespace["outer"](inner)
        except (RuntimeError, json.JSONDecodeError) as exc:
            return encode_exception(exc, skip_frames_of=(str(ours.parent),)).traceback
        raise AssertionError

    by_us, by_the_user = shown(lambda: None), shown(lambda: json.loads("nonsense"))
    assert "test_failures.py" in by_us
    assert "decoder.py" in by_the_user
    assert "asyncio" not in by_us + by_the_user


def test_received_exceptions_can_be_copied_and_pickled() -> None:
    original = samples.KeywordOnly(table="t", row=[1])  # pyright: ignore[reportArgumentType]
    original.__cause__ = KeyError("k")
    received = cross(original, 2)
    for other in (copy.copy(received), copy.deepcopy(received), pickle.loads(pickle.dumps(received))):
        assert_same(other, original)
        assert type(other) is type(received)
        assert (other.row, other.action, details(other).task) == ([1], received.action, "env.task")
        assert type(other.__cause__) is KeyError
    assert copy.copy(received).row is received.row
    assert copy.deepcopy(received).row is not received.row
    group = cross(ExceptionGroup("g", [ValueError(1)]))
    assert copy.copy(group).exceptions == group.exceptions


def test_a_received_type_can_be_raised_again_by_hand() -> None:
    again = type(cross(samples.OtherArguments(1, 2)))(3, 4)  # pyright: ignore[reportCallIssue]
    assert str(again) == "4 is above 3"
    assert details(again).code == "OtherArguments"
    assert again.code == "OtherArguments"  # pyright: ignore[reportAttributeAccessIssue]
    assert cross(again).limit == 3


@pytest.mark.parametrize("cls", [errors.NonRecoverableError, type("Sub", (errors.NonRecoverableError,), {})])
def test_non_recoverable_errors_refuse_retries_at_every_level(cls: type[errors.NonRecoverableError]) -> None:
    failure = encode_exception(cls("never"))
    assert failure.retryable is False
    received = decode_exception(failure)
    assert isinstance(received, cls)
    assert encode_exception(received).retryable is False
    assert encode_exception(ValueError()).retryable is True


def test_our_own_errors_keep_their_types_and_take_the_details_as_attributes() -> None:
    oom = errors.OOMError("OOMError", "5 GiB used")
    oom.limit = 4
    received = cross(oom, 3)
    assert type(received) is errors.OOMError
    assert (received.limit, received.code, received.action, str(received)) == (4, "OOMError", "a2", "5 GiB used")
    plain = cross(errors.TaskError("by hand", code="E1", hint="try again"), 2)
    assert (plain.code, plain.hint, plain.task, details(plain).code) == ("E1", "try again", "env.task", "E1")
    assert cross(errors.MissingSecretsError("gone", names=["a"]), 2).names == ("a",)


def test_failures_that_are_not_the_users_are_system_errors_as_well() -> None:
    failure = encode_exception(ModuleNotFoundError("No module named 'x'", name="x"), kind=FailureKind.SYSTEM)
    received: Any = decode_exception(failure)
    assert isinstance(received, ModuleNotFoundError)
    assert isinstance(received, errors.RuntimeSystemError)
    assert (received.name, received.kind) == ("x", "system")
    passed_on = cross(received, 2)
    assert isinstance(passed_on, errors.RuntimeSystemError)
    assert type(passed_on) is type(received)
    assert details(passed_on).kind is FailureKind.SYSTEM


@pytest.mark.parametrize(
    ("kind", "code", "message", "cls", "fields"),
    [
        ("user", "OOMError", "limit 2048 bytes, peak 4096 bytes", errors.OOMError, {"limit": 2048, "peak": 4096}),
        ("user", "OOMError", "out of memory", errors.OOMError, {}),
        ("user", "MaxRuntimeExceededError", "longer than 3 s", errors.MaxRuntimeExceededError, {}),
        ("user", "MaxQueuedTimeExceededError", "m", errors.MaxQueuedTimeExceededError, {}),
        ("user", "DeadlineExceededError", "m", errors.DeadlineExceededError, {}),
        ("user", "ExitCode", "the process ended with exit code 3", errors.TaskExitError, {"exit_code": 3}),
        ("user", "Signal", "crashed with SIGSEGV (signal 11)", errors.TaskExitError, {"signal": 11}),
        ("aborted", "Aborted", "the run was aborted", errors.RunAbortedError, {}),
        ("system", "ImportError", "no module", errors.RuntimeSystemError, {}),
        ("lost", "WorkerLost", "the machine is gone", errors.RuntimeSystemError, {}),
        ("user", "WeirdError", "text only", errors.TaskError, {}),
    ],
)
def test_a_failure_without_an_exception_is_the_fitting_error_of_the_tree(
    kind: str, code: str, message: str, cls: type, fields: dict[str, Any]
) -> None:
    failure = Failure(
        kind=FailureKind(kind),
        code=code,
        message=message,
        traceback="remote text",
        action="a",
        task="t",
        attempts=2,
        **fields,
    )
    received: Any = decode_exception(failure)
    assert type(received) is cls
    assert str(received) == message
    assert {name: getattr(received, name) for name in fields} == fields
    assert details(received) == Details(
        kind=FailureKind(kind), code=code, message=message, action="a", task="t", attempts=2, traceback="remote text"
    )
    assert (received.code, received.kind, received.remote_traceback) == (code, kind, "remote text")
    assert "remote text" in "".join(traceback.format_exception(received))


def test_a_text_failure_that_refuses_retries_still_does() -> None:
    failure = Failure(kind=FailureKind.USER, code="Mine", message="m", retryable=False)
    assert isinstance(decode_exception(failure), errors.NonRecoverableError)


def test_bytes_that_are_no_exception_give_the_text() -> None:
    for data in (b"nonsense", b"\x93\x09\x90\x90", msgspec.msgpack.encode([1, [], [], []])):
        failure = Failure(kind=FailureKind.USER, code="Mine", message="m", exception=data)
        received = decode_exception(failure)
        assert type(received) is errors.TaskError
        assert str(received) == "m"


def test_details_of_an_exception_that_never_crossed_are_read_off_it() -> None:
    try:
        raise samples.WithCode("E7")
    except samples.WithCode as exc:
        told = details(exc)
    assert (told.kind, told.code, told.message, told.action, told.attempts) == (FailureKind.USER, "E7", "E7", "", 0)
    assert "test_details_of_an_exception_that_never_crossed" in told.traceback
    assert details(errors.RuntimeSystemError("x")).kind is FailureKind.SYSTEM
    assert details(errors.RunAbortedError("x")).kind is FailureKind.ABORTED
    assert details(KeyboardInterrupt()).code == "KeyboardInterrupt"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.datetimes(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    cls=st.sampled_from([Exception, ValueError, KeyError, samples.WithCode, StopIteration, SystemExit]),
    args=st.lists(VALUES, max_size=3),
    attributes=st.dictionaries(st.text(min_size=1).filter(lambda name: name[:2] != "__"), VALUES, max_size=3),
    notes=st.lists(st.text(), max_size=2),
)
def test_any_arguments_attributes_and_notes_arrive_equal(
    cls: type[BaseException], args: list[Any], attributes: dict[str, Any], notes: list[str]
) -> None:
    original = cls.__new__(cls, *args)
    original.args = tuple(args)
    vars(original).update(attributes)
    for note in notes:
        original.add_note(note)
    received = cross(original, 2)
    assert received.args == tuple(args)
    assert {name: vars(received)[name] for name in vars(original)} == vars(original)
    assert getattr(received, "__notes__", []) == notes
    assert isinstance(received, cls)


def test_an_exception_of_which_only_the_name_is_left_says_its_name() -> None:
    error = decode_exception(Failure(kind=FailureKind.USER, code="KeyboardInterrupt", message=""))
    assert str(error) == "KeyboardInterrupt"
