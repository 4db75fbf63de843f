"""Mistakes on a command line, in our words."""

import click
import pytest

from volant.cli.commands import Command
from volant.cli.failing import report_error
from volant.cli.parameters import spelt
from volant.cli.usages import Count


@click.command("take", cls=Command)
@click.option("--many", "-m", type=Count(1))
@click.option("--needed", required=True)
@click.argument("name", metavar="[NAME]", required=False)
def take(**_values: object) -> None:
    """Take."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--needed", "x", "-m", "0"], "--many: found '0', expected a whole number, 1 or more"),
        (["--needed", "x", "-m", "1.5"], "--many: found '1.5', expected a whole number, 1 or more"),
        (["--needed"], "--needed is missing its value"),
        ([], "--needed is missing"),
        (["--neded", "x"], "there is no option '--neded'; did you mean '--needed'?"),
        (["--needed", "x", "a", "b"], "nothing takes 'b'"),
        (["--needed", "x", *"abcdefg", "h" * 200], "nothing takes 'b', 'c', 'd', 'e', 'f' and 2 more words"),
        (["--needed", "x", "a", "h" * 200], f"nothing takes '{'h' * 80}...'"),
    ],
)
def test_mistakes_are_said_in_our_words(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.UsageError) as raised:
        take.main(arguments, prog_name="take", standalone_mode=False)
    assert report_error(raised.value) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: {said}"
    assert hint.startswith(("hint: take --help shows", "hint: put --help after"))


@pytest.mark.parametrize(
    ("parameter", "option"), [("dry_run", "dry-run"), ("class_", "class"), ("_hidden", "hidden"), ("_", "_")]
)
def test_an_option_may_be_written_as_its_parameter_is(parameter: str, option: str) -> None:
    # Click asks the same function about what was declared and about what was typed.
    assert spelt(parameter) == spelt(option) == option
