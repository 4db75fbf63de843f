"""Conformance suites and fakes for adapters, and the pytest plugin's types for users' tests.

Importing it needs no pytest. Names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volant.testing.finished import FinishedAction as FinishedAction
    from volant.testing.finished import FinishedAttempt as FinishedAttempt
    from volant.testing.finished import FinishedRun as FinishedRun
    from volant.testing.journal import JournalConformance as JournalConformance
    from volant.testing.running import RunTask as RunTask
    from volant.testing.stubbing import Stub as Stub
    from volant.testing.stubbing import StubTask as StubTask

_HOMES = {
    "FinishedAction": "volant.testing.finished",
    "FinishedAttempt": "volant.testing.finished",
    "FinishedRun": "volant.testing.finished",
    "JournalConformance": "volant.testing.journal",
    "RunTask": "volant.testing.running",
    "Stub": "volant.testing.stubbing",
    "StubTask": "volant.testing.stubbing",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = globals()[name] = getattr(import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
