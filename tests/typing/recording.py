"""Traced functions keep their signatures, and what is recorded has its types."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_type
from uuid import UUID

import volant
from volant import Checkpoint, durable, trace


@trace
async def fetched(url: str, *, tries: int = 1) -> bytes:
    return b""


@trace
def parsed(text: str) -> list[int]:
    return []


@trace
async def pages(upto: int) -> AsyncIterator[str]:
    yield ""


@volant.trace
def walked(upto: int) -> Iterator[int]:
    yield 1


class Agent:
    @trace
    async def asked(self, question: str) -> str:
        return question


async def code() -> None:
    assert_type(await fetched("u", tries=2), bytes)
    assert_type(parsed("1"), list[int])
    assert_type(await Agent().asked("who"), str)
    async for page in pages(2):
        assert_type(page, str)
    for place in walked(3):
        assert_type(place, int)
    await fetched(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await fetched("u", trys=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def recorded() -> None:
    assert_type(durable.now(), datetime)
    assert_type(await durable.now.aio(), datetime)
    assert_type(durable.time(), float)
    assert_type(await durable.random.aio(), float)
    assert_type(volant.durable.uuid4(), UUID)
    durable.sleep(timedelta(days=30))
    await durable.sleep.aio(1.5)
    durable.sleep("60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def saved() -> None:
    checkpoint = volant.ctx().checkpoint
    assert_type(checkpoint, Checkpoint | None)
    if checkpoint is not None:
        checkpoint.save(b"")
        checkpoint.save(Path("model"))
        assert_type(checkpoint.load(), bytes | Path | None)
