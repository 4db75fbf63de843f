"""Why something did not succeed, as one field."""

from volant.cli.showing import first_line
from volant.cli.tables import Cell, cut
from volant.model.failures import Failure, FailureKind

_LONGEST = 200
"""Characters of a message that a traceback below has in full."""


def why_field(failure: Failure, *, task: str = "", attempts: int = 0) -> tuple[str, Cell]:
    """What was raised, in *task* and after so many *attempts* where that is to be said; or why it was aborted."""
    message = first_line(failure.message)
    if failure.kind is FailureKind.ABORTED:
        return "reason", Cell(message or failure.code, {"fg": "yellow"})
    if failure.traceback:
        message = cut(message, _LONGEST)
    what = f"{failure.code}: {message}" if message else failure.code
    where = f" in task {task}" if task else ""
    tries = f", after {attempts} attempts" if attempts > 1 else ""
    return "error", Cell(f"{what}{where}{tries}", {"fg": "red"})
