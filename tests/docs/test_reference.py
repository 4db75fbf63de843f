"""The reference has every public name, and pages that are not built by Sphinx link to what is there."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import volant
from tools import reference_commands, reference_errors, reference_levels
from volant import errors
from volant.authoring.parameters import PARAMETERS
from volant.cli.table import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md")))
DOORS = ["volant", *(f"volant.{module.name}" for module in pkgutil.iter_modules(volant.__path__) if not module.ispkg)]


@pytest.mark.parametrize("door", [door for door in DOORS if not door.endswith("__main__")])
def test_every_public_name_is_in_the_reference(door: str) -> None:
    # A whole module is documented with all that it gives, except for what is left out by name.
    left_out = re.search(rf"automodule:: {re.escape(door)}\n(?:   .*\n)*?   :exclude-members: (.*)\n", REFERENCE)
    whole = f"automodule:: {door}\n" in REFERENCE
    excluded = left_out[1].split(", ") if left_out else []
    names = importlib.import_module(door).__all__
    documented = set(re.findall(rf":: {re.escape(door)}\.(\w+)", REFERENCE))
    missing = [name for name in names if name not in documented and (not whole or name in excluded)]
    assert missing == [], f"place them on a page of docs/reference: {missing}"


def test_the_page_of_commands_has_all_of_them_and_their_options() -> None:
    page = reference_commands.page()
    for name in COMMANDS:
        assert f"\n### volant {name}\n" in page
    assert "`--max-action-concurrency` `N`" in page
    assert "#### volant engine stop" in page
    assert "\b" not in page


def test_the_table_of_parameters_says_where_each_is_accepted_and_whether_it_has_an_effect() -> None:
    rows = {line.split("|")[1].strip(" `"): line for line in reference_levels.page().splitlines()}
    assert list(rows) == list(PARAMETERS)
    assert rows["retries"] == "| `retries` |  | yes | yes | yes |"
    assert rows["name"].startswith("| `name` | yes |  |  |")


def test_the_tree_of_errors_has_each_of_them_once() -> None:
    found = re.findall(r"volant\.errors\.(\w+)", reference_errors.page())
    public = [name for name in errors.__all__ if isinstance(getattr(errors, name), type) and name != "Details"]
    assert sorted(found) == sorted(set(public) - {"RuntimeUserError"})


def test_signatures_that_are_written_by_hand_have_every_parameter() -> None:
    written = re.findall(r"autofunction:: volant\.(\w+)(\(.*\))", REFERENCE)
    assert written
    for name, text in written:
        namespace: dict[str, Any] = {}
        exec(f"def function{text}: ...", namespace)
        shown, real = (inspect.signature(each).parameters for each in (namespace["function"], getattr(volant, name)))
        has_more = any(each.kind is each.VAR_KEYWORD for each in real.values())
        named = [each for each in real if real[each].kind is not inspect.Parameter.VAR_KEYWORD]
        assert list(shown)[: len(named) if has_more else None] == named, name


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [*re.findall(r"\]\(([^)#]+)", text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)]
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []
