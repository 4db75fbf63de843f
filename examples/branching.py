"""Dynamic branching: what runs next depends on what came out, in plain Python.

    volant run examples/branching.py main --start 27

There is no graph to declare: `if`, `while` and `await` are the graph.
"""

import volant

env = volant.TaskEnvironment(name="branching")


@env.task
async def halve(number: int) -> int:
    """Half of an even number."""
    return number // 2


@env.task
async def climb(number: int) -> int:
    """Three times an odd number and one."""
    return 3 * number + 1


@env.task
async def main(start: int = 6, limit: int = 200) -> list[int]:
    """The path from *start* down to 1, one action a step."""
    path = [start]
    while path[-1] != 1 and len(path) < limit:
        number = path[-1]
        path.append(await halve(number) if number % 2 == 0 else await climb(number))
    return path


if __name__ == "__main__":
    run = volant.run(main)
    print(run.name, run.phase, run.outputs())
