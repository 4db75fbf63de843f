"""P8, the peer: the smallest program."""

import flyte

env = flyte.TaskEnvironment(name="hello")


@env.task
async def main(name: str = "world") -> str:
    return f"hello, {name}"
