"""The table of settings is the tree, and what it says of each is true."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.settings.catalogue import QUEUE_HELP, SETTINGS, VARIABLES, Setting
from volant.settings.loading import load_settings
from volant.settings.masking import masked
from volant.settings.tree import CapacitySettings, EngineSettings, QueueSettings, Settings

ALL = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
BESIDE_VALUES = {"queues", "sources", "overridden"}


def names_of(struct: Any, prefix: str = "") -> set[str]:
    return {f"{prefix}{field.name}" for field in msgspec.structs.fields(struct)}


def test_the_table_has_every_field_of_the_tree_and_no_other() -> None:
    sections = names_of(CapacitySettings, "capacity.") | names_of(EngineSettings, "engine.")
    assert set(SETTINGS) == (names_of(Settings) - BESIDE_VALUES - {"capacity", "engine"}) | sections
    assert set(QUEUE_HELP) == names_of(QueueSettings)


def test_no_two_settings_share_a_variable() -> None:
    assert len(VARIABLES) == len(SETTINGS)


@ALL
def test_a_setting_is_described_by_sentences(setting: Setting) -> None:
    assert setting.help[0].isupper()
    assert setting.help.endswith(".")
    assert setting.default_text
    assert setting.form.wanted


@ALL
def test_the_example_of_a_setting_is_accepted(setting: Setting, tmp_path: Path) -> None:
    table: Any = tomllib.loads(setting.example)
    for part in setting.name.split("."):
        table = table[part]
    written = setting.form.parse(table)
    (tmp_path / "pyproject.toml").write_text(as_tool_table(setting.example))
    found = load_settings(environ={}, start=tmp_path)
    if setting.name != "home":
        assert found.value_of(setting.name) == written
    assert found.sources[setting.name].place == str(tmp_path / "pyproject.toml")


def as_tool_table(example: str) -> str:
    head, _, rest = example.rpartition("]\n")
    return f"[tool.volant{'.' + head[1:] if head else ''}]\n{rest}"


@ALL
def test_what_is_spelt_is_read_as_the_same_value(setting: Setting, tmp_path: Path) -> None:
    table: Any = tomllib.loads(setting.example)
    for part in setting.name.split("."):
        table = table[part]
    value = setting.form.parse(table)
    found = load_settings(environ={setting.variable: setting.form.spell(value)}, start=tmp_path)
    assert found.value_of(setting.name) == value


WORDS = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters=".-_!$&'()*+,;=%~"), min_size=8)


@given(user=WORDS, password=WORDS.map(lambda text: f"hunter2{text}"))
def test_no_password_of_a_url_is_shown(user: str, password: str) -> None:
    text = masked(f"postgresql://{user}:{password}@host:5432/name")
    assert text == f"postgresql://{user}:***@host:5432/name"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////srv/a@b:c/journal.db", "sqlite:////srv/a@b:c/journal.db"),
        ("postgresql://host/name?user=me&password=x%20y&port=1", "postgresql://host/name?user=me&password=***&port=1"),
        ("postgresql://me:a@b:c@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
        ("s3://bucket/x?X-Amz-Security-Token=abc", "s3://bucket/x?X-Amz-Security-Token=***"),
        ("file:///folder", "file:///folder"),
    ],
)
def test_only_what_is_secret_is_masked(url: str, shown: str) -> None:
    assert masked(url) == shown
