"""Every example does what its docstring says, run from the command line as it says."""

import pytest

from tests.scenarios.conftest import ROOT, User, output

EXAMPLES = {
    "fan_out": (["--words", "3"], {"the": 33, "quick": 61, "brown": 72}),
    "recursion": (["--size", "24"], list(range(24))),
    "exceptions": (
        [],
        {
            "full": "3",
            "empty": "no values in empty",
            "ratio": "float division by zero",
            "gathered": "0.25, ZeroDivisionError",
        },
    ),
    "racing": ([], "found by a guess"),
    "branching": (["--start", "6"], [6, 3, 10, 5, 16, 8, 4, 2, 1]),
    "sync_map": (["--count", "6"], {"primes": [2, 3, 5], "composites": [4, 6], "refused": [1]}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_run_from_the_command_line_gives_its_result(user: User, name: str) -> None:
    options, expected = EXAMPLES[name]
    done = user.volant("run", str(ROOT / "examples" / f"{name}.py"), "main", *options, "-o", "json")
    assert output(done) == expected


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_run_as_a_script_gives_the_same_kind_of_result(user: User, name: str) -> None:
    done = user.start(__import__("sys").executable, str(ROOT / "examples" / f"{name}.py"))
    printed, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors
    assert "SUCCEEDED" in printed


def test_every_example_has_its_test() -> None:
    found = {path.stem for path in (ROOT / "examples").glob("*.py") if not path.stem.startswith("test_")}
    assert found == set(EXAMPLES)
