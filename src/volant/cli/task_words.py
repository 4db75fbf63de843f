"""Where the task's name stands behind `volant run FILE`: options of the run may stand before it, its own may not."""

from collections.abc import Iterable, Sequence

import click


def place_of_task(rest: Sequence[str], options: Iterable[click.Parameter]) -> int | None:
    """The place in *rest* of the first word that is neither one of the run's *options* nor the value of one.

    None where there is none, or another option comes first: only who knows the task can tell what follows that.
    """
    takes_value: dict[str, bool] = {}
    for option in options:
        if isinstance(option, click.Option):
            takes_value |= dict.fromkeys((*option.opts, *option.secondary_opts), not option.is_flag)
    place = 0
    while place < len(rest):
        word = rest[place]
        if not word.startswith("-"):
            return place
        name, equals, _ = word.partition("=")
        if name not in takes_value:
            return None
        place += 2 if takes_value[name] and not equals else 1
    return None
