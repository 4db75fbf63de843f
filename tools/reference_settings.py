"""Write the reference page of the settings, from the table in the code: `python tools/reference_settings.py > PAGE`."""

from __future__ import annotations

import sys

from volant.settings.catalogue import QUEUE_HELP, QUEUES_NOTE, QUEUES_VARIABLE, SETTINGS, Setting

_INTRODUCTION = """\
# Settings

Every setting has a default: nothing has to be set. A value is looked for in these places, and later ones win:

1. the default;
2. `config.toml` in the home, for all that runs there;
3. the table `[tool.volant]` in the nearest `pyproject.toml`, from the current folder upwards, for one project;
4. an environment variable, `VOLANT_` and the name in capitals;
5. arguments written in a program: `volant.init(...)`, `volant.with_runcontext(...)`;
6. options of a command: `--home`, `--mode`.

One exception: `VOLANT_MODE` also wins over a mode that is written in a program, so that tests and debuggers can choose.

`volant get settings` shows each value, the file and line, variable, call or option that it came from, and what it
overrode; `volant get settings NAME` tells all about one. A value that does not parse is an error that names where it
was written; so is a name that is no setting's, with the nearest one that is. Passwords in URLs are never shown.
"""

_FILES = """\
## In files

```toml
# ~/.volant/config.toml
grace_period = "10s"

[capacity]
cpu = 4
memory = "8Gi"
```

```toml
# pyproject.toml
[tool.volant]
home = ".volant"

[tool.volant.capacity]
cpu = 2
```
"""


def page() -> str:
    """The page, as Markdown."""
    parts = [_INTRODUCTION, _overview(), *(_section(setting) for setting in SETTINGS.values()), _queues(), _FILES]
    return "\n".join(parts)


def _overview() -> str:
    rows = [f"| `{setting.name}` | `{setting.variable}` | {setting.default_text} |" for setting in SETTINGS.values()]
    rows.append(f"| `queues.<name>` | `{QUEUES_VARIABLE}` | none |")
    return "\n".join(["| name | variable | default |", "|---|---|---|", *rows, ""])


def _section(setting: Setting) -> str:
    lines = [f"## {setting.name}", "", setting.help, ""]
    facts = [("Default", setting.default_text), ("Written as", setting.form.wanted)]
    if setting.form.unit:
        facts.append(("Unit", setting.form.unit))
    facts.append(("Variable", f"`{setting.variable}`"))
    if setting.is_engines:
        facts.append(("Read by", "the engine when it starts; one that runs keeps what it started with"))
    lines += [f"* {name}: {text}" for name, text in facts]
    if setting.note:
        lines += ["", setting.note]
    return "\n".join([*lines, "", "```toml", setting.example, "```", ""])


def _queues() -> str:
    lines = ["## queues", "", "A table for each queue, by the name that tasks give it.", ""]
    lines += [f"* `{name}`: {text}" for name, text in QUEUE_HELP.items()]
    lines += ["", QUEUES_NOTE, "", f"The variable `{QUEUES_VARIABLE}` has all of them as JSON.", ""]
    return "\n".join([*lines, "```toml", "[queues.gpu]", "max_running = 2", "priority = 10", "```", ""])


if __name__ == "__main__":
    sys.stdout.write(page())
