"""Receipts: one outcome for everybody who asks, whenever they ask."""

import asyncio

import pytest

from volant.journal.receipts import Receipt
from volant.model.errors import JournalError


def test_everybody_who_waits_and_everybody_who_comes_later_is_told() -> None:
    async def body() -> None:
        receipt: Receipt[int] = Receipt(asyncio.get_running_loop())
        told: list[Receipt[int]] = []
        receipt.add_done_callback(told.append)
        receipt.add_done_callback(told.append)

        async def wait() -> int:
            return await receipt

        early = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not receipt.done
        receipt.succeed(7)
        assert await asyncio.gather(*early) == [7, 7, 7]
        assert await receipt == 7
        assert told == [receipt, receipt]
        receipt.add_done_callback(told.append)
        await asyncio.sleep(0)
        assert told == [receipt] * 3
        assert receipt.error is None

    asyncio.run(body())


def test_a_refusal_is_raised_afresh_for_each_with_its_cause_and_hint() -> None:
    async def body() -> None:
        receipt: Receipt[int] = Receipt(asyncio.get_running_loop())
        error = JournalError("full", hint="free some space")
        error.__cause__ = OSError(28, "no space")
        receipt.fail(error)
        caught: list[JournalError] = []
        for _ in range(2):
            with pytest.raises(JournalError, match="full") as info:
                await receipt
            caught.append(info.value)
        assert caught[0] is not caught[1]
        assert isinstance(caught[0].__cause__, OSError)
        assert caught[0].hint == "free some space"
        assert receipt.error is error

    asyncio.run(body())


def test_a_receipt_can_be_gathered_and_waited_for_with_a_timeout() -> None:
    async def body() -> None:
        receipt: Receipt[int] = Receipt(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receipt, 0.001)
        receipt.succeed(1)
        assert await asyncio.gather(receipt, receipt) == [1, 1]

    asyncio.run(body())
