"""`volant init [FOLDER]`: a small project to begin with. Nothing is ever overwritten."""

import contextlib
import importlib.util
import keyword
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import click

from volant.cli.columns import current_folder
from volant.cli.commands import Command
from volant.cli.project_files import project_files
from volant.model.errors import CallError

_HARMLESS = frozenset({".git", ".venv", "__pycache__"})
"""What people and Python make before: none is touched by what is written."""
_SHOWN = 5


@click.command("init", cls=Command)
@click.argument("folder", default=".", metavar="[FOLDER]")
@click.option("--name", metavar="NAME", help="Name of the project; that of the folder by default.")
def command(folder: str, name: str | None) -> None:
    """Write a small project: a file with three tasks, a test, a README.

    FOLDER is the current one by default. It has to be new or empty; .git and .venv may be there.
    """
    try:
        path = Path(os.path.abspath(os.path.expanduser(folder)))
    except OSError as error:
        msg = f"the current folder cannot be used: {error.strerror}"
        raise CallError(msg, hint="cd into one that is there") from error
    project = distribution_name(path.name if name is None else name)
    if project is None:
        what = f"the folder's name {path.name!r}" if name is None else f"--name {name!r}"
        raise CallError(f"{what} has no letter that a package's name could have", hint="volant init --name NAME")
    package = package_name(project)
    _refuse_occupied(path)
    files = project_files(name=project, package=package)
    write_files(path, files)
    click.echo(f"made {project} in {path}", err=True)
    for file in files:
        click.echo(f"  {file}", err=True)
    click.echo("\nNext:", err=True)
    if current_folder() != str(path):
        click.echo(f"cd {shlex.quote(folder)}")
    click.echo(f"volant run src/{package}/pipeline.py main")
    if importlib.util.find_spec("pytest") is None:
        click.echo("python -m pip install pytest")
    click.echo("python -m pytest")


def distribution_name(text: str) -> str | None:
    """A name that a package index takes, as near to *text* as can be; None when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or None


def package_name(project: str) -> str:
    """What is imported: an identifier that hides no module of Python's, nor Volant."""
    name = project.replace("-", "_")
    if name[0].isdigit():
        name = f"project_{name}"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in sys.stdlib_module_names | _TAKEN:
        name = f"{name}_project"
    return name


_TAKEN = frozenset(
    {"volant", "pytest", "test", "tests", "src", "numpy", "pandas", "polars", "pyarrow", "flyte", "flytekit", "ray"}
)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write all of them, or none: what was written is taken back when one cannot be.

    Raises:
        CallError: one cannot be written, or is there already.
    """
    made: list[Path] = []
    try:
        for name, text in files.items():
            path = folder / name
            _make_folder(path.parent, made)
            with path.open("x", encoding="utf-8") as file:
                made.append(path)
                file.write(text)
    except OSError as error:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        where = error.filename or folder
        raise CallError(f"{where} cannot be written: {error.strerror or error}; nothing was left there") from error


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        made.append(path)


def _refuse_occupied(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        hint = "volant init NEW_FOLDER makes a folder of its own"
        raise CallError(f"{folder} is a file, expected a folder that is new or empty", hint=hint)
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.name not in _HARMLESS)
    except OSError as error:
        raise CallError(f"{folder} cannot be read: {error.strerror or error}") from error
    if names:
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        hint = "volant init NEW_FOLDER makes a folder of its own"
        raise CallError(f"{folder} is not empty: it has {shown}; expected a folder that is new or empty", hint=hint)
