"""P2 with the journal on a Postgres of its own, which syncs each commit: what group commit has to make up for.

    python -m benchmarks.on_postgres 2000

Prints what the same program prints on SQLite: how many actions a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from volant.testing.postgres_server import PostgresServer

FANOUT = Path(__file__).resolve().parent / "programs" / "fanout.py"


def main(count: str) -> None:
    with PostgresServer.start(durable=True) as server:
        environ = os.environ | {"VOLANT_DATABASE": server.new_database()}
        try:
            subprocess.run([sys.executable, str(FANOUT), count], env=environ, check=True)
        finally:
            # It leaves before its database does.
            stop = [sys.executable, "-m", "volant", "engine", "stop"]
            subprocess.run(stop, env=environ, check=False, capture_output=True)


if __name__ == "__main__":
    main(sys.argv[1])
