"""Starting the engine before anything else is imported.

Only a guess from the bare arguments: whatever is wrong with them or with the settings is said later, by those who
read them properly.
"""

from collections.abc import Sequence

from volant.cli.main import NEED_AN_ENGINE
from volant.client.starting import EngineStart, ensure_engine
from volant.model.errors import VolantError
from volant.settings.loading import engine_environ, load_settings

_NEEDS_NONE = frozenset({("get", "settings"), ("get", "workers")})
_HELP = frozenset({"--help", "-h"})


def start_engine_early(arguments: Sequence[str]) -> EngineStart | None:
    """An engine on its way, if the command will want one."""
    home, rest = _split_home(arguments)
    if not rest or rest[0] not in NEED_AN_ENGINE or len(rest) < 2 or _HELP.intersection(rest):
        return None
    if tuple(rest[:2]) in _NEEDS_NONE:
        return None
    try:
        settings = load_settings(flags={"home": home})
        return ensure_engine(settings.home, engine_environ(settings))
    except (VolantError, OSError):
        return None


def _split_home(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    if len(arguments) >= 2 and arguments[0] == "--home":
        return arguments[1], arguments[2:]
    if arguments and arguments[0].startswith("--home="):
        return arguments[0].removeprefix("--home="), arguments[1:]
    return None, arguments
