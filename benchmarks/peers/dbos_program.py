"""P3 on DBOS: steps of one workflow, in this process, each recorded in SQLite."""

import json
import os
import statistics
import sys
import time

from dbos import DBOS


@DBOS.step()
def step(number: int) -> int:
    return number


@DBOS.workflow()
def chain(count: int) -> list[float]:
    times: list[float] = []
    for number in range(count):
        start = time.perf_counter()
        step(number)
        times.append(time.perf_counter() - start)
    return times


def main(count: int) -> None:
    DBOS(
        config={
            "name": "peer",
            "system_database_url": f"sqlite:///{os.environ['BENCHMARK_SCRATCH']}/dbos.sqlite",
            "log_level": "ERROR",
            "run_admin_server": False,
        }
    )
    DBOS.launch()
    times = chain(count)
    DBOS.destroy()
    print(json.dumps({"figure": statistics.median(times)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
