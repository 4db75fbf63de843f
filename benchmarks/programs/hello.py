"""P8, ours: the smallest program."""

import volant

env = volant.TaskEnvironment(name="hello")


@env.task
async def main(name: str = "world") -> str:
    return f"hello, {name}"
