"""Every test file that docs/how-to/testing.md shows passes as it is written there."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "testing.md"
BLOCK = re.compile(r"^```python\n# (test_\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_test_file_of_the_page_passes(pytester: pytest.Pytester) -> None:
    text = PAGE.read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```python") == 7
    for name, body in blocks:
        pytester.path.joinpath(name).write_text(body)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-W", "error")
    done.assert_outcomes(passed=sum(body.count("\ndef test_") for _, body in blocks))
