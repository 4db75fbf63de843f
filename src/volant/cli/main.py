"""The command `volant`: begin what takes time, find the command, turn what went wrong into words and an exit code."""

import os
import sys

from volant.cli.early import start_engine_early

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main() -> None:
    """Parse `sys.argv`, do it, and exit."""
    arguments = sys.argv[1:]
    instruction = os.environ.get("_VOLANT_COMPLETE")
    if instruction is not None:
        from volant.cli.completing import complete

        sys.exit(complete(instruction))
    # Before click, rich and the user's file are imported: the engine starts on another core meanwhile.
    start = start_engine_early(arguments)
    from volant.cli.table import run_command_line

    sys.exit(run_command_line(arguments, start))
