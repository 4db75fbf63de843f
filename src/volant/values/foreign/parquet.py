"""Frames of pandas, polars and Arrow as Parquet, and as one another."""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from volant.model.errors import ArgumentError
from volant.values.wire import class_of, found

_pa: Any = pyarrow
_parquet: Any = pyarrow.parquet
_WANTED: Final = "wanted a pandas.DataFrame, a polars.DataFrame or a pyarrow.Table"


def check_frame(frame: Any) -> None:
    """Refuse what is no frame.

    Raises:
        ArgumentError: it is none.
    """
    if _library(class_of(frame)) is None:
        raise ArgumentError(f"DataFrame.from_df: found {found(frame)}, {_WANTED}")


def check_kind(kind: Any) -> None:
    """Refuse what is no kind of frame.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(kind, type) or _library(kind) is None:
        raise ArgumentError(f"DataFrame.open: found {found(kind)}, {_WANTED}")


def write(frame: Any, path: Path) -> None:
    """Write a frame as Parquet."""
    _parquet.write_table(_as_table(frame), path, compression="zstd", compression_level=1)


def convert(frame: Any, kind: type[Any]) -> Any:
    """A frame as one of another library."""
    return frame if class_of(frame) is kind else _as_kind(_as_table(frame), kind)


def read(file: IO[bytes], kind: type[Any]) -> Any:
    """A whole Parquet file."""
    return _as_kind(_parquet.read_table(file), kind)


def pieces(file: IO[bytes], kind: type[Any], rows: int) -> Iterator[Any]:
    """A Parquet file, so many rows at a time."""
    for batch in _parquet.ParquetFile(file).iter_batches(batch_size=rows):
        yield _as_kind(_pa.Table.from_batches([batch]), kind)


def _library(cls: type[Any]) -> str | None:
    names = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "Table"}
    for base in cls.__mro__:
        library = base.__module__.partition(".")[0]
        if names.get(library) == base.__name__:
            return library
    return None


def _as_table(frame: Any) -> Any:
    match _library(class_of(frame)):
        case "pandas":
            return _pa.Table.from_pandas(frame)
        case "polars":
            return frame.to_arrow()
        case _:
            return frame


def _as_kind(table: Any, kind: type[Any]) -> Any:
    match _library(kind):
        case "pandas":
            return table.to_pandas()
        case "polars":
            import polars

            return polars.from_arrow(table)
        case _:
            return table
