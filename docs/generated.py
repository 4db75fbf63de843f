"""A Sphinx extension: what is written from the code when the documentation is built.

A line `<!-- generated: commands -->` in a page is replaced by what `tools/reference_commands.py` gives. Objects that
are called like functions and are none are shown to autodoc as the functions that they stand for.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from docutils import nodes
from docutils.nodes import Node, system_message
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.ext import napoleon
from sphinx.util.docutils import SphinxRole
from sphinx.util.typing import ExtensionMetadata

import volant
from volant.api.actions import Action
from volant.api.resuming import ResumeFunction
from volant.api.running import RunFunction
from volant.api.runs import Run
from volant.api.tasks import Task
from volant.authoring.mapping import Map
from volant.client.actions import ActionHandle
from volant.client.driving import BothWays, both
from volant.client.listing import Listing
from volant.client.runs import RunHandle

_PUBLIC_NAME = re.compile(r"(?:volant\.[\w.]+|[A-Z]\w+)(?:\(\))?")
_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("source-read", _fill_in)
    app.connect("builder-inited", _show_as_functions)
    _read_attributes_as_text(app)
    app.add_role("name", _Name())
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class _Name(SphinxRole):
    """A link to a public name where it is documented; other text in backticks is plain code."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        if _PUBLIC_NAME.fullmatch(self.text):
            return PyXRefRole()("py:obj", self.rawtext, f".{self.text}", self.lineno, self.inliner, self.options)
        return [nodes.literal(self.rawtext, self.text)], []


def _fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    def page(found: re.Match[str]) -> str:
        return importlib.import_module(f"tools.reference_{found[1]}").page().rstrip("\n")

    source[0] = _MARK.sub(page, source[0])


def _read_attributes_as_text(app: Sphinx) -> None:
    """Napoleon takes what stands before a colon in the description of an attribute for its type. Ours are sentences."""

    def process(app: Sphinx, what: str, *about: Any) -> None:
        is_attribute = what in {"attribute", "data", "property"}
        napoleon._process_docstring(app, "method" if is_attribute else what, *about)

    app.setup_extension("sphinx.ext.napoleon")
    for listener in list(app.events.listeners["autodoc-process-docstring"]):
        if listener.handler is napoleon._process_docstring:
            app.disconnect(listener.id)
    app.connect("autodoc-process-docstring", process)


def _show_as_functions(app: Sphinx) -> None:
    for cls in (RunHandle, ActionHandle, Run, Action, Task):
        for name, member in list(vars(cls).items()):
            if isinstance(member, both):
                setattr(cls, name, _plain(member._method))
            elif isinstance(member, (BothWays, Listing)):
                setattr(cls, name, staticmethod(_plain(member._function, name=name)))
    volant.run = _plain(RunFunction.__call__, name="run", skip=1)
    volant.resume = _plain(ResumeFunction.__call__, name="resume", skip=1)
    volant.map = _plain(Map.__call__, name="map", skip=1)


def _plain(called: Callable[..., Any], *, name: str = "", skip: int = 0) -> Callable[..., Any]:
    """A function with the signature and the docstring of *called*, without its first *skip* parameters."""

    def stand_in(*args: Any, **kwargs: Any) -> Any: ...

    signature = inspect.signature(called)
    stand_in.__signature__ = signature.replace(parameters=list(signature.parameters.values())[skip:])
    stand_in.__doc__ = called.__doc__
    stand_in.__name__ = stand_in.__qualname__ = name or called.__name__
    stand_in.__module__ = called.__module__
    stand_in.__annotations__ = dict(called.__annotations__)
    return stand_in
