"""The command `volant`: begin what takes time, find the command, turn what went wrong into words and an exit code."""

import os
import sys

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

NEED_AN_ENGINE = frozenset({"run", "attach", "resume", "abort", "get", "rerun", "logs", "delete"})
"""Commands for which the engine is started before anything else is imported."""


def main() -> None:
    """Parse `sys.argv`, do it, and exit."""
    _open_what_is_closed()
    arguments = sys.argv[1:]
    instruction = os.environ.get("_VOLANT_COMPLETE")
    if instruction is not None:
        from volant.cli.completing import complete

        sys.exit(complete(instruction))
    code = _do(arguments)
    _leave_what_nobody_reads()
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Let commands write where nobody reads (`>&-`), instead of to whatever is opened next."""
    # Opened until the program ends, in the order of their numbers, the lowest of which is taken.
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _do(arguments: list[str]) -> int:
    if NEED_AN_ENGINE.isdisjoint(arguments):
        from volant.cli.table import run_command_line

        return run_command_line(arguments)
    from volant.cli.early import start_engine_early

    # Before click and the user's file are imported: the engine starts on another core meanwhile.
    start = start_engine_early(arguments)
    from volant.api.program import program
    from volant.cli.table import run_command_line

    program.early_start = start
    try:
        return run_command_line(arguments)
    finally:
        if program.early_start is not None:
            program.early_start.close()


def _leave_what_nobody_reads() -> None:
    """What is left in a stream whose reader has gone would be complained about while the interpreter ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
