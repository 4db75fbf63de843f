"""Fan out: many calls at once, each in a process of its own.

volant run examples/fan_out.py main --words 12
"""

import asyncio

import volant

env = volant.TaskEnvironment(name="fan_out")

TEXT = "the quick brown fox jumps over the lazy dog while seven wise owls watch from the old oak"


@env.task
async def score(word: str) -> int:
    """The sum of a word's letters, a = 1."""
    return sum(ord(letter) - ord("a") + 1 for letter in word)


@env.task
async def main(words: int = 8) -> dict[str, int]:
    """Score the first words of a text, all at once."""
    chosen = TEXT.split()[:words]
    scores = await asyncio.gather(*(score(word) for word in chosen))
    return dict(zip(chosen, scores, strict=True))


if __name__ == "__main__":
    run = volant.run(main)
    print(run.name, run.phase, run.outputs())
