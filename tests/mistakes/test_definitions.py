"""Wrong definitions are refused at the line where they are written, and nothing is written anywhere."""

import pytest

from tests.mistakes.catalogue import Mistake, mistakes
from tests.mistakes.conftest import Place
from volant.model.errors import VolantError

THEMES = ("environments", "tasks", "levels", "quantities", "declarations")


@pytest.mark.parametrize("mistake", [entry for theme in THEMES for entry in mistakes(theme)])
def test_a_wrong_definition_is_refused_where_it_is_written(place: Place, mistake: Mistake) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is compared below
        place.execute(mistake.written)
    mistake.check(place.told(caught.value))
    assert isinstance(caught.value, (VolantError, AttributeError))
    assert not place.home.exists()


@pytest.mark.parametrize("mistake", [entry for theme in THEMES for entry in mistakes(theme)])
def test_every_refusal_says_what_helps(mistake: Mistake) -> None:
    told, *more = mistake.answer.splitlines()
    assert told.startswith("AttributeError: ") or any(line.startswith("hint: ") for line in more)
