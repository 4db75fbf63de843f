"""`volant get settings`: what counts, where it was written, and what it overrode."""

import json
from pathlib import Path

import pytest

from tests.cli.typing_commands import Terminal, terminal

__all__ = ["terminal"]

HOME_FILE = """
grace_period = 1
database = "postgresql://me:hunter2@host/name"

[queues.gpu]
max_running = 2
"""
PROJECT_FILE = """
[tool.volant]
grace_period = "2s"

[tool.volant.capacity]
cpu = 1.5
"""


@pytest.fixture
def written(terminal: Terminal) -> Terminal:
    (terminal.home / "config.toml").write_text(HOME_FILE)
    (terminal.folder / "pyproject.toml").write_text(PROJECT_FILE)
    return terminal


def rows(text: str) -> list[list[str]]:
    return [[cell for cell in line.split("  ") if cell] for line in text.splitlines()]


def test_each_value_stands_with_its_source_and_what_it_overrode(written: Terminal) -> None:
    found = written.types("get", "settings", VOLANT_GRACE_PERIOD="3")
    assert found.code == 0
    lines = [[cell.strip() for cell in row] for row in rows(found.out)]
    start = lines.index(["grace_period", "3 s", "VOLANT_GRACE_PERIOD"])
    assert lines[start + 1 : start + 3] == [
        ["not 2 s", "pyproject.toml:3"],
        ["not 1 s", f"{written.home / 'config.toml'}:2"],
    ]
    assert ["capacity.cpu", "1.5 cores", "pyproject.toml:6"] in lines
    assert ["mode", "local", "default"] in lines
    assert ["queues.gpu", "max_running 2, priority 0", f"{written.home / 'config.toml'}:5"] in lines


def test_a_password_is_never_shown(written: Terminal) -> None:
    for form in ("text", "json"):
        found = written.types("get", "settings", "-o", form)
        assert "postgresql://me:***@host/name" in found.out
        assert "hunter2" not in found.out + found.err


def test_all_is_there_for_programs(written: Terminal) -> None:
    shown = {each["name"]: each for each in json.loads(written.types("get", "settings", "-o", "json").out)}
    grace = shown["grace_period"]
    assert (grace["value"], grace["unit"], grace["variable"]) == (2.0, "seconds", "VOLANT_GRACE_PERIOD")
    assert grace["source"] == {
        "kind": "project",
        "place": str(written.folder / "pyproject.toml"),
        "line": 3,
        "key": "tool.volant.grace_period",
    }
    assert [(each["value"], each["source"]["line"]) for each in grace["overrides"]] == [(1.0, 2)]
    assert shown["capacity.cpu"]["value"] == 1.5
    assert shown["queues.gpu"]["value"] == {"max_running": 2, "priority": 0}
    assert shown["home"]["source"] == {"kind": "variable", "place": "VOLANT_HOME"}


def test_a_flag_is_named(terminal: Terminal, tmp_path: Path) -> None:
    found = terminal.types("--home", str(tmp_path / "other"), "get", "settings", "home", "-o", "json")
    (home,) = json.loads(found.out)
    assert home["value"] == str(tmp_path / "other")
    assert home["source"] == {"kind": "flag", "place": "--home"}
    assert home["overrides"][0]["source"]["place"] == "VOLANT_HOME"


def test_of_one_setting_all_is_told(written: Terminal) -> None:
    shown = " ".join(written.types("get", "settings", "grace_period").out.split())
    for text in ("between SIGTERM and SIGKILL", "value 2 s", "overrides 1 s, from", "default 5 s", "unit seconds"):
        assert text in shown


def test_a_section_is_a_short_list(written: Terminal) -> None:
    found = written.types("get", "settings", "capacity").out
    assert [row[0] for row in rows(found)] == [
        "SETTING",
        "capacity.cpu",
        "capacity.memory",
        "capacity.gpu",
        "capacity.processes",
    ]


def test_no_queues_is_no_mistake(terminal: Terminal) -> None:
    found = terminal.types("get", "settings", "queues")
    assert (found.code, found.out, found.err) == (0, "", "no queues are set\n")


@pytest.mark.parametrize(
    ("name", "nearest"), [("grace_perod", "grace_period"), ("cpu", "capacity.cpu"), ("engin", "engine")]
)
def test_an_unknown_name_suggests_the_nearest(terminal: Terminal, name: str, nearest: str) -> None:
    found = terminal.types("get", "settings", name)
    assert (found.code, found.out) == (2, "")
    assert f"error: there is no setting {name!r}; did you mean {nearest!r}?" in found.err
    assert "hint: the settings are home" in found.err


def test_a_broken_file_is_named_with_line_and_column(terminal: Terminal) -> None:
    (terminal.home / "config.toml").write_text("mode = 'local'\n[capacity\n")
    found = terminal.types("get", "settings")
    assert (found.code, found.out) == (2, "")
    assert f"error: {terminal.home / 'config.toml'}:2:10 is not TOML: " in found.err


def test_looking_at_settings_makes_nothing(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.types("--home", str(tmp_path / "none"), "get", "settings").code == 0
    assert not (tmp_path / "none").exists()


def test_a_folder_that_is_gone_is_no_reason_to_fail(terminal: Terminal) -> None:
    (terminal.home / "config.toml").write_text(HOME_FILE)
    terminal.folder.rmdir()
    found = terminal.types("get", "settings")
    assert (found.code, found.err) == (0, "")
    assert f"{terminal.home / 'config.toml'}:2" in found.out
