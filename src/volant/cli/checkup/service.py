"""Volant itself: its settings, the engine of the home, the completion of the shell."""

import os
from collections.abc import Mapping
from pathlib import Path

from volant.api.program import program
from volant.cli.checkup.findings import Finding, Verdict
from volant.cli.showing import duration_of
from volant.client.driving import drive
from volant.kit.version import VERSION
from volant.model.control_protocol import EngineStatus, GetStatus
from volant.model.errors import VolantError
from volant.settings.catalogue import engine_settings
from volant.settings.tree import Settings, SourceKind

_GROUP = "volant"
_COMPLETIONS: Mapping[str, tuple[str, ...]] = {
    "bash": (".bashrc", ".bash_profile", ".profile", ".local/share/bash-completion/completions/volant"),
    "zsh": (".zshrc", ".zprofile", ".zfunc/_volant", ".oh-my-zsh/completions/_volant"),
    "fish": (".config/fish/completions/volant.fish", ".config/fish/config.fish"),
}
"""Where the script of a shell is usually put, below the user's folder."""
_MARKS = ("volant completion", "_VOLANT_COMPLETE")


def check_settings() -> tuple[Finding, Settings | None]:
    """Whether the settings can be read, and what they are."""
    settings: Settings | None = None
    try:
        settings = program.settings()
        program.client(settings)
    except VolantError as error:
        follows = error.hint or "nothing runs until it is put right"
        return Finding(_GROUP, "settings", Verdict.PROBLEM, str(error), follows), settings
    chosen = [name for name, source in settings.sources.items() if source.kind is not SourceKind.DEFAULT]
    found = f"{len(chosen)} set ({', '.join(chosen)})" if chosen else "all as they are by default"
    return Finding(_GROUP, "settings", Verdict.OK, found), settings


def check_version() -> Finding:
    """This release."""
    return Finding(_GROUP, "version", Verdict.OK, VERSION)


def check_engine(settings: Settings | None) -> Finding:
    """Whether one runs, of which version, and whether it heeds the settings of now. None is started."""
    if settings is None:
        return Finding(_GROUP, "engine", Verdict.WARNING, "not asked", "which home is meant is not known")
    try:
        found = drive(lambda: ask_status(settings), name="volant doctor")
    except (VolantError, OSError) as error:
        return Finding(_GROUP, "engine", Verdict.WARNING, str(error), getattr(error, "hint", None) or "")
    if found is None:
        return Finding(_GROUP, "engine", Verdict.OK, "none runs; a run starts one")
    shown = f"runs, {found.version}, process {found.pid}, up {duration_of(found.started_at, None)}"
    if found.version != VERSION:
        follows = f"this is {VERSION}; volant engine stop lets the next run start one of this version"
        return Finding(_GROUP, "engine", Verdict.WARNING, shown, follows)
    if others := other_settings(found, settings):
        return Finding(
            _GROUP, "engine", Verdict.WARNING, shown, f"{others}; volant engine stop lets the next one heed it"
        )
    return Finding(_GROUP, "engine", Verdict.OK, shown)


def other_settings(status: EngineStatus, settings: Settings) -> str:
    """What the engine read when it started and would read otherwise now; empty where all is the same."""
    wanted = engine_settings(settings.value_of)
    different = [
        f"{name} {had}, set now {wanted[name]}"
        for name, had in status.settings.items()
        if name in wanted and had != wanted[name]
    ]
    return f"it started with {'; '.join(different)}" if different else ""


async def ask_status(settings: Settings) -> EngineStatus | None:
    """The state of the home's engine; None when none runs."""
    async with program.client(settings).running_connection() as connection:
        if connection is None:
            return None
        return await connection.ask(lambda number: GetStatus(request=number), EngineStatus)


def check_completion(environ: Mapping[str, str]) -> Finding:
    """Whether the user's shell knows the command. Only the usual places are looked at."""
    shell = Path(environ.get("SHELL", "")).name
    places = _COMPLETIONS.get(shell)
    if places is None:
        wanted = ", ".join(_COMPLETIONS)
        return Finding(
            _GROUP,
            "completion",
            Verdict.MISSING,
            f"the shell is {shell or 'not known'}",
            f"there are scripts for {wanted}",
        )
    folder = Path(environ.get("HOME") or os.path.expanduser("~"))
    for place in places:
        if is_installed_in(folder / place):
            return Finding(_GROUP, "completion", Verdict.OK, f"{shell}, in ~/{place}")
    follows = f"volant completion --help says how to set it up for {shell}"
    return Finding(_GROUP, "completion", Verdict.MISSING, f"not set up for {shell}", follows)


def is_installed_in(path: Path) -> bool:
    """Whether a file of the shell mentions the script."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(mark in text for mark in _MARKS)
