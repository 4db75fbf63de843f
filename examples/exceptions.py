"""Exceptions: what a task raises arrives in its caller as what it was.

    volant run examples/exceptions.py main

`except ZeroDivisionError` around a call works, though the task ran in another process.
"""

import asyncio

import volant

env = volant.TaskEnvironment(name="exceptions")


class EmptySampleError(ValueError):
    """A sample has no values."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"sample {name!r} is empty")
        self.name = name


@env.task
async def mean(name: str, values: list[float]) -> float:
    """The mean of a sample, which must not be empty."""
    if not values:
        raise EmptySampleError(name=name)
    return sum(values) / len(values)


@env.task
async def ratio(a: float, b: float) -> float:
    """One number over another."""
    return a / b


@env.task
async def main() -> dict[str, str]:
    """Go on after failures, and say what they were."""
    report: dict[str, str] = {"full": f"{await mean('full', [1.0, 2.0, 6.0]):g}"}
    try:
        await mean("empty", [])
    except EmptySampleError as error:
        report["empty"] = f"no values in {error.name}"
    try:
        await ratio(1.0, 0.0)
    except ZeroDivisionError as error:
        report["ratio"] = str(error)
    results = await asyncio.gather(ratio(1.0, 4.0), ratio(1.0, 0.0), return_exceptions=True)
    report["gathered"] = ", ".join(type(r).__name__ if isinstance(r, Exception) else f"{r:g}" for r in results)
    return report


if __name__ == "__main__":
    run = volant.run(main)
    print(run.name, run.phase, run.outputs())
