"""The catalogue itself: whole, and loud when an answer differs."""

from collections import Counter

import pytest

from tests.mistakes import catalogue, test_commands, test_definitions, test_homes, test_submissions, test_warnings
from tests.mistakes.catalogue import FOLDER, Mistake, read

THEMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
TESTS = (test_commands, test_definitions, test_homes, test_submissions, test_warnings)


def test_every_theme_is_tried_by_a_test() -> None:
    marks = [mark for module in TESTS for test in vars(module).values() for mark in getattr(test, "pytestmark", ())]
    tried = {param.values[0].theme for mark in marks if mark.args[0] == "mistake" for param in mark.args[1]}
    assert sorted(tried) == THEMES


def test_there_are_hundreds_of_mistakes_each_with_a_name_of_its_own() -> None:
    names = Counter((theme, entry.name) for theme in THEMES for entry in read(theme))
    assert names.total() >= 400
    assert [name for name, count in names.items() if count > 1] == []


def test_an_answer_that_differs_is_shown_beside_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "ACCEPTING", False)
    entry = Mistake(
        theme="tasks", name="a name", written="env.task(3)", answer="Error: one\nhint: two", first=0, last=2
    )
    entry.check("Error: one \nhint: two\n")
    with pytest.raises(pytest.fail.Exception) as caught:
        entry.check("Error: one\nhint: three")
    told = str(caught.value)
    for part in ("tasks.txt:1: a name", "    env.task(3)", "- hint: two", "+ hint: three"):
        assert part in told
