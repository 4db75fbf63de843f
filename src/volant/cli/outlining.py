"""The tasks of a file and their options, without importing it: only what its text says, for shell completion."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_LONGEST = 1_000_000
"""Bytes of a file that is read; a longer one was not written by hand."""


class Outline(NamedTuple):
    """A function that is decorated as a task."""

    name: str
    is_entrypoint: bool
    summary: str
    """The first line of its docstring."""
    options: tuple[tuple[str, str], ...]
    """How its parameters are spelt on the command line, with what the help says of each."""
    files: frozenset[str]
    """The options that want a path."""


def outline_tasks(file: Path) -> list[Outline]:
    """The tasks that a file defines at its top level, in their order; none when it cannot be read."""
    try:
        if file.stat().st_size > _LONGEST:
            return []
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    return [_outline(function) for function in _functions(tree.body) if _is_task(function)]


def chosen(tasks: Sequence[Outline], name: str | None) -> Outline | None:
    """The task of this name; without one the only entrypoint, or the only task."""
    if name is not None:
        return next((task for task in tasks if task.name == name.rpartition(".")[2]), None)
    for candidates in ([task for task in tasks if task.is_entrypoint], tasks):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _functions(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield statement
            case ast.If() | ast.Try() | ast.With():
                for block in ("body", "orelse", "finalbody"):
                    yield from _functions(getattr(statement, block, []))
            case _:
                pass


def _is_task(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(_decorator_name(decorator) == "task" for decorator in function.decorator_list)


def _decorator_name(decorator: ast.expr) -> str:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    match target:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def _outline(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Outline:
    docstring = (ast.get_docstring(function) or "").strip()
    options: list[tuple[str, str]] = []
    files: set[str] = set()
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for argument, default in [
        *zip(positional, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]:
        option = argument.arg.replace("_", "-").strip("-") or argument.arg
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        help_text = f"{annotation}, default: {ast.unparse(default)}" if default else f"{annotation}, required"
        help_text = help_text.removeprefix(", ")
        options.append((f"--{option}", help_text))
        if annotation == "bool":
            options.append((f"--no-{option}", help_text))
        if any(word in annotation for word in ("Path", "File", "Dir")):
            files.add(f"--{option}")
    return Outline(
        function.name, _is_entrypoint(function), docstring.partition("\n")[0], tuple(options), frozenset(files)
    )


def _is_entrypoint(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(decorator, ast.Call)
        and any(
            keyword.arg == "entrypoint" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            for keyword in decorator.keywords
        )
        for decorator in function.decorator_list
    )
