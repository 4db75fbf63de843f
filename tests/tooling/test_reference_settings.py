"""The page of the settings says all that the table says, and its examples are settings."""

import re
import tomllib
from pathlib import Path

import pytest

from tools.reference_settings import page
from volant.settings.catalogue import SETTINGS
from volant.settings.loading import load_settings


def test_every_setting_is_described_with_default_unit_and_variable() -> None:
    text = page()
    for name, setting in SETTINGS.items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for wanted in (setting.help, setting.default_text, setting.form.unit, setting.form.wanted, setting.variable):
            assert wanted in section


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", page(), re.DOTALL))
def test_every_example_is_accepted(example: str, tmp_path: Path) -> None:
    table = tomllib.loads(example)
    if "tool" not in table and "home" not in table:
        (tmp_path / "config.toml").write_text(example)
    elif "tool" in table:
        (tmp_path / "pyproject.toml").write_text(example)
    else:
        (tmp_path / "pyproject.toml").write_text(f"[tool.volant]\n{example}")
    found = load_settings(environ={"VOLANT_HOME": str(tmp_path)}, start=tmp_path)
    assert any(str(tmp_path) in source.place for source in found.sources.values()) or found.overridden
