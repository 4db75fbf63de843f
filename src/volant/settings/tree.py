"""The settings: one frozen tree, in which every value knows where it came from."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import msgspec


class Mode(StrEnum):
    """Where a run is executed."""

    LOCAL = "local"
    """By the home's engine, each attempt in a process of its own."""
    INLINE = "inline"
    """By the calling process."""
    REMOTE = "remote"
    """By a server."""
    HYBRID = "hybrid"
    """As `remote` where there is an endpoint, else as `local`."""


class SourceKind(StrEnum):
    """From the weakest to the strongest."""

    DEFAULT = "default"
    HOME = "home"
    PROJECT = "project"
    VARIABLE = "variable"
    ARGUMENT = "argument"
    FLAG = "flag"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts of the tree."""


class Source(Section, frozen=True, kw_only=True):
    """Where a value was written."""

    kind: SourceKind
    place: str
    """A file's path, a variable's name, a flag, a call."""
    key: tuple[str, ...] = ()
    """In a file: the nested keys, from the top of the file."""
    line: int | None = None
    """In a file, from 1, once somebody looked: see `volant.settings.loading.located`."""

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.place}:{self.line}"
        return f"[tool.volant] in {self.place}" if self.kind is SourceKind.PROJECT else self.place


class Written(Section, frozen=True, kw_only=True):
    """A value that was written and that a stronger one overrode."""

    value: object
    source: Source


class CapacitySettings(Section, frozen=True, kw_only=True):
    """How much of the machine the engine hands out."""

    cpu: int
    """Thousandths of a core."""
    memory: int
    """Bytes."""
    gpu: int
    processes: int
    """Live workers."""


class QueueSettings(Section, frozen=True, kw_only=True):
    """One named queue."""

    max_running: int | None = None
    """Attempts at once; None is unlimited."""
    priority: int = 0
    """Higher comes first."""


class EngineSettings(Section, frozen=True, kw_only=True):
    """The life of the engine."""

    linger: timedelta
    """How long it stays when nothing runs and nobody is connected."""
    start_timeout: timedelta
    """How long a client waits for a starting engine."""
    park_after: timedelta
    """An attempt that only waits for timers which end later than this is put away."""
    adoption_window: timedelta
    """How long attempts go on whose engine is gone, when nobody goes on with their run."""


class Settings(Section, frozen=True, kw_only=True):
    """Everything that can be set, after all sources are merged."""

    home: Path
    """Absolute."""
    database: str | None
    """URL of the journal; None is SQLite in the home."""
    blobs: str | None
    """URL of the blob store; None is a folder in the home."""
    mode: Mode
    grace_period: timedelta
    """Between SIGTERM and SIGKILL."""
    strict: bool
    """Refuse what would otherwise be warned about."""
    capacity: CapacitySettings
    queues: dict[str, QueueSettings]
    engine: EngineSettings
    sources: dict[str, Source]
    """By dotted name; every name of the tree is there, queues as `queues.<name>`."""
    overridden: dict[str, tuple[Written, ...]]
    """By dotted name, the strongest first: what was written for it elsewhere and did not count; defaults do not."""

    def value_of(self, name: str) -> object:
        """The value of a dotted name."""
        found: object = self
        head, _, tail = name.partition(".")
        if head == "queues":
            return self.queues[tail]
        for part in name.split("."):
            found = getattr(found, part)
        return found
