"""`--code`: which code a run that is executed again has."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from volant.client.rerunning import WhichCode

F = TypeVar("F", bound=Callable[..., Any])


def code_option(function: F) -> F:
    """`--code original|current`."""
    return click.option(
        "--code",
        type=click.Choice([which.value for which in WhichCode]),
        default=WhichCode.ORIGINAL.value,
        show_default=True,
        help="The code as it was when the run was submitted, or as it is in the same files now.",
    )(function)
