"""`volant doctor`: what this machine offers, and what follows where something is not there."""

import os
from itertools import groupby
from operator import attrgetter

import click
from rich.text import Text

from volant.api.program import program
from volant.cli.checkup import database, isolation, machine, service, software, storage
from volant.cli.checkup.findings import Finding, Verdict, worst
from volant.cli.columns import columns, print_plainly, stdout_console
from volant.cli.commands import Command
from volant.cli.failing import EXIT_FAILED
from volant.cli.showing import print_json
from volant.kit.homes import absolute_home

_STYLES = {
    Verdict.OK: "green",
    Verdict.MISSING: "dim",
    Verdict.WARNING: "yellow",
    Verdict.PROBLEM: "bold red",
}


@click.command("doctor", cls=Command)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="Form of the report.")
def command(output: str) -> int:
    """Show what this machine offers, and what follows where something is not there.

    Nothing is started and nothing is left behind. The exit code is 1 when Volant cannot be used here.
    """
    findings = examine(dict(os.environ))
    if output == "json":
        print_json(
            {
                "verdict": worst(findings).value,
                "findings": [
                    {
                        "group": each.group,
                        "name": each.name,
                        "verdict": each.verdict.value,
                        "found": each.found,
                        "follows": each.follows,
                    }
                    for each in findings
                ],
            }
        )
    else:
        _print(findings)
    return EXIT_FAILED if worst(findings) is Verdict.PROBLEM else 0


def examine(environ: dict[str, str]) -> list[Finding]:
    """Look at everything."""
    read, settings = service.check_settings()
    capacity = settings.capacity if settings is not None else None
    # Settings that cannot be read still leave a home to look at: the one that most people have.
    home = settings.home if settings is not None else absolute_home(_named_home(environ))
    return [
        machine.check_python(),
        machine.check_platform(),
        machine.check_cores(capacity),
        machine.check_memory(capacity),
        machine.check_gpus(environ),
        isolation.check_fork(),
        isolation.check_subreaper(),
        isolation.check_pidfd(),
        isolation.check_cgroups(),
        *storage.check_home(home),
        *database.check_database(settings),
        service.check_version(),
        read,
        service.check_engine(settings),
        service.check_completion(environ),
        *software.check_tools(environ),
        *software.check_libraries(),
    ]


def _named_home(environ: dict[str, str]) -> str:
    return str(program.flags.get("home") or environ.get("VOLANT_HOME") or "~/.volant")


def _print(findings: list[Finding]) -> None:
    rows: list[tuple[str | Text, ...]] = []
    for group, members in groupby(findings, attrgetter("group")):
        if rows:
            rows.append(("", "", ""))
        rows.append((Text(group, style="bold"), "", ""))
        for finding in members:
            verdict = Text(finding.verdict.value, style=_STYLES[finding.verdict])
            rows.append((f"  {finding.name}", verdict, finding.found))
            if finding.follows:
                rows.append(("", "", Text(finding.follows, style="dim" if finding.verdict is Verdict.MISSING else "")))
    print_plainly(stdout_console(), columns((), rows), "", Text(_summary(findings)))


def _summary(findings: list[Finding]) -> str:
    problems = [finding.name for finding in findings if finding.verdict is Verdict.PROBLEM]
    if problems:
        return f"Volant cannot be used here: {', '.join(problems)}."
    warnings = [finding.name for finding in findings if finding.verdict is Verdict.WARNING]
    if warnings:
        return f"Volant works here; look at {', '.join(warnings)}."
    return "Volant works here."
