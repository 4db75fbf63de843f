"""`volant get ...`: each kind of thing has a module of its own, imported when it is asked for."""

from collections.abc import Mapping
from typing import ClassVar

import click

from volant.cli.table import Entry, TableGroup


class _Getting(TableGroup):
    entries: ClassVar[Mapping[str, Entry]] = {
        "runs": Entry("volant.cli.get.runs", "List runs, newest first."),
        "run": Entry("volant.cli.get.run", "Show one run: how it stands, its actions, and why they wait."),
        "action": Entry("volant.cli.get.action", "Show one action: its attempts and its settings."),
        "io": Entry("volant.cli.get.io", "Show what went into a run or an action, and what came out."),
        "logs": Entry("volant.cli.get.logs", "Print what a run or an action wrote."),
        "workers": Entry("volant.cli.get.workers", "List live attempts and warm interpreters."),
        "settings": Entry("volant.cli.settings", "Show each setting and where its value comes from."),
        "environments": Entry("volant.cli.get.environments", "List environments that runs have used."),
    }
    kind = "thing to get"


@click.command("get", cls=_Getting)
def command() -> None:
    """List things, or show one."""
