"""Exceptions of many kinds for the tests of `volant.values.failures`."""

import abc
import builtins
import configparser
import dataclasses
import decimal
import errno
import json
import re
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import pydantic

T = TypeVar("T")


def builtin_classes() -> list[type[BaseException]]:
    """Every exception class of `builtins`."""
    found = {v for v in vars(builtins).values() if isinstance(v, type) and issubclass(v, BaseException)}
    return sorted(found, key=lambda cls: cls.__name__)


def _named(exc: Any, **fields: object) -> Any:
    for name, value in fields.items():
        setattr(exc, name, value)
    return exc


_MAKERS: dict[type[BaseException], list[Callable[[], BaseException]]] = {
    UnicodeDecodeError: [lambda: UnicodeDecodeError("utf-8", b"a\xffb", 1, 2, "invalid start byte")],
    UnicodeEncodeError: [lambda: UnicodeEncodeError("ascii", "aäb", 1, 2, "ordinal not in range(128)")],
    UnicodeTranslateError: [lambda: UnicodeTranslateError("aäb", 1, 2, "no such thing")],
    BaseExceptionGroup: [
        lambda: BaseExceptionGroup("base", [KeyboardInterrupt(), ValueError(1)]),
        lambda: BaseExceptionGroup("nested", [BaseExceptionGroup("inner", [SystemExit(4)]), OSError(2, "no")]),
    ],
    ExceptionGroup: [
        lambda: ExceptionGroup("flat", [ValueError(1), KeyError("k")]),
        lambda: ExceptionGroup("nested", [ExceptionGroup("inner", [OSError(2, "no", "file")]), TypeError("t")]),
    ],
    SyntaxError: [
        lambda: SyntaxError("bad"),
        lambda: SyntaxError("bad", ("file.py", 3, 5, "x = = 1\n")),
        lambda: SyntaxError("bad", ("file.py", 3, 5, "x = = 1\n", 3, 6)),
    ],
    ImportError: [lambda: ImportError("gone", name="pkg.mod", path="/some/where.py")],
    AttributeError: [
        lambda: AttributeError("has none", name="missing", obj=[1, 2]),
        lambda: AttributeError("just text"),
    ],
    NameError: [lambda: NameError("name 'x' is not defined", name="x")],
    StopIteration: [lambda: StopIteration({"result": 7}), StopIteration],
    StopAsyncIteration: [lambda: StopAsyncIteration(1)],
    SystemExit: [lambda: SystemExit(3), lambda: SystemExit("text"), SystemExit],
    KeyError: [lambda: KeyError("key"), lambda: KeyError(("a", 1))],
    BlockingIOError: [
        lambda: BlockingIOError(errno.EAGAIN, "would block", 17),
        lambda: BlockingIOError(errno.EAGAIN, "again"),
    ],
}


def instances(cls: type[BaseException]) -> list[BaseException]:
    """Some instances of a builtin class, made as Python itself makes them."""
    if cls in _MAKERS:
        return [make() for make in _MAKERS[cls]]
    made: list[BaseException] = [cls(), cls("text"), cls("text", 2, None)]
    for parent, extra in (
        (OSError, [(2, "no such"), (2, "no such", "a"), (2, "no such", "a", None, "b"), (2, "no such", b"\xff")]),
        (SyntaxError, [("bad", ("file.py", 3, 5, "x\n"))]),
    ):
        if issubclass(cls, parent):
            made += [cls(*args) for args in extra]
    if issubclass(cls, ImportError):
        made.append(cls("gone", name="pkg.mod", path="/some/where.py"))  # pyright: ignore[reportCallIssue]
    if issubclass(cls, NameError):
        made.append(cls("unbound", name="x"))  # pyright: ignore[reportCallIssue]
    return made


class KeywordOnly(Exception):
    def __init__(self, *, table: str, row: int) -> None:
        super().__init__(f"{table}[{row}] is wrong")
        self.table = table
        self.row = row


class OtherArguments(ValueError):
    """The constructor's arguments are not `args`."""

    def __init__(self, limit: int, found: int) -> None:
        super().__init__(f"{found} is above {limit}")
        self.limit = limit
        self.found = found


class NoArguments(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return f"because of {self.reason}"


class Slotted(Exception):
    __slots__ = ("__private", "colour", "empty")

    def __init__(self, colour: str) -> None:
        super().__init__(colour)
        self.colour = colour
        self.__private = "p"

    @property
    def private(self) -> str:
        return self.__private


class SlottedBelow(Slotted):
    __slots__ = ("__private", "size")

    def __init__(self, colour: str, size: int) -> None:
        super().__init__(colour)
        self.size = size
        self.__private = size

    @property
    def own_private(self) -> int:
        return self.__private


class OwnNew(Exception):
    def __new__(cls, *, secret: int) -> "OwnNew":
        made = super().__new__(cls)
        made.secret = secret
        return made

    def __init__(self, *, secret: int) -> None:
        super().__init__("own new")


class StrictOSError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "strict", path)
        self.extra = path.upper()


class Frozen(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        BaseException.__getattribute__(self, "__dict__")["value"] = value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("this exception is frozen")


class WithCode(Exception):
    def __init__(self, code: object) -> None:
        super().__init__(code)
        self.code = code


class WithCodeProperty(Exception):
    @property
    def code(self) -> int:
        return 404


class OwnWords(Exception):
    """Attributes that `TaskError` has too, with the user's meaning."""

    kind = "class attribute"

    def __init__(self) -> None:
        super().__init__("own words")
        self.action = "jump"
        self.attempts = ["one", "two"]


class Delegating(Exception):
    """Answers for any attribute."""

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"delegated {name}"


class Registering(Exception):
    seen: list[str] = []

    def __init_subclass__(cls) -> None:
        Registering.seen.append(cls.__name__)


class RefusingSubclasses(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("no subclasses")


class Meta(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], *, flag: bool) -> "Meta":
        return super().__new__(mcs, name, bases, body)

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], *, flag: bool) -> None:
        super().__init__(name, bases, body)
        cls.flag = flag


class WithMetaclass(Exception, metaclass=Meta, flag=True):
    pass


class UserGroup(ExceptionGroup[Exception]):
    """A group whose constructor takes something else."""

    def __new__(cls, *, errors: list[Exception], stage: str) -> "UserGroup":
        made = super().__new__(cls, f"{len(errors)} failed", errors)
        made.stage = stage
        return made

    def __init__(self, *, errors: list[Exception], stage: str) -> None:
        super().__init__(f"{len(errors)} failed", errors)

    def derive(self, excs: Any) -> "UserGroup":
        return UserGroup(errors=list(excs), stage=self.stage)


class Reducing(Exception):
    """Says how it is rebuilt, in the usual way around keyword-only constructors."""

    def __init__(self, *, x: int) -> None:
        super().__init__(f"x={x}")
        self.x = x

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Reducing, x=self.x), ()


class ReducingWithState(Exception):
    """Chooses what of it travels."""

    def __init__(self, host: str, password: str) -> None:
        super().__init__(host)
        self.host = host
        self.password = password

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.host, "***"), {"host": self.host}


class Restoring(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {"name": self.name}

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)
        self.lock = threading.Lock()
        self.restored = True


class TwoLayouts(KeyError, AttributeError):
    """The first builtin base is not the one that gives instances their fields."""


class TwoBuiltins(OSError, ValueError):
    pass


class Abstract(Exception, abc.ABC):
    @abc.abstractmethod
    def describe(self) -> str: ...


class Concrete(Abstract):
    def describe(self) -> str:
        return "concrete"


@dataclasses.dataclass
class DataError(Exception):
    number: int
    text: str = "x"


@dataclasses.dataclass(frozen=True)
class FrozenDataError(Exception):
    number: int


@dataclasses.dataclass(slots=True)
class SlottedDataError(Exception):
    number: int


class Typed(Exception, Generic[T]):
    pass


class Model(pydantic.BaseModel):
    number: int
    names: list[str]


def validation_error() -> pydantic.ValidationError:
    try:
        Model.model_validate({"number": "many", "names": [1]})
    except pydantic.ValidationError as exc:
        return exc
    raise AssertionError("no error")


def user_instances() -> list[BaseException]:
    """Instances of classes that users write."""
    noted = OtherArguments(1, 2)
    noted.add_note("first note")
    noted.add_note("second")
    return [
        KeywordOnly(table="flights", row=3),
        noted,
        NoArguments("rain"),
        Slotted("red"),
        SlottedBelow("red", 3),
        OwnNew(secret=5),
        StrictOSError("some/path"),
        Frozen(3),
        WithCode(7),
        WithCodeProperty("x"),
        OwnWords(),
        Delegating("d"),
        Registering("r"),
        RefusingSubclasses("s"),
        WithMetaclass("m"),
        UserGroup(errors=[ValueError(1), KeywordOnly(table="t", row=1)], stage="late"),
        Reducing(x=3),
        _named(Reducing(x=3), later=[1]),
        _named(TwoLayouts("k"), name="n", obj=[1]),
        TwoBuiltins(2, "no", "file"),
        Concrete("c"),
        DataError(1),
        FrozenDataError(2),
        SlottedDataError(3),
        Typed[int]("t"),
        *(_raised_by(call) for call in _FAILING_CALLS),
    ]


_FOREIGN = (configparser.Error, re.error, sqlite3.Error, subprocess.SubprocessError)


def _raised_by(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except (ArithmeticError, LookupError, OSError, RuntimeError, SyntaxError, ValueError, *_FOREIGN) as exc:
        return exc
    raise AssertionError("nothing was raised")


def _twice_the_same() -> None:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript("create table t (a unique); insert into t values (1); insert into t values (1)")
    finally:
        connection.close()


_FAILING_CALLS: list[Callable[[], object]] = [
    lambda: json.loads("{"),
    lambda: subprocess.CompletedProcess(["ls"], 2, b"out", b"err").check_returncode(),
    lambda: ssl.create_default_context(cafile="/no/such/file"),
    _twice_the_same,
    lambda: decimal.Decimal(1) / 0,
    lambda: re.compile("("),
    lambda: configparser.ConfigParser().get("section", "option"),
    lambda: Path("/no/such/\udcff").read_bytes(),
    lambda: compile("x = = 1", "file.py", "exec"),
]
