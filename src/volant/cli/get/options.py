"""Options that several of these commands have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from volant.cli.instants import instant_option
from volant.cli.pairs import name_value_pairs
from volant.model.phases import ActionPhase

F = TypeVar("F", bound=Callable[..., Any])

FORM = click.Choice(["text", "json"])


def output_option(function: F) -> F:
    """`-o text|json`."""
    return click.option(
        "--output", "-o", type=FORM, default="text", help="For people, or for programs: the shapes do not change."
    )(function)


def phase_option(function: F) -> F:
    """`--phase`, repeatable, in any case."""
    return click.option(
        "--phase",
        "phases",
        multiple=True,
        metavar="PHASE",
        type=click.Choice([phase.value for phase in ActionPhase], case_sensitive=False),
        help="Only what stands so; repeatable.",
    )(function)


def since_option(function: F) -> F:
    """`--since`."""
    return click.option(
        "--since",
        callback=instant_option,
        metavar="WHEN",
        help="Only what was created since: '2h', '3 days', '14:30', 'yesterday', '2026-03-31'.",
    )(function)


def label_pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """The labels in `K=V` texts."""
    return name_value_pairs("--label", texts)
