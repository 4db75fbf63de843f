"""What a look at the machine found."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How a finding matters, the mildest first."""

    OK = "ok"
    MISSING = "missing"
    """Not there, and most people do not need it."""
    WARNING = "warning"
    """Volant works, but not as well as it could."""
    PROBLEM = "problem"
    """Volant cannot be used."""


class Finding(NamedTuple):
    """One line of the report."""

    group: str
    name: str
    verdict: Verdict
    found: str
    follows: str = ""
    """What it means for the user, and what helps; empty where all is well."""


Check = Callable[[], Sequence[Finding]]


def worst(findings: Sequence[Finding]) -> Verdict:
    """The worst verdict among them."""
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)
