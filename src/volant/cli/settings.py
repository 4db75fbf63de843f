"""`volant get settings [NAME]`: each value, where it came from and what it overrode."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import click
from rich.text import Text

from volant.api.program import program
from volant.cli.columns import columns, print_plainly, short_path, stdout_console
from volant.cli.commands import Command
from volant.cli.showing import print_json
from volant.model.errors import SettingsError
from volant.settings.catalogue import QUEUE_HELP, QUEUES, QUEUES_NOTE, QUEUES_VARIABLE, SETTINGS
from volant.settings.loading import SETTINGS_HINT, located, unknown_setting
from volant.settings.tree import QueueSettings, Settings, Source, SourceKind


class Row(NamedTuple):
    """A setting with its value."""

    name: str
    value: object
    source: Source
    overridden: tuple[tuple[object, Source], ...]


@click.command("settings", cls=Command)
@click.argument("setting", required=False, metavar="[NAME]")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="Form of the list.")
def command(setting: str | None, output: str) -> None:
    """Show the settings: each value, where it came from, and what it overrode.

    NAME is a setting, such as grace_period or capacity.cpu, or a section, such as capacity; of one setting all is told.
    """
    settings = program.settings()
    rows = [row for row in rows_of(settings) if _is_meant(row.name, setting)]
    if not rows and setting not in {"queues", None}:
        raise SettingsError(unknown_setting(str(setting)), hint=SETTINGS_HINT)
    if output == "json":
        print_json([_as_json(row) for row in rows])
    elif len(rows) == 1 and rows[0].name == setting:
        _print_one(rows[0])
    elif rows:
        _print_all(rows)
    else:
        click.echo("no queues are set", err=True)


def rows_of(settings: Settings) -> list[Row]:
    """All settings in the order of the reference, queues last."""
    names = [*SETTINGS, *(f"{QUEUES}{name}" for name in settings.queues)]
    return [
        Row(
            name,
            settings.value_of(name),
            located(settings.sources[name]),
            tuple((written.value, located(written.source)) for written in settings.overridden.get(name, ())),
        )
        for name in names
    ]


def shown(name: str, value: object) -> str:
    """A value for people."""
    if isinstance(value, QueueSettings):
        most = "unlimited" if value.max_running is None else f"max_running {value.max_running}"
        return f"{most}, priority {value.priority}"
    return SETTINGS[name].shown(value)


def _is_meant(name: str, wanted: str | None) -> bool:
    return wanted is None or name == wanted or name.startswith(f"{wanted}.")


def _plain(name: str, value: object) -> object:
    if isinstance(value, QueueSettings):
        return {"max_running": value.max_running, "priority": value.priority}
    return None if value is None else SETTINGS[name].form.plain(value)


def _as_json(row: Row) -> dict[str, Any]:
    setting = SETTINGS.get(row.name)
    return {
        "name": row.name,
        "value": _plain(row.name, row.value),
        "unit": setting.form.unit if setting else "",
        "source": _source_as_json(row.source),
        "overrides": [
            {"value": _plain(row.name, value), "source": _source_as_json(source)} for value, source in row.overridden
        ],
        "default": setting.default_text if setting else "",
        "variable": setting.variable if setting else QUEUES_VARIABLE,
        "help": setting.help if setting else "A queue.",
    }


def _source_as_json(source: Source) -> dict[str, object]:
    found: dict[str, object] = {"kind": source.kind.value, "place": source.place}
    if source.key:
        found |= {"line": source.line, "key": ".".join(source.key)}
    return found


def _print_all(rows: Iterable[Row]) -> None:
    lines: list[tuple[str | Text, ...]] = []
    for row in rows:
        is_default = row.source.kind is SourceKind.DEFAULT
        lines.append(
            (row.name, shown(row.name, row.value), Text(_place(row.source), style="dim" if is_default else ""))
        )
        for value, source in row.overridden:
            lines.append(("", Text(f"not {shown(row.name, value)}", style="dim"), Text(_place(source), style="dim")))
    print_plainly(stdout_console(), columns(("SETTING", "VALUE", "FROM"), lines))


def _print_one(row: Row) -> None:
    setting = SETTINGS.get(row.name)
    lines: list[tuple[str | Text, str]] = [("value", shown(row.name, row.value)), ("from", _place(row.source))]
    lines += [("overrides", f"{shown(row.name, value)}, from {_place(source)}") for value, source in row.overridden]
    if setting is None:
        lines += list(QUEUE_HELP.items())
        lines += [("variable", QUEUES_VARIABLE), ("note", QUEUES_NOTE)]
    else:
        lines += [("default", setting.default_text), ("written as", setting.form.wanted.replace("`", ""))]
        if setting.form.unit:
            lines.append(("unit", setting.form.unit))
        lines += [("variable", setting.variable), ("in a file", setting.example.replace("\n", "  "))]
        if setting.is_engines:
            lines.append(("read by", "the engine when it starts; volant engine stop lets the next one read it anew"))
        if setting.note:
            lines.append(("note", setting.note))
    head = [Text(row.name, style="bold"), Text(setting.help if setting else "A queue.")]
    print_plainly(stdout_console(), *head, columns((), lines, indent=2))


def _place(source: Source) -> str:
    if not source.key:
        return source.place
    path = short_path(source.place)
    return f"{path}:{source.line}" if source.line else path
