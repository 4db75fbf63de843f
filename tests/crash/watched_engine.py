"""An engine of which every act is a point: `python -m tests.crash.watched_engine HOME RECORD ONCE [POINT TIMES]`.

The same engine as ever; its zygotes, and so its workers, are watched too.
"""

import sys
from pathlib import Path

from tests.crash.points import Points
from volant.launchers import interpreters
from volant.wiring.engine import main

ROOT = Path(__file__).parents[2]


def begin() -> None:
    """Watch this process and what it starts, and be the engine."""
    record, once, die_at, times = sys.argv[2], sys.argv[3], None, 1
    if sys.argv[4:]:
        die_at, times = sys.argv[4], int(sys.argv[5])
    given = f"record={record!r}, once={once!r}, die_at={die_at!r}, times={times}"
    interpreters.BOOT = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.crash.points import Points; del sys.path[0]; "
        f"Points('zygote', {given}).install(); {interpreters.BOOT}"
    )
    Points("engine", record=record, once=once, die_at=die_at, times=times).install()
    main()


if __name__ == "__main__":
    begin()
