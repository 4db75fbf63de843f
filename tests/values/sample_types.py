"""Types of every kind, importable by name, for the tests of the codec."""

import collections
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum, auto
from typing import Any, ClassVar, Generic, NamedTuple, NotRequired, Required, TypedDict, TypeVar

import pydantic

from volant import types
from volant.values.codec import register

T = TypeVar("T")
K = TypeVar("K")


class Color(Enum):
    RED = 1
    GREEN = "green"
    BLUE = (1, [2])
    CRIMSON = 1


class Shade(Enum):
    RED = 1
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    FAST = "fast"
    SLOW = "slow"


class Right(Flag):
    READ = auto()
    WRITE = auto()
    RUN = auto()


class Bits(IntFlag):
    A = 1
    B = 2


@dataclass
class Point:
    x: int
    y: int


@dataclass
class Place:
    """Looks like a `Point`."""

    x: int
    y: int


@dataclass
class Point3(Point):
    z: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    price: float
    items: list[str] = field(default_factory=list)
    placed: datetime | None = None


@dataclass
class Node:
    value: int
    children: "list[Node]" = field(default_factory=list)
    parent: "Node | None" = None


@dataclass
class Box(Generic[T]):
    item: T


@dataclass
class Pair(Box[K], Generic[K, T]):
    other: list[T]


@dataclass
class IntBox(Box[int]):
    pass


@dataclass
class Derived:
    KIND: ClassVar[str] = "derived"
    base: int
    factor: InitVar[int] = 2
    result: int = field(init=False)

    def __post_init__(self, factor: int) -> None:
        self.result = self.base * factor


@dataclass
class Sloppy:
    name: str = None  # type: ignore[assignment]
    size: float = 0
    anything: Any = None


class Coordinate(NamedTuple):
    x: int
    y: float = 0.5


class Labelled(NamedTuple, Generic[T]):
    label: str
    value: T


Row = collections.namedtuple("Row", ["a", "b"])


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Song(TypedDict, total=False):
    title: Required[str]
    tags: list[str]


class Page(TypedDict, Generic[T]):
    items: list[T]


class User(pydantic.BaseModel):
    id: int
    name: str = "nobody"
    tags: list[str] = []


class Admin(User):
    rights: Right = Right.READ


class Crate(pydantic.BaseModel, Generic[T]):
    content: T


class Team(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)

    lead: User
    size: int = pydantic.Field(default=1, alias="teamSize")
    crate: Crate[int] | None = None


class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    id: int
    _secret: int = pydantic.PrivateAttr(default=7)


class MyInt(int):
    pass


class MyStr(str):
    pass


class MyList(list):  # type: ignore[type-arg]
    pass


class Opaque:
    """A plain class: only a pickle can carry it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.value == self.value

    def __hash__(self) -> int:
        return hash("Opaque")


def double(x: int) -> int:
    return 2 * x


class Celsius:
    """A class whose bytes its owner makes."""

    def __init__(self, degrees: int) -> None:
        self.degrees = degrees

    def __repr__(self) -> str:
        return f"Celsius({self.degrees})"


class Fahrenheit(Celsius):
    pass


class Kelvin:
    """Registered with a hash and a preview of its own."""

    def __init__(self, degrees: int, noise: str = "") -> None:
        self.degrees = degrees
        self.noise = noise


types.register(
    Kelvin,
    encode=lambda value: f"{value.degrees} {value.noise}".encode(),
    decode=lambda data: Kelvin(int(data.split(b" ")[0]), data.decode().partition(" ")[2]),
    hash=lambda value: value.degrees,
    preview=lambda value: f"{value.degrees}\nK",
)
register(Celsius, encode=lambda value: str(value.degrees).encode(), decode=lambda data: Celsius(int(data)))
