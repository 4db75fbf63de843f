"""Named SQL statements, read from `.sql` files.

A statement starts after a line `-- name: <name>` and ends before the next one. Every adapter keeps its own
folder of them, so that what a database is asked is read, reviewed and planned as SQL.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

_HEADER = "-- name:"


class Statements(Mapping[str, str]):
    """The statements of a folder by name; their text goes to the driver as it is, without the comments."""

    def __init__(self, folder: Path) -> None:
        self._texts: dict[str, str] = {}
        for file in sorted(folder.glob("*.sql")):
            for name, text in _parse(file):
                if name in self._texts:
                    raise ValueError(f"{file}: statement {name!r} is defined twice, wanted once")
                self._texts[name] = text

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _parse(file: Path) -> Iterator[tuple[str, str]]:
    name: str | None = None
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(_HEADER):
            if name is not None:
                yield name, " ".join(lines)
            name, lines = line.removeprefix(_HEADER).strip(), []
        elif line.strip() and not line.lstrip().startswith("--"):
            if name is None:
                raise ValueError(f"{file}: found {line!r} before the first {_HEADER!r} line")
            lines.append(line.strip())
    if name is not None:
        yield name, " ".join(lines)
