"""P3 on Ray: calls of one warm actor, one after the other; nothing is durable."""

import json
import statistics
import sys
import time

import ray


@ray.remote
class Actor:
    def step(self, number: int) -> int:
        return number


def main(count: int) -> None:
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    actor = Actor.remote()
    ray.get(actor.step.remote(0))
    times: list[float] = []
    for number in range(count):
        start = time.perf_counter()
        ray.get(actor.step.remote(number))
        times.append(time.perf_counter() - start)
    ray.shutdown()
    print(json.dumps({"figure": statistics.median(times)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
