"""Arrays and frames: exact, injective, canonical, and by reference when they are large."""

import dataclasses
import datetime
import decimal
import pickle
from typing import Any

import numpy
import numpy.typing
import pandas
import polars
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.values import typed_values as typed
from tests.values.typed_values import identity
from volant.blobs.local import LocalBlobs
from volant.model.errors import ArgumentError, BlobCorruptError, BlobMissingError, ValueCodecError
from volant.values.codec import Encoded, decode, encode
from volant.values.contents import MOST_IN_VALUE, store, store_parts

FOREIGN = {
    "arrays": typed.arrays(),
    "series": typed.series(),
    "frames": typed.frames(),
    "arrow": typed.arrow_arrays(),
    "polars": typed.polars_series(),
}
patient = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture
def blobs(tmp_path: Any) -> LocalBlobs:
    return LocalBlobs(tmp_path)


def there_and_back(value: Any, annotation: Any = Any) -> Any:
    return decode(encode(value, annotation).data, annotation)


@pytest.mark.parametrize("kind", FOREIGN)
@patient
@given(st.data())
def test_what_other_libraries_made_comes_back_exactly_and_shares_bytes_with_its_equals_only(
    kind: str, data: st.DataObject
) -> None:
    one, other = data.draw(FOREIGN[kind]), data.draw(FOREIGN[kind])
    encoded = encode(one, Any)
    assert encoded.digest is not None
    assert encoded.inline_bytes <= 1
    again = decode(encoded.data, Any)
    assert identity(again) == identity(one)
    assert encode(again, Any) == encoded
    assert (encode(other, Any).data == encoded.data) == (identity(other) == identity(one))


ARRAYS = [
    numpy.array(3.5),
    numpy.zeros((0, 3)),
    numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
    numpy.arange(20)[::3],
    numpy.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    numpy.array(["2024-01-01", "NaT"], dtype="M8[D]"),
    numpy.array([1, 2], dtype=">i4"),
    numpy.array([None, 1, "x", [1, 2], {"a": 3}], dtype=object),
    numpy.array([["x", "yé"]], dtype=object),
    numpy.array(["a", None], dtype=numpy.dtypes.StringDType(na_object=None)),
    numpy.zeros(2, "V7"),
    numpy.zeros((2, 2), dtype=[("m", "f4", (2, 3)), ("o", object)]),
    numpy.array([(1, 2.5)], dtype=[("a", "i4"), (("title", "b"), "f8")]),
    numpy.zeros((3,), dtype="S0"),
    numpy.broadcast_to(numpy.arange(3), (2, 3)),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_an_array_keeps_its_dtype_its_shape_and_its_order_and_can_be_changed(array: Any) -> None:
    again = there_and_back([array])[0]
    assert again.dtype == array.dtype
    assert repr(again.dtype) == repr(array.dtype)
    assert again.shape == array.shape
    assert repr(again.tolist()) == repr(array.tolist())
    assert again.flags.writeable
    assert again.flags.f_contiguous or not array.flags.f_contiguous
    assert encode(array, Any).digest is not None


def test_bytes_between_the_fields_of_a_record_say_nothing() -> None:
    kind = numpy.dtype([("a", "i1"), ("b", "f8")], align=True)
    zeros, noise = numpy.zeros(3, kind), numpy.frombuffer(bytearray(b"\xff" * 48), kind)
    for name in ("a", "b"):
        noise[name] = 0
    assert zeros.tobytes() != noise.tobytes()
    assert encode(zeros, Any) == encode(noise, Any)


def test_what_lies_under_a_mask_or_a_null_says_nothing() -> None:
    bits = pyarrow.array([True, False]).buffers()[1]
    numbers = [pyarrow.py_buffer(numpy.array(row, "<i8")) for row in ([1, 2], [1, 77])]
    one, other = (pyarrow.Array.from_buffers(pyarrow.int64(), 2, [bits, data]) for data in numbers)
    assert one == other
    assert encode(one, Any) == encode(other, Any)
    texts = pyarrow.Array.from_buffers(
        pyarrow.string(), 2, [bits, pyarrow.py_buffer(numpy.array([0, 1, 3], "<i4")), pyarrow.py_buffer(b"axx")]
    )
    assert encode(texts, Any) == encode(pyarrow.array(["a", None]), Any)
    assert there_and_back(texts).to_pylist() == ["a", None]
    masked = [pandas.arrays.IntegerArray(numpy.array(row), numpy.array([False, True])) for row in ([1, 2], [1, 77])]
    assert encode(masked[0], Any) == encode(masked[1], Any)
    hidden = [numpy.ma.array(row, mask=[False, True]) for row in ([1, 2], [1, 77])]
    assert encode(hidden[0], Any) == encode(hidden[1], Any)


def test_equal_looking_frames_and_arrays_of_different_dtypes_share_no_bytes() -> None:
    looks = [
        numpy.array([1, 2]),
        numpy.array([1.0, 2.0]),
        numpy.array([1, 2], object),
        numpy.array([1, 2], "i4"),
        numpy.array([[1, 2]]),
        [1, 2],
        pandas.Series([1, 2]),
        pandas.Series([1, 2], dtype="Int64"),
        pandas.Series([1, 2], dtype="int64[pyarrow]"),
        pandas.Series([1, 2], dtype="category"),
        pandas.Series([1, 2], index=pandas.Index([0, 1])),
        pandas.Series([1, 2], name="a"),
        pandas.Index([1, 2]),
        pandas.DataFrame({"a": [1, 2]}),
        polars.Series([1, 2]),
        polars.DataFrame({"a": [1, 2]}),
        pyarrow.array([1, 2]),
        pyarrow.table({"a": [1, 2]}),
    ]
    assert len({encode(value, Any).data for value in looks}) == len(looks)


def test_chunks_slices_and_blocks_are_not_part_of_a_value() -> None:
    assert encode(pyarrow.chunked_array([[1, 2], [3]]), Any) == encode(pyarrow.chunked_array([[1], [2, 3]]), Any)
    assert encode(pyarrow.array([0, 1, 2])[1:], Any) == encode(pyarrow.array([1, 2]), Any)
    together = pandas.DataFrame(numpy.arange(6).reshape(3, 2), columns=["a", "b"])
    apart = pandas.DataFrame({"a": [0, 2, 4]})
    apart["b"] = [1, 3, 5]
    assert encode(together, Any) == encode(apart, Any)


INDEXES = [
    pandas.RangeIndex(3, name="r"),
    pandas.Index(["a", 1, None], dtype=object),
    pandas.date_range("2024", periods=3, freq="h"),
    pandas.date_range("2024", periods=3, tz="Europe/Paris"),
    pandas.timedelta_range("1h", periods=3),
    pandas.period_range("2024", periods=3, freq="M"),
    pandas.interval_range(0, 3),
    pandas.CategoricalIndex(["a", "b", "a"], ordered=True),
    pandas.MultiIndex.from_tuples([("a", 1), ("b", 2), ("a", 3)], names=["x", None]),
    pandas.Index([1, None, 2], dtype="Int64"),
    pandas.Index([("a", 1), ("b", 2)], tupleize_cols=False),
]


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: type(index).__name__)
def test_every_kind_of_index_comes_back(index: Any) -> None:
    again = there_and_back(index)
    pandas.testing.assert_index_equal(again, index, exact=True)
    assert getattr(again, "freq", None) == getattr(index, "freq", None)
    assert encode(index, pandas.Index).digest is not None
    frame = pandas.DataFrame({"a": range(len(index))}, index=index)
    pandas.testing.assert_frame_equal(there_and_back(frame, pandas.DataFrame), frame, check_freq=True)


COLUMNS = [
    pandas.Series(["a", None], dtype=pandas.StringDtype("python")),
    pandas.Series(["a", None], dtype=pandas.StringDtype("pyarrow")),
    pandas.Series([1, None, 3.5], dtype="Float32"),
    pandas.Series(pandas.date_range("2024", periods=3).as_unit("s")),
    pandas.Series(pandas.to_timedelta([1, None], unit="s")),
    pandas.Series(pandas.interval_range(0, 2)),
    pandas.Series(pandas.arrays.SparseArray([0, 0, 1.0])),
    pandas.Series(pandas.arrays.SparseArray([0, 0, 1], kind="block", fill_value=0)),
    pandas.Series([[1], None], dtype=pandas.ArrowDtype(pyarrow.list_(pyarrow.int64()))),
    pandas.Series([decimal.Decimal("1.5"), pandas.NaT, pandas.NA, pandas.Timestamp("2024", tz="Europe/Paris")]),
    pandas.Series([pandas.Timedelta("1h"), pandas.Period("2024-01"), pandas.Interval(1, 2)]),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.dtype))
def test_every_kind_of_column_comes_back(column: Any) -> None:
    pandas.testing.assert_series_equal(there_and_back(column), column)
    assert encode(column, pandas.Series).pickled == ()


def test_attributes_flags_and_repeated_names_of_a_frame_come_back() -> None:
    frame = pandas.DataFrame([[1, 2.5], [3, 4.5]], columns=["a", "a"])
    frame.attrs = {"unit": "m"}
    again = there_and_back(frame)
    pandas.testing.assert_frame_equal(again, frame)
    assert again.attrs == {"unit": "m"}
    unique = pandas.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    assert not there_and_back(unique).flags.allows_duplicate_labels


ARROW = [
    pyarrow.array([True, None, False, True]).slice(1, 3),
    pyarrow.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]).slice(1),
    pyarrow.array([[1, 2], None, [3, 4]], pyarrow.list_(pyarrow.int64(), 2)).slice(1),
    pyarrow.array([[("a", 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int64())).slice(1),
    pyarrow.array(["a", None], pyarrow.string_view()),
    pyarrow.array([decimal.Decimal("1.50"), None]),
    pyarrow.array([datetime.datetime(2024, 1, 1)], pyarrow.timestamp("ns", "UTC")),
    pyarrow.nulls(3),
    pyarrow.array([b"ab"], pyarrow.binary(2)),
    pyarrow.array([], pyarrow.list_(pyarrow.string())),
]


@pytest.mark.parametrize("array", ARROW, ids=lambda array: str(array.type))
def test_every_kind_of_arrow_array_comes_back(array: Any) -> None:
    again = there_and_back(array)
    again.validate(full=True)
    assert again.type == array.type
    assert again.equals(array)
    assert encode(array, Any).digest is not None
    table = pyarrow.table({"c": array}).replace_schema_metadata({"k": "v"})
    assert there_and_back(table).equals(table, check_metadata=True)


@dataclasses.dataclass
class Training:
    weights: numpy.typing.NDArray[numpy.float32]
    history: pandas.DataFrame
    name: str


def test_frames_and_arrays_travel_inside_of_anything(blobs: LocalBlobs) -> None:
    weights = numpy.ones((300, 300), numpy.float32)
    value = {"a": [Training(weights, pandas.DataFrame({"loss": [1.0, 0.5]}), "x")]}
    encoded = encode(value, dict[str, list[Training]])
    assert encoded.digest is not None
    assert len(encoded.parts) == 1
    again = decode(stored(encoded, blobs), dict[str, list[Training]], blobs=lambda: blobs)["a"][0]
    assert (again.weights == weights).all()
    pandas.testing.assert_frame_equal(again.history, value["a"][0].history)


def stored(encoded: Encoded, blobs: LocalBlobs) -> bytes:
    store_parts(encoded.parts, blobs)
    return encoded.data


def test_a_large_array_is_a_blob_by_content_and_costs_the_value_a_reference(blobs: LocalBlobs) -> None:
    array = numpy.arange(100_000)
    encoded = encode([array, array.copy()], list[Any])
    assert len(encoded.data) < 200
    assert encoded.inline_bytes < 10
    (part,) = encoded.parts
    assert part.blob.size == array.nbytes
    assert (decode(stored(encoded, blobs), list[Any], blobs=lambda: blobs)[1] == array).all()
    assert blobs.get(part.blob) == array.tobytes()
    at_most = numpy.zeros(MOST_IN_VALUE, "u1")
    assert encode(at_most, Any).parts == ()
    assert len(encode(numpy.append(at_most, at_most[:1]), Any).parts) == 1


def test_a_payload_names_its_parts(blobs: LocalBlobs) -> None:
    encoded = encode([numpy.arange(100_000), "x" * 500], list[Any])
    here = store(encoded.data, encoded.parts, blobs, inline_bytes=10_000)
    there = store(encoded.data, encoded.parts, blobs, inline_bytes=100)
    assert here.parts == there.parts == (encoded.parts[0].blob.digest,)


def test_columns_of_one_dtype_share_a_blob_and_nothing_is_copied_for_it(blobs: LocalBlobs) -> None:
    frame = pandas.DataFrame({f"c{at}": numpy.arange(1000.0) for at in range(100)})
    encoded = encode(frame, pandas.DataFrame)
    assert len(encoded.parts) == 1
    pandas.testing.assert_frame_equal(decode(stored(encoded, blobs), pandas.DataFrame, blobs=lambda: blobs), frame)


def test_an_array_that_changes_before_it_is_stored_is_an_error(blobs: LocalBlobs) -> None:
    array = numpy.arange(100_000)
    encoded = encode(array, Any)
    array[5] = -1
    with pytest.raises(BlobCorruptError, match="changed while it was stored") as caught:
        store_parts(encoded.parts, blobs)
    assert caught.value.hint == "pass a copy of what is changed meanwhile"


def test_a_part_that_is_gone_or_damaged_is_an_error_of_the_store(blobs: LocalBlobs, tmp_path: Any) -> None:
    encoded = encode(numpy.arange(100_000), Any)
    digest = encoded.parts[0].blob.digest
    with pytest.raises(BlobMissingError, match=digest):
        decode(encoded.data, Any, blobs=lambda: blobs)
    with pytest.raises(ValueCodecError, match="no store is known here"):
        decode(encoded.data, Any)
    store_parts(encoded.parts, blobs)
    path = tmp_path / digest[:2] / digest[2:]
    path.write_bytes(b"\1" + path.read_bytes()[1:])
    with pytest.raises(BlobCorruptError, match=digest):
        decode(encoded.data, Any, blobs=lambda: blobs)


def test_a_wrong_dtype_or_library_is_said_with_the_path() -> None:
    wanted = numpy.typing.NDArray[numpy.float64]
    assert there_and_back(numpy.array([1.0]), wanted).dtype == "f8"
    with pytest.raises(ArgumentError, match=r"value\['a'\]\[0\]: found an array of int64, wanted ndarray"):
        encode({"a": [numpy.array([1])]}, dict[str, list[wanted]])
    with pytest.raises(ArgumentError, match="wanted DataFrame"):
        encode(polars.DataFrame({"a": [1]}), pandas.DataFrame)
    with pytest.raises(ArgumentError, match="wanted ndarray"):
        encode([1, 2], numpy.ndarray)


def test_the_member_of_a_union_that_was_given_comes_back() -> None:
    union = pandas.DataFrame | polars.DataFrame | pyarrow.Table | numpy.ndarray | None
    for value in (pandas.DataFrame({"a": [1]}), polars.DataFrame({"a": [1]}), pyarrow.table({"a": [1]}), None):
        assert type(there_and_back(value, union)) is type(value)


class Tagged(numpy.ndarray):
    """A subclass with a life of its own."""


class Wide(pandas.DataFrame):
    """Another."""

    @property
    def _constructor(self) -> Any:
        return Wide


def test_subclasses_and_extended_precision_are_pickled_and_stay_what_they_are() -> None:
    for value in (numpy.arange(3).view(Tagged), Wide({"a": [1]}), numpy.array([1], numpy.longdouble)):
        encoded = encode(value, Any)
        assert encoded.digest is None
        assert encoded.pickled == ("value",)
        again = decode(encoded.data, Any)
        assert type(again) is type(value)
        assert pickle.dumps(again) == pickle.dumps(value)


def test_an_array_that_contains_itself_is_named() -> None:
    array = numpy.empty(1, object)
    array[0] = [array]
    with pytest.raises(ValueCodecError, match=r"contains itself|nested too deeply"):
        encode(array, Any)
