"""Values and exceptions through real processes: what goes in comes out, what is raised arrives."""

import json

from tests.scenarios.conftest import User, result

HEAD = """
    import asyncio, json, math
    import datetime as dt
    import enum
    from collections import deque
    from collections.abc import Callable
    from dataclasses import dataclass, field
    from decimal import Decimal
    from fractions import Fraction
    from pathlib import Path
    from typing import Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union
    from uuid import UUID
    import pydantic
    import volant
    import volant.errors

    env = volant.TaskEnvironment(name="values")
"""
SHOW = """
    if __name__ == "__main__":
        print(json.dumps(volant.run(main).outputs()[0]))
"""


def test_every_kind_of_value_comes_back_as_what_it_was(user: User) -> None:
    body = """
    T = TypeVar("T")

    class Colour(enum.Enum):
        RED = (1, "r")

    class Pair(NamedTuple):
        left: int
        right: str

    class Movie(TypedDict, total=False):
        title: str
        year: int

    @dataclass(frozen=True)
    class Box(Generic[T]):
        inside: T
        tags: tuple[str, ...] = ()

    class Model(pydantic.BaseModel):
        name: str
        price: float
        box: dict[str, list[int]]

    class Odd:
        def __init__(self, n: int) -> None:
            self.n = n
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Odd) and other.n == self.n
        __hash__ = None

    @env.task
    async def echo(value: Any) -> Any:
        return value

    @env.task
    async def typed(
        big: int, pair: Pair, movie: Movie, box: Box[int], model: Model, colour: Colour, maybe: Optional[int],
        either: Union[int, float], word: Literal["a", "b"], many: tuple[int, ...],
        keys: dict[tuple[int, str], set[int]],
    ) -> tuple[int, Pair, Movie, Box[int], Model, Colour, Optional[int], Union[int, float], str, tuple[int, ...],
               dict[tuple[int, str], set[int]]]:
        return big, pair, movie, box, model, colour, maybe, either, word, many, keys

    @env.task
    async def apply(function: Callable[[int], int], n: int) -> int:
        return function(n)

    @env.task
    async def call(task: Any, n: int) -> int:
        return await task(n)

    @env.task
    async def square(n: int) -> int:
        return n * n

    @env.task
    async def main() -> list[str]:
        wrong: list[str] = []
        values = [
            2**70, -1, True, None, 1.5, math.inf, -0.0, complex(1, -2), "é\\ud800", b"\\x00\\xff", Decimal("1.10"),
            Fraction(1, 3), UUID(int=7), Path("/a/b"), dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3),
            dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))), dt.time(1, 2), dt.timedelta(days=-1),
            [1, (2, 3)], {"a": {1: 2}}, {3, 1}, frozenset({1}), deque([1]), range(3), Pair(1, "x"), Colour.RED,
            Box(inside=5), Model(name="m", price=1.0, box={"k": [1]}), Odd(3), int, len,
        ]
        for value in values:
            back = await echo(value)
            if back != value or type(back) is not type(value):
                wrong.append(f"{value!r} came back as {back!r}")
        nan = await echo(math.nan)
        if not math.isnan(nan):
            wrong.append("nan")
        given = (2**70, Pair(1, "x"), Movie(title="t"), Box(inside=5, tags=("a",)),
                 Model(name="m", price=1.0, box={}), Colour.RED, None, 1, "a", (1, 2), {(1, "k"): {2, 1}})
        back = await typed(*given)
        if back != given or [type(b) for b in back] != [type(g) for g in given]:
            wrong.append(f"typed {back!r}")
        offset = 10
        if await apply(lambda n: n + offset, 5) != 15:
            wrong.append("lambda")
        if await call(square, 7) != 49:
            wrong.append("task as a value")
        return wrong
    """
    user.environ.pop("PYTHONWARNINGS", None)
    assert result(user.python(HEAD + body + SHOW, name="every.py")) == []


def test_large_values_travel_too(user: User) -> None:
    body = """
    @env.task
    async def reverse(data: bytes, text: str) -> tuple[bytes, int]:
        return data[::-1], len(text)

    @env.task
    async def main() -> bool:
        data = bytes(range(256)) * 80_000
        text = "x" * 3_000_000
        back, length = await reverse(data, text)
        return back == data[::-1] and length == 3_000_000
    """
    assert result(user.python(HEAD + body + SHOW, name="large.py")) is True
    assert any(path.stat().st_size > 20_000_000 for path in (user.home / "blobs").rglob("*") if path.is_file())


def test_arrays_and_frames_travel_between_processes_by_content(user: User) -> None:
    body = """
    from dataclasses import dataclass
    import numpy, numpy.typing, pandas, polars, pyarrow, pyarrow.compute

    @dataclass
    class Fit:
        weights: numpy.typing.NDArray[numpy.float64]
        history: pandas.DataFrame

    @env.task
    async def fit(rows: pandas.DataFrame, names: list[pyarrow.Table]) -> Fit:
        return Fit(rows["x"].to_numpy() * 2, pandas.DataFrame({"epoch": [1, 2]}).set_index("epoch"))

    @env.task
    def double(frame: polars.DataFrame) -> polars.DataFrame:
        return frame.with_columns(polars.col("a") * 2)

    @env.task(max_inline_io_bytes=1000)
    async def main() -> list[bool]:
        rows = pandas.DataFrame({"x": numpy.arange(50_000.0), "s": "t"})
        numbers = polars.DataFrame({"a": range(50_000)})
        again, other = await asyncio.gather(fit(rows, [pyarrow.table({"a": [1]})]), double.aio(numbers))
        return [
            bool((again.weights == rows["x"] * 2).all()), again.weights.flags.writeable,
            again.history.index.name == "epoch", int(other["a"].sum()) == 49_999 * 50_000,
        ]
    """
    assert result(user.python(HEAD + body + SHOW, name="frames.py")) == [True] * 4
    shown = user.volant(
        "get", "io", user.volant("get", "runs", "--limit", "1", "-o", "json").stdout.split('"run": "')[1].split('"')[0]
    )
    assert "[True, True, True, True]" in shown.stdout


def test_files_that_tasks_write_are_there_when_the_tasks_are_gone(user: User) -> None:
    body = """
    import os, pandas, tempfile
    from volant.io import DataFrame, Dir, File

    @env.task
    async def write(text: str) -> File[str]:
        file = File.new_remote("text.txt")
        async with file.open("w") as out:
            await out.write(text)
        return file

    @env.task
    def split(file: File[str]) -> Dir[str]:
        with tempfile.TemporaryDirectory() as folder, file.open_sync("r") as opened:
            for word in opened.read().split():
                open(os.path.join(folder, word), "w").write(word * 2)
            return Dir.from_local_sync(folder, name="words")

    @env.task
    async def count(words: Dir[str]) -> DataFrame[str]:
        sizes = {file.name: file.size async for file in words.walk()}
        return DataFrame.from_df(pandas.DataFrame({"word": sizes.keys(), "size": sizes.values()}))

    @env.task
    async def main() -> tuple[DataFrame[str], File[str]]:
        file = await write("some words here")
        return await count(await split.aio(file)), file

    if __name__ == "__main__":
        for mode in ("local", "inline"):
            frame, file = volant.with_runcontext(mode=mode).run(main).outputs()
            rows = frame.open(pandas.DataFrame).all_sync()
            with file.open_sync("r") as opened:
                print(json.dumps([rows["word"].tolist(), rows["size"].tolist(), opened.read()]))
    """
    done = user.python(HEAD + body, name="files.py")
    wanted = [["here", "some", "words"], [8, 8, 10], "some words here"]
    assert [json.loads(line) for line in done.stdout.strip().splitlines()] == [wanted, wanted]


def test_wrong_values_are_refused_by_name_before_anything_is_written(user: User) -> None:
    body = """
    @dataclass
    class Order:
        price: float

    @env.task(max_inline_io_bytes=1000)
    async def total(orders: list[Order], note: str = "") -> float:
        return sum(order.price for order in orders)

    @env.task
    async def main() -> list[str]:
        found: list[str] = []
        for call in (
            lambda: total([Order(1.0), Order("2")]),
            lambda: total([1]),
            lambda: total(),
            lambda: total([], nota="x"),
            lambda: total([], "x" * 2000),
        ):
            try:
                await call()
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
        return found
    """
    found = result(user.python(HEAD + body + SHOW, name="wrong.py"))
    assert isinstance(found, list)
    assert len(found) == 5
    assert "orders[1].price" in found[0]
    assert "values.total" in found[0]
    assert "str" in found[0]
    assert "float" in found[0]
    assert "orders[0]" in found[1]
    assert "orders" in found[2]
    assert "note" in found[3]
    assert found[4].startswith("InlineIOMaxBytesBreached")


def test_your_exception_is_yours_through_three_levels(user: User) -> None:
    body = """
    class Refused(OSError):
        def __init__(self, *, reason: str, codes: list[int]) -> None:
            super().__init__(2, "no such thing", "the/file")
            self.reason = reason
            self.codes = codes

    @env.task
    async def bottom(kind: str) -> int:
        try:
            raise KeyError("inner")
        except KeyError as cause:
            if kind == "custom":
                error = Refused(reason="closed", codes=[1, 2])
                error.add_note("look at the door")
                raise error from cause
            if kind == "group":
                raise ExceptionGroup("both", [ValueError(1), Refused(reason="in a group", codes=[])])
            if kind == "decode":
                b"\\xff".decode()
            pydantic.TypeAdapter(int).validate_python("seven")
        return 0

    @env.task
    async def middle(kind: str) -> int:
        return await bottom(kind)

    @env.task
    async def top(kind: str) -> int:
        return await middle(kind)

    @env.task
    async def main() -> list[str]:
        wrong: list[str] = []
        try:
            await top("custom")
        except Refused as error:
            facts = (error.reason, error.codes, error.filename, error.errno, error.__notes__, repr(error.__cause__))
            if facts != ("closed", [1, 2], "the/file", 2, ["look at the door"], "KeyError('inner')"):
                wrong.append(repr(facts))
            if not isinstance(error, volant.errors.TaskError) or error.code != "Refused":
                wrong.append("not a TaskError")
            if "bottom" not in volant.errors.details(error).traceback:
                wrong.append(volant.errors.details(error).traceback)
        try:
            await top("group")
        except* ValueError as group:
            if group.exceptions[0].args != (1,):
                wrong.append("group")
        except* Refused as group:
            if group.exceptions[0].reason != "in a group":
                wrong.append("member")
        try:
            await top("decode")
        except UnicodeDecodeError as error:
            if (error.start, error.object) != (0, b"\\xff"):
                wrong.append("decode")
        try:
            await top("pydantic")
        except pydantic.ValidationError as error:
            if error.errors()[0]["type"] != "int_parsing" or volant.errors.details(error).code != "ValidationError":
                wrong.append("pydantic")
        return wrong
    """
    assert result(user.python(HEAD + body + SHOW, name="levels.py")) == []


def test_a_failed_run_raises_what_the_root_task_raised(user: User) -> None:
    show = """
    @env.task
    async def main() -> int:
        return {}["missing"]

    if __name__ == "__main__":
        try:
            volant.run(main)
        except KeyError as error:
            print(json.dumps([error.args, volant.errors.details(error).task]))
    """
    assert result(user.python(HEAD + show, name="failed.py")) == [["missing"], "values.main"]
