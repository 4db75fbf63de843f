"""P2, the peer: fork, do nothing, wait, again; in an interpreter that has imported what our zygote has imported.

Forking copies page tables, so its price depends on what the parent holds. A bare interpreter would be an easier
yardstick than the one that ours is really measured against.
"""

import importlib
import json
import os
import runpy
import sys
import time
from pathlib import Path

ZYGOTE = "volant.wiring.zygote"


def main(count: int) -> None:
    try:
        importlib.import_module(ZYGOTE)
    except ModuleNotFoundError as error:
        if error.name is None or not ZYGOTE.startswith(error.name):
            raise
        print(f"WARNING: there is no {ZYGOTE}; forking an interpreter with less in it", file=sys.stderr)
        importlib.import_module("volant")
        importlib.import_module("asyncio")
    runpy.run_path(str(Path(__file__).with_name("fanout.py")), run_name="fanout")

    start = time.perf_counter()
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    print(json.dumps({"figure": count / (time.perf_counter() - start)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
