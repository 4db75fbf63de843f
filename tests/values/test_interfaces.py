"""Binding, encoding and decoding the calls of a task."""

from __future__ import annotations

import asyncio
import functools
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import cloudpickle
import pytest

from tests.values import sample_types as samples
from volant.model.errors import ArgumentError, DefinitionError, DefinitionTypeError, ValueCodecError
from volant.values.interfaces import EMPTY, Interface

if TYPE_CHECKING:
    from somewhere import Missing

T = TypeVar("T")


class Stats(NamedTuple):
    mean: float
    count: int


def delays(carrier: str, month: int = 1, *, factor: float = 1.0) -> dict[str, float]:
    return {carrier: month * factor}


def interface(function: Callable[..., Any], name: str = "flights.delays") -> Interface:
    return Interface.of(function, name=name)


def call(task: Interface, /, *args: Any, **kwargs: Any) -> Any:
    """Call the function the way a worker does."""
    args, kwargs = task.decode_inputs(task.encode_inputs(task.bind(args, kwargs)).data)  # type: ignore[assignment]
    return task.decode_output(task.encode_output(task.function(*args, **kwargs)).data)


class TestDefinition:
    def test_parameters_have_evaluated_types_kinds_and_defaults(self) -> None:
        task = interface(delays)
        assert [parameter.name for parameter in task.parameters] == ["carrier", "month", "factor"]
        assert task.types == {"carrier": str, "month": int, "factor": float}
        assert [parameter.default for parameter in task.parameters] == [EMPTY, 1, 1.0]
        assert [parameter.is_required for parameter in task.parameters] == [True, False, False]
        assert task.returns == dict[str, float]
        assert task.describe() == "(carrier: str, month: int = 1, *, factor: float = 1.0) -> dict[str, float]"

    def test_async_functions_are_known_as_such_also_behind_a_decorator(self) -> None:
        async def work(x: int) -> int:
            await asyncio.sleep(0)
            return x

        @functools.wraps(work)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return work(*args, **kwargs)

        assert interface(work).is_async
        assert interface(wrapper).is_async
        assert interface(wrapper).types == {"x": int}
        assert not interface(delays).is_async

    def test_a_default_is_type_enough_for_a_parameter(self) -> None:
        def work(x=3): ...  # type: ignore[no-untyped-def]

        task = interface(work)
        assert task.types == {"x": Any}
        assert task.decode_arguments(task.encode_inputs({"x": ["any", 1]}).data) == {"x": ["any", 1]}

    def test_what_cannot_be_a_task_is_refused_with_the_reason(self) -> None:
        def variadic(*numbers: int) -> None: ...
        def keywords(**options: int) -> None: ...
        def bare(x) -> None: ...  # type: ignore[no-untyped-def]
        def generator() -> Iterator[int]:
            yield 1

        async def async_generator() -> AsyncIterator[int]:
            yield 1

        for function, error, reason in [
            (variadic, DefinitionError, r"the parameter '\*numbers'"),
            (keywords, DefinitionError, r"'\*\*options'"),
            (bare, DefinitionError, "'x' is neither annotated nor has a default"),
            (generator, DefinitionTypeError, "found a generator function"),
            (async_generator, DefinitionTypeError, "found a generator function"),
            (Stats, DefinitionTypeError, "found the class Stats"),
            (staticmethod(delays), DefinitionTypeError, "found a staticmethod"),
            (3, DefinitionTypeError, "found int 3, wanted a function"),
            (dict.update, DefinitionTypeError, "no signature"),
        ]:
            with pytest.raises(error, match=rf"task 'a\.b': .*{reason}"):
                Interface.of(function, name="a.b")  # type: ignore[arg-type]

    def test_types_of_enclosing_function_bodies_are_found(self) -> None:
        @dataclass
        class Order:
            price: float

        def define() -> Interface:
            class Line(NamedTuple):
                order: Any

            def work(orders: list[Order], lines: dict[str, Line]) -> Order | None: ...

            return interface(work)

        task = define()
        assert task.types["orders"] == list[Order]
        assert task.types["lines"].__args__[1].__name__ == "Line"
        assert task.returns == Order | None

    def test_a_type_that_is_defined_later_is_found_at_first_use(self) -> None:
        def work(later: list[Later]) -> Later: ...

        task = interface(work)

        @dataclass
        class Later:
            x: int

        assert task.encode_inputs({"later": [Later(1)]}).pickled == ()
        assert task.returns is Later

    def test_a_type_that_is_never_defined_is_an_error_at_first_use(self) -> None:
        def work(x: Missing) -> None: ...

        task = interface(work)
        with pytest.raises(
            DefinitionError, match="parameter 'x': the annotation 'Missing' cannot be evaluated"
        ) as caught:
            task.encode_inputs({"x": 1})
        assert caught.value.hint is not None
        assert "TYPE_CHECKING" in caught.value.hint

    def test_an_annotation_that_is_no_type_is_an_error_at_first_use(self) -> None:
        def work(x: 3) -> None: ...  # type: ignore[valid-type]

        with pytest.raises(DefinitionError, match=r"task 'a\.b', parameter 'x': found 3 as an annotation"):
            interface(work, "a.b").encode_inputs({"x": 1})

    def test_an_interface_travels_with_the_types_of_its_function_body(self) -> None:
        @dataclass
        class Order:
            price: float

        def work(order: Order, n: int = 2) -> list[Order]:
            return [order] * n

        task = pickle.loads(cloudpickle.dumps(interface(work)))
        assert task.types["order"].__name__ == "Order"
        assert len(call(task, Order(1.0))) == 2


class TestBinding:
    @pytest.mark.parametrize(
        ("args", "kwargs", "message"),
        [
            ((), {}, "missing the argument 'carrier'"),
            (("AA", 1, 2.0), {}, r"found 3 positional arguments, wanted at most 2 \(carrier, month\)"),
            (("AA",), {"mont": 7}, "found the argument 'mont', did you mean 'month'?"),
            (("AA",), {"xyzzy": 7}, "found the argument 'xyzzy', wanted one of 'carrier', 'month', 'factor'"),
            (("AA",), {"carrier": "UA"}, "found two values for the argument 'carrier'"),
        ],
    )
    def test_arguments_that_do_not_bind_are_refused_by_name(self, args: Any, kwargs: Any, message: str) -> None:
        with pytest.raises(ArgumentError, match=f"task 'flights.delays': {message}"):
            interface(delays).bind(args, kwargs)

    def test_arguments_bind_as_python_binds_them(self) -> None:
        def work(a: int, b: int = 2, /, c: int = 3, *, d: int, e: int = 5) -> tuple[int, ...]:
            return (a, b, c, d, e)

        task = interface(work)
        for args, kwargs in [
            ((1,), {"d": 4}),
            ((1, 20), {"d": 4, "c": 30}),
            ((1, 20, 30), {"e": 50, "d": 40}),
        ]:
            assert call(task, *args, **kwargs) == work(*args, **kwargs)
        assert list(task.bind((1,), {"e": 5, "d": 4, "c": 3})) == ["a", "c", "d", "e"]
        with pytest.raises(ArgumentError, match="found 'b' as a keyword, wanted it by position only"):
            task.bind((1,), {"b": 2, "d": 4})
        with pytest.raises(ArgumentError, match="missing the argument 'd'"):
            task.bind((1,), {})

    def test_a_parameter_may_have_any_name(self) -> None:
        def work(self: int, args: int, kwargs: int, task: int) -> int:
            return self + args + kwargs + task

        assert call(interface(work), 1, args=2, kwargs=3, task=4) == 10


class TestInputs:
    def test_leaving_a_default_out_and_passing_it_is_the_same_call(self) -> None:
        task = interface(delays)
        assert task.encode_inputs(task.bind(("AA",), {})) == task.encode_inputs(task.bind(("AA", 1), {"factor": 1}))
        assert task.encode_inputs(task.bind(("AA",), {})) == task.encode_inputs(task.bind((), {"carrier": "AA"}))
        assert task.encode_inputs(task.bind(("AA", 2), {})).digest != task.encode_inputs(task.bind(("AA",), {})).digest

    def test_a_default_without_a_digest_is_left_to_the_function(self) -> None:
        lock = threading.Lock()
        sentinel = object()

        def work(x: int, by: Any = sentinel, lock: Any = lock, key: Any = lambda: 1, last: int = 5) -> bool:
            return by is sentinel and lock.locked() is False and key() == 1

        task = interface(work)
        encoded = task.encode_inputs({"x": 1})
        assert encoded.digest is not None
        assert encoded.pickled == ()
        assert set(task.decode_arguments(encoded.data)) == {"x", "last"}
        assert call(task, 1) is True

    def test_an_undigestable_argument_is_told_with_its_path_beside_defaults_that_are_left_out(self) -> None:
        def work(key: Any = lambda: 1, things: list[Any] = [], last: Any = object()) -> None: ...

        encoded = interface(work, "a.b").encode_inputs({"things": [1, samples.Opaque(2)]})
        assert encoded.digest is None
        assert encoded.pickled == ("task 'a.b', parameter 'things', at things[1]",)

    def test_positional_only_parameters_whose_default_was_left_out_get_it_back(self) -> None:
        def work(a: Any = lambda: 7, b: int = 2, /) -> int:
            return a() + b

        assert call(interface(work)) == 9

    def test_a_default_of_none_makes_the_parameter_optional(self) -> None:
        def work(x: int = None) -> bool:  # type: ignore[assignment]  # noqa: RUF013
            return x is None

        assert call(interface(work)) is True
        assert call(interface(work), 3) is False
        with pytest.raises(ArgumentError, match=r"wanted int \| None"):
            interface(work).encode_inputs({"x": "a"})

    def test_a_default_that_is_not_of_its_type_is_refused(self) -> None:
        def work(x: list[int] = ()) -> None: ...  # type: ignore[assignment]

        with pytest.raises(DefinitionTypeError, match=r"the default of x: found tuple \(\), wanted list\[int\]"):
            interface(work)

    def test_a_default_of_a_type_that_is_defined_later_is_checked_at_the_first_call(self) -> None:
        def work(x: Later = "a") -> None: ...  # type: ignore[assignment, name-defined]  # noqa: F821

        found = interface(work)
        work.__globals__["Later"] = int
        try:
            with pytest.raises(ArgumentError, match="parameter 'x': found str 'a', wanted int"):
                found.encode_inputs({})
        finally:
            del work.__globals__["Later"]

    def test_a_default_that_cannot_be_stored_is_left_to_the_function(self) -> None:
        def work(x: Any = threading.Lock()) -> None: ...

        assert interface(work).encode_inputs({}).data == interface(lambda: None).encode_inputs({}).data

    def test_a_wrong_value_is_named_by_task_parameter_path_and_types(self) -> None:
        def work(orders: list[samples.Order], config: dict[str, int]) -> None: ...

        task = interface(work, "shop.bill")
        wrong = samples.Order(price="free")  # type: ignore[arg-type]
        with pytest.raises(ArgumentError) as caught:
            task.encode_inputs({"orders": [samples.Order(price=1.0), wrong], "config": {}})
        assert str(caught.value) == (
            "task 'shop.bill', parameter 'orders', at orders[1].price: found str 'free', wanted float"
        )
        with pytest.raises(ArgumentError) as caught:
            task.encode_inputs({"orders": [], "config": {"a": True}})
        assert str(caught.value) == "task 'shop.bill', parameter 'config', at config['a']: found bool True, wanted int"
        with pytest.raises(ArgumentError) as caught:
            task.encode_inputs({"orders": 3, "config": {}})
        assert str(caught.value) == "task 'shop.bill', parameter 'orders': found int 3, wanted list[Order]"

    def test_a_value_that_contains_itself_is_refused(self) -> None:
        def work(items: list[Any]) -> None: ...

        items: list[Any] = []
        items.append(items)
        with pytest.raises(ValueCodecError, match=r"'items': found a value that contains itself, at items\[0\]"):
            interface(work).encode_inputs({"items": items})

    def test_a_parameter_that_was_added_with_a_default_reads_old_calls(self) -> None:
        def before(a: int) -> None: ...
        def after(a: int, b: int = 2) -> None: ...

        old = interface(before).encode_inputs({"a": 1}).data
        assert interface(after).decode_inputs(old) == ((), {"a": 1})
        with pytest.raises(ValueCodecError, match="found the argument 'b', wanted one of 'a'"):
            interface(before).decode_inputs(interface(after).encode_inputs({"a": 1}).data)
        with pytest.raises(ValueCodecError, match="the argument 'carrier' is missing"):
            interface(delays).decode_inputs(interface(lambda: None).encode_inputs({}).data)

    def test_damaged_inputs_are_refused(self) -> None:
        task = interface(delays)
        data = task.encode_inputs({"carrier": "AA"}).data
        for cut in range(len(data)):
            with pytest.raises(ValueCodecError, match=r"task 'flights\.delays'"):
                task.decode_inputs(data[:cut])

    def test_two_hundred_parameters_are_fine(self) -> None:
        namespace: dict[str, Any] = {}
        names = [f"p{n}" for n in range(200)]
        exec(f"def many({', '.join(f'{name}: int = 1' for name in names)}) -> int:\n return p0 + p199", namespace)
        assert call(interface(namespace["many"]), p199=5) == 6
        exec(
            f"def few({', '.join(f'{name}: object = object()' for name in names)}, x: int = 3) -> int: return x",
            namespace,
        )
        assert call(interface(namespace["few"]), x=5) == 5


class TestOutputs:
    def test_a_wrong_return_value_is_named(self) -> None:
        def work() -> dict[str, list[int]]: ...

        with pytest.raises(ArgumentError) as caught:
            interface(work, "a.b").encode_output({"x": [1, "2"]})
        assert str(caught.value) == "task 'a.b', return value, at result['x'][1]: found str '2', wanted int"

    def test_none_is_the_only_value_of_a_task_that_returns_none(self) -> None:
        def work() -> None: ...

        assert call(interface(work)) is None
        with pytest.raises(ArgumentError, match="return value: found int 3, wanted None"):
            interface(work).encode_output(3)

    def test_without_a_return_annotation_whatever_is_returned_comes_back(self) -> None:
        def work(x: Any):  # type: ignore[no-untyped-def]
            return x

        task = interface(work)
        assert task.returns is EMPTY
        for value in (None, 1, (1, "a"), samples.Point(1, 2), samples.Opaque(3)):
            assert call(task, value) == value

    def test_tuples_and_named_tuples_are_several_outputs_and_still_come_back_whole(self) -> None:
        def several() -> tuple[int, str]: ...
        def named() -> Stats: ...
        def one() -> list[int]: ...
        def any_length() -> tuple[int, ...]: ...
        def nothing() -> None: ...
        def wrapped() -> Annotated[tuple[int], "a"]: ...

        for function, value, names, parts in [
            (several, (1, "a"), ("o0", "o1"), (1, "a")),
            (named, Stats(1.0, 2), ("mean", "count"), (1.0, 2)),
            (one, [1, 2], ("o0",), ([1, 2],)),
            (any_length, (1, 2), ("o0",), ((1, 2),)),
            (nothing, None, (), ()),
            (wrapped, (1,), ("o0",), (1,)),
        ]:
            task = interface(function)
            assert task.output_names == names
            assert task.outputs_as_tuple(value) == parts
            assert task.outputs(value) == dict(zip(names, parts, strict=True))
            again = task.decode_output(task.encode_output(value).data)
            assert again == value
            assert type(again) is type(value)

    def test_without_a_return_annotation_the_value_says_what_the_outputs_are(self) -> None:
        def work():  # type: ignore[no-untyped-def]
            ...

        task = interface(work)
        assert task.outputs(None) == {}
        assert task.outputs(3) == {"o0": 3}
        assert task.outputs((1, 2)) == {"o0": 1, "o1": 2}
        assert task.outputs(Stats(1.0, 2)) == {"mean": 1.0, "count": 2}
