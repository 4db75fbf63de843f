"""`volant.durable` outside a run: the plain functions."""

import asyncio
import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from volant import durable
from volant.model.errors import ArgumentError


def test_outside_a_run_they_are_the_plain_functions() -> None:
    before = datetime.now(UTC)
    assert before <= durable.now() <= datetime.now(UTC)
    assert before.timestamp() <= durable.time()
    assert 0 <= durable.random() < 1
    assert durable.uuid4().version == 4
    durable.sleep(0)
    durable.sleep(timedelta(microseconds=1))


def test_outside_a_run_async_code_may_use_both_forms() -> None:
    async def code() -> list[object]:
        await durable.sleep.aio(0)
        return [durable.random(), await durable.random.aio(), durable.uuid4(), await durable.uuid4.aio()]

    one, two, three, four = asyncio.run(code())
    assert one != two
    assert isinstance(three, uuid.UUID)
    assert three != four


@pytest.mark.parametrize("duration", [-1, math.nan, math.inf, True, "60", None, timedelta(seconds=-1), 1e300])
def test_what_is_no_duration_is_refused(duration: Any) -> None:
    with pytest.raises(ArgumentError, match="expected seconds or a timedelta, at least 0 and at most 36,500 days"):
        durable.sleep(duration)
    with pytest.raises(ArgumentError, match=r"volant\.durable\.sleep: found "):
        asyncio.run(durable.sleep.aio(duration))
