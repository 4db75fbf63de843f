"""polars' frames and series, by way of Arrow, which takes pyarrow."""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownLambdaType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import polars

from volant.values.composing import INSTALL_FRAMES, Composition, NotComposed
from volant.values.wire import Unencodable

_pl: Any = polars

_NAMES: Final = frozenset(
    [
        "Boolean",
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Float32",
        "Float64",
        "String",
        "Binary",
        "Date",
        "Time",
        "Null",
    ]
)


def _series(value: Any) -> tuple[Any, ...]:
    return value.shape, value.name, _dtype_parts(value.dtype), _content(value)


def _make_series(parts: tuple[Any, ...]) -> Any:
    _, name, dtype, content = parts
    return _restored(name, _make_dtype(dtype), content)


def _frame(value: Any) -> tuple[Any, ...]:
    columns = tuple((each.name, _dtype_parts(each.dtype), _content(each)) for each in value.get_columns())
    return value.shape, columns


def _make_frame(parts: tuple[Any, ...]) -> Any:
    shape, columns = parts
    made = _pl.DataFrame([_restored(name, _make_dtype(dtype), content) for name, dtype, content in columns])
    if made.shape != shape:
        raise NotComposed
    return made


def _content(series: Any) -> tuple[Any, ...]:
    types, values = _arrow()
    # What the categories of one process are numbered by says nothing in another.
    array = series.cast(_plain(series.dtype)).rechunk().to_arrow()
    return types.type_parts(array.type), values.buffers_of(array)


def _restored(name: str, dtype: Any, content: tuple[Any, ...]) -> Any:
    types, values = _arrow()
    kind, buffers = content
    series = _pl.Series(name, _pl.from_arrow(values.make_array(types.make_type(kind), buffers)))
    return series if series.dtype == dtype else series.cast(dtype)


def _arrow() -> tuple[Any, Any]:
    try:
        return tuple(import_module(f"volant.values.foreign.arrow_{part}") for part in ("types", "values"))  # type: ignore[return-value]
    except ImportError as error:
        raise Unencodable(
            f"found a value of polars, which travels by way of Arrow: {error}; {INSTALL_FRAMES}"
        ) from error


def _plain(dtype: Any) -> Any:
    """The dtype with text where there are categories."""
    if isinstance(dtype, (_pl.Enum, _pl.Categorical)):
        return _pl.String()
    if isinstance(dtype, _pl.List):
        return _pl.List(_plain(dtype.inner))
    if isinstance(dtype, _pl.Array):
        return _pl.Array(_plain(dtype.inner), dtype.size)
    if isinstance(dtype, _pl.Struct):
        return _pl.Struct([_pl.Field(field.name, _plain(field.dtype)) for field in dtype.fields])
    return dtype


def _dtype_parts(dtype: Any) -> Any:
    name = type(dtype).__name__
    if name in _NAMES:
        return name
    match dtype:
        case _pl.Datetime():
            return name, dtype.time_unit, dtype.time_zone
        case _pl.Duration():
            return name, dtype.time_unit
        case _pl.Decimal():
            return name, dtype.precision, dtype.scale
        case _pl.List():
            return name, _dtype_parts(dtype.inner)
        case _pl.Array():
            return name, _dtype_parts(dtype.inner), dtype.size
        case _pl.Struct():
            return name, tuple((field.name, _dtype_parts(field.dtype)) for field in dtype.fields)
        case _pl.Enum():
            return name, tuple(dtype.categories)
        case _pl.Categorical() if dtype == _pl.Categorical():
            return (name,)
        case _:
            raise NotComposed


def _make_dtype(parts: Any) -> Any:
    if isinstance(parts, str):
        return getattr(_pl, parts)()
    name, *rest = parts
    return _DTYPES[name](*rest)


_DTYPES: Final[dict[str, Callable[..., Any]]] = {
    "Datetime": _pl.Datetime,
    "Duration": _pl.Duration,
    "Decimal": _pl.Decimal,
    "List": lambda inner: _pl.List(_make_dtype(inner)),
    "Array": lambda inner, size: _pl.Array(_make_dtype(inner), size),
    "Struct": lambda fields: _pl.Struct([_pl.Field(name, _make_dtype(inner)) for name, inner in fields]),
    "Enum": _pl.Enum,
    "Categorical": _pl.Categorical,
}

BY_CLASS: Final[dict[type, Composition]] = {
    _pl.DataFrame: Composition("polars:DataFrame", _frame, _make_frame),
    _pl.Series: Composition("polars:Series", _series, _make_series),
}
BY_NAME: Final = {each.name: each for each in BY_CLASS.values()}
