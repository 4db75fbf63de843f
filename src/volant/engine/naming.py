"""Names for runs that nobody named: short, pronounceable, unlikely to be equal."""

import re
import secrets

from volant.model.errors import CallError
from volant.model.ids import ActionId, RunId

_RUN_NAME = re.compile(r"\w[\w.-]{0,99}")
"""It becomes the name of a folder."""

_FIRST = tuple(
    """
    amber ashen brave brisk calm clear coral crisp dawn deep early fair fast fleet fresh gentle golden grand green
    high keen kind light lively lucid mellow noble pale prime quick quiet rapid rising silent silver smooth soft
    solar steady still sunny swift tidal vivid warm wide wild young
    """.split()  # noqa: SIM905 - a word list reads better as words
)
_SECOND = tuple(
    """
    albatross condor crane curlew dove dunlin eagle egret falcon finch goose grebe gull harrier hawk heron hobby
    ibis jay kestrel kite lark linnet magpie martin merlin oriole osprey owl pelican petrel pipit plover puffin
    raven robin rook shrike skua snipe starling stork swallow swan swift teal tern thrush wagtail warbler wren
    """.split()  # noqa: SIM905 - a word list reads better as words
)


def new_run_name() -> RunId:
    """Two words and four letters: about 2,500 times 280,000 names."""
    tail = "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz") for _ in range(4))
    return RunId(f"{secrets.choice(_FIRST)}-{secrets.choice(_SECOND)}-{tail}")


def new_root() -> ActionId:
    """An id for the root action of a run, which has no parent that it could follow from."""
    return ActionId(secrets.token_hex(16))


def checked_run_name(name: str) -> RunId:
    """A name that somebody chose.

    Raises:
        CallError: a run cannot be named so.
    """
    if not _RUN_NAME.fullmatch(name):
        wanted = "up to 100 letters, digits, '_', '-' and '.', beginning with a letter, a digit or '_'"
        msg = f"found {name!r} as the name of a run, wanted {wanted}"
        raise CallError(msg)
    return RunId(name)
