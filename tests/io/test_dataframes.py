"""`volant.io.DataFrame`: made with one library, opened with another, at once or in pieces."""

import asyncio
from typing import Any

import pandas
import polars
import pyarrow
import pytest

from volant.blobs.local import LocalBlobs
from volant.io import DataFrame, File, HashFunction
from volant.model.errors import ArgumentError, ValueCodecError
from volant.values.codec import decode, encode

FRAMES: list[Any] = [
    pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}),
    polars.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}),
    pyarrow.table({"a": [1, 2, 3], "b": ["x", "y", None]}),
]
KINDS: list[Any] = [pandas.DataFrame, polars.DataFrame, pyarrow.Table]


def rows(frame: Any) -> list[Any]:
    table = frame if isinstance(frame, pyarrow.Table) else None
    if isinstance(frame, pandas.DataFrame):
        table = pyarrow.Table.from_pandas(frame)
    if isinstance(frame, polars.DataFrame):
        table = frame.to_arrow()
    assert table is not None
    return table.to_pylist()  # type: ignore[no-any-return]


WANTED = rows(FRAMES[2])


def passed_on(frame: Any, store: LocalBlobs) -> DataFrame[Any]:
    encoded = encode(DataFrame.from_df(frame), DataFrame)
    found: DataFrame[Any] = decode(encoded.data, DataFrame, blobs=lambda: store)
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__module__)
def test_a_frame_of_any_library_opens_as_one_of_any_other(frame: Any, kind: Any, store: LocalBlobs) -> None:
    for each in (DataFrame.from_df(frame), passed_on(frame, store)):
        found = each.open(kind).all_sync()
        assert type(found) is kind
        assert rows(found) == WANTED
        assert rows(asyncio.run(each.open(kind).all())) == WANTED


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
def test_a_frame_is_read_in_pieces(kind: Any, store: LocalBlobs) -> None:
    frame = passed_on(polars.DataFrame({"a": range(10)}), store)
    pieces = list(frame.open(kind).iter_sync(rows=4))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert [row["a"] for piece in pieces for row in rows(piece)] == list(range(10))

    async def lengths() -> list[int]:
        return [len(piece) async for piece in frame.open(kind).iter(rows=4)]

    assert asyncio.run(lengths()) == [4, 4, 2]


def test_an_index_of_pandas_survives(store: LocalBlobs) -> None:
    frame = FRAMES[0].set_index("b")
    pandas.testing.assert_frame_equal(passed_on(frame, store).open(pandas.DataFrame).all_sync(), frame)


def test_equal_frames_are_recognised_and_others_are_not(store: LocalBlobs) -> None:
    one, same, other = (
        encode(DataFrame.from_df(pandas.DataFrame({"a": items})), DataFrame) for items in ([1], [1], [1.0])
    )
    assert one.digest is not None
    assert one.digest == same.digest != other.digest
    assert len(one.parts) == 1
    hashed = [
        encode(DataFrame.from_df(pandas.DataFrame({"a": [n]}), hash_method=HashFunction.from_fn(len_of)), DataFrame)
        for n in (1, 2)
    ]
    assert hashed[0].digest == hashed[1].digest


def len_of(frame: Any) -> str:
    return str(len(frame))


def test_a_parquet_file_that_stays_where_it_is(store: LocalBlobs, tmp_path: Any) -> None:
    path = tmp_path / "rows.parquet"
    FRAMES[1].write_parquet(path)
    frame: DataFrame[Any] = DataFrame.from_existing_remote(str(path))
    assert encode(frame, DataFrame).digest is None
    again = decode(encode(frame, DataFrame).data, DataFrame, blobs=lambda: store)
    assert rows(again.open(polars.DataFrame).all_sync()) == WANTED
    assert encode(DataFrame.from_existing_remote(str(path), hash="v1"), DataFrame).digest is not None


def test_its_file_is_parquet(store: LocalBlobs) -> None:
    file = passed_on(FRAMES[0], store).as_file()
    assert isinstance(file, File)
    with file.open_sync() as opened:
        assert polars.read_parquet(opened.read()).height == 3


def test_mistakes_are_named(store: LocalBlobs) -> None:
    with pytest.raises(ArgumentError, match=r"DataFrame.from_df: found list \[1\], wanted a pandas.DataFrame"):
        DataFrame.from_df([1])
    with pytest.raises(ArgumentError, match=r"DataFrame.open: found type .*, wanted a pandas.DataFrame"):
        DataFrame.from_df(FRAMES[0]).open(dict)
    with pytest.raises(ValueCodecError, match=r"DataFrame.from_df"):
        encode(DataFrame(), DataFrame)
    with pytest.raises(ArgumentError, match="found 0 rows"):
        next(passed_on(FRAMES[0], store).open(pyarrow.Table).iter_sync(rows=0))
