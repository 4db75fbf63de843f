"""The tree of errors, drawn from the classes."""

from __future__ import annotations

from collections.abc import Iterator

from volant import errors


def page() -> str:
    """The tree as a Markdown list; each class is a link to its description."""
    return "\n".join(_branch(errors.VolantError, 0)) + "\n"


def _branch(cls: type[BaseException], depth: int) -> Iterator[str]:
    others = [base.__name__ for base in cls.__bases__ if not issubclass(base, errors.VolantError)]
    also = f" (also a `{'`, `'.join(others)}`)" if depth and others else ""
    yield f"{'  ' * depth}* {{py:class}}`~volant.errors.{cls.__name__}`{also}"
    for child in sorted(cls.__subclasses__(), key=lambda each: each.__name__):
        # Classes that extend a user's exception derive from these too; they are made while a program runs.
        if getattr(errors, child.__name__, None) is child:
            yield from _branch(child, depth + 1)
