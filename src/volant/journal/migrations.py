"""Numbered migrations: the steps that lead from an empty database to today's schema.

A migration is a file `NNNN_pre_<name>.sql` or `NNNN_post_<name>.sql`. `pre_` steps leave the schema usable by the
release before, so that on a shared database they can be applied while it still runs; `post_` steps do not. An empty
database gets them all when it is opened, an older one when somebody says so. Released files are never edited.
"""

import re
from pathlib import Path

import msgspec

from volant.model.errors import JournalError

_FILE = re.compile(r"(\d{4})_(pre|post)_(\w+)\.sql")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the schema."""

    version: int
    """The schema's version after it; they count from 1."""
    name: str
    """`pre_...` or `post_...`."""
    sql: str


def migrations(folder: Path) -> tuple[Migration, ...]:
    """The migrations of a folder in order; a gap or a wrong name is a `ValueError`."""
    found: list[Migration] = []
    for wanted, file in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = _FILE.fullmatch(file.name)
        if match is None or int(match[1]) != wanted:
            raise ValueError(f"migration {file.name!r}: wanted a name like {wanted:04}_pre_<name>.sql")
        found.append(Migration(version=wanted, name=f"{match[2]}_{match[3]}", sql=file.read_text(encoding="utf-8")))
    return tuple(found)


def outstanding(known: tuple[Migration, ...], *, version: int, where: str) -> tuple[Migration, ...]:
    """The migrations that a database at *version* still needs.

    Raises:
        JournalError: the database is newer than this release; it was not touched.
    """
    if version > len(known):
        raise JournalError(
            f"journal {where}: its schema is version {version}, this release knows versions up to {len(known)}",
            hint="use the newer release that wrote it, or another home",
        )
    return known[version:]


def older(known: tuple[Migration, ...], *, version: int, where: str) -> JournalError:
    """The refusal of a database that is older than this release: others may still be using it as it is."""
    return JournalError(
        f"journal {where}: its schema is version {version}, this release needs version {len(known)}",
        hint="run `volant db upgrade`, once no older release uses it (`volant db backup FILE` keeps a copy)",
    )
