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

    def __str__(self) -> str:
        return self.place


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
