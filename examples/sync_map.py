"""Sync tasks and map: no async anywhere, and still as parallel as the machine.

volant run examples/sync_map.py main --count 10
"""

import volant

env = volant.TaskEnvironment(name="sync_map")


@env.task
def is_prime(number: int) -> bool:
    """Whether a number is prime, by trial division."""
    if number < 2:
        raise ValueError(f"{number} is too small to ask")
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


@env.task
def main(count: int = 10) -> dict[str, list[int]]:
    """Sort numbers into primes, composites and those that could not be asked."""
    numbers = list(range(1, count + 1))
    found: dict[str, list[int]] = {"primes": [], "composites": [], "refused": []}
    for number, answer in zip(numbers, volant.map(is_prime, numbers), strict=True):
        if isinstance(answer, ValueError):
            found["refused"].append(number)
        else:
            found["primes" if answer else "composites"].append(number)
    return found


if __name__ == "__main__":
    run = volant.run(main)
    print(run.name, run.phase, run.outputs())
