"""Recursion: a task calls itself, deeper than there are cores.

    volant run examples/recursion.py main --size 32

While a parent waits for its children it lends its core, so a deep tree finishes on any machine.
"""

import asyncio
import random

import volant

env = volant.TaskEnvironment(name="recursion")


@env.task
async def merge_sort(numbers: list[int]) -> list[int]:
    """Sort by sorting both halves, each in its own action."""
    if len(numbers) <= 4:
        return sorted(numbers)
    middle = len(numbers) // 2
    left, right = await asyncio.gather(merge_sort(numbers[:middle]), merge_sort(numbers[middle:]))
    merged: list[int] = []
    while left and right:
        merged.append(left.pop(0) if left[0] <= right[0] else right.pop(0))
    return merged + left + right


@env.task
async def main(size: int = 32, seed: int = 7) -> list[int]:
    """Sort *size* shuffled numbers."""
    numbers = list(range(size))
    random.Random(seed).shuffle(numbers)
    return await merge_sort(numbers)


if __name__ == "__main__":
    run = volant.run(main)
    print(run.name, run.phase, run.outputs())
