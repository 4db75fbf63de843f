"""A Sphinx extension: pages whose content is written from the code when the documentation is built.

A line `<!-- generated: commands -->` in a page is replaced by what `tools/reference_commands.py` gives.
"""

import importlib
import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("source-read", _fill_in)
    app.connect("autodoc-process-docstring", _say_aio)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    def page(found: re.Match[str]) -> str:
        return importlib.import_module(f"tools.reference_{found[1]}").page()

    source[0] = _MARK.sub(page, source[0])


def _say_aio(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None: ...
