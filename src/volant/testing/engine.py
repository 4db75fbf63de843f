"""The engine of a test session's home: `python -m volant.testing.engine HOME`.

The same engine as ever, with two differences. Its clock jumps over waits. And it lives for as long as the process that
started it holds the other end of its standard input: after that it ends what it started and removes the home, so that
a session which is killed leaves nothing behind either.
"""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Callable

from volant.engine.engine import Engine
from volant.kit.homes import absolute_home
from volant.model.errors import VolantError
from volant.testing.jumping_clock import JumpingClock
from volant.wiring.engine import be_engine

READY = b"ready\n"
"""What it writes to its standard output when clients can connect."""


def main() -> None:
    """Be the engine of the home that the first argument names, and remove the home when its owner is gone."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    home = absolute_home(sys.argv[1])
    clock = JumpingClock()
    owner_left: list[bool] = []

    def listens(engine: Engine, leave: Callable[[], None]) -> None:
        def heard() -> None:
            if not os.read(0, 1024):
                asyncio.get_running_loop().remove_reader(0)
                owner_left.append(True)
                leave()

        clock.may_jump = lambda: engine.only_time_helps
        clock.is_idle = lambda: engine.is_idle
        asyncio.get_running_loop().add_reader(0, heard)
        os.write(1, READY)

    try:
        be_engine(home, clock=clock, new_loop=clock.new_loop, listens=listens)
    except (VolantError, OSError) as error:
        logging.getLogger("volant.engine").error("the engine of %s ends: %s", home, error)
        sys.exit(1)
    if owner_left:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
