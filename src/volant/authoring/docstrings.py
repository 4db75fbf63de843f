"""What a task's documentation says: the text, and a line for each parameter, out of Google, NumPy or Sphinx style."""

from typing import NamedTuple

from docstring_parser import DocstringParam, ParseError, parse


class Documented(NamedTuple):
    """A docstring in parts."""

    text: str
    """All but what is said about parameters and results."""
    parameters: dict[str, str]
    """By name, in one line each."""


def read_docstring(docstring: str) -> Documented:
    """The parts of a docstring; one that is in no known style is all text."""
    try:
        found = parse(docstring)
    except ParseError:
        return Documented(docstring.strip(), {})
    paragraphs = [part for part in (found.short_description, found.long_description) if part]
    parameters = {
        meta.arg_name.lstrip("*"): " ".join((meta.description or "").split())
        for meta in found.meta
        if isinstance(meta, DocstringParam)
    }
    return Documented("\n\n".join(paragraphs), {name: text for name, text in parameters.items() if text})
