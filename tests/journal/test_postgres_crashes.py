"""A server, a connection or an engine that dies while changes are written: what was told is there, once, in order."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
import pytest

from tests.journal.cutting import Wire
from volant.journal.postgres import PostgresJournal
from volant.journal.postgres.connecting import Connection
from volant.journal.postgres.storing import Storing
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import Batch
from volant.ports.leases import Lease
from volant.testing.journal import action_id, refused, sample_action, sample_attempt, sample_change, sample_run
from volant.testing.postgres_server import NoPostgresError, PostgresServer

R1 = RunId("r1")
LONG = timedelta(seconds=30)


@pytest.fixture(scope="module")
def durable() -> Iterator[PostgresServer]:
    """A server that waits for its disk, and that tests may stop."""
    try:
        server = PostgresServer.start(durable=True)
    except NoPostgresError as error:
        pytest.skip(f"NO CRASH OF POSTGRES IS TESTED HERE: {error}")
    with server:
        yield server


def numbered(number: int) -> Batch:
    """A batch of every kind of row; what it changes of its predecessor tells whether that is there."""
    before = (sample_action(number - 1, phase=ActionPhase.SUCCEEDED),) if number > 1 else ()
    return Batch(
        runs=(sample_run(token=number),),
        actions=(sample_action(number), *before),
        attempts=(sample_attempt(number),),
        changes=(sample_change(number),),
    )


async def stored(journal: PostgresJournal) -> int:
    """The number of the last batch, after a look at all of them."""
    run = await journal.run(R1)
    last = 0 if run is None else run.token
    changes = await journal.changes(R1, limit=1_000_000)
    assert [change.seq for change in changes] == list(range(1, last + 1))
    listed = await journal.actions(R1, limit=1_000_000)
    assert [position for position, _ in listed] == list(range(1, last + 1))
    assert [action.action for _, action in listed] == [action_id(number) for number in range(1, last + 1)]
    assert [action.phase.is_final for _, action in listed] == [True] * (last - 1) + [False] * (last > 0)
    for number in {1, last} - {0}:
        assert len(await journal.attempts(R1, action_id(number))) == (last > 0)
    return last


async def commit_all(journal: PostgresJournal, count: int, told: Callable[[int], object], *, at_once: int = 4) -> None:
    numbers = iter(range(1, count + 1))

    async def commit_some() -> None:
        for number in numbers:
            await journal.commit(numbered(number))
            told(number)

    await asyncio.gather(*(commit_some() for _ in range(at_once)))


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[PostgresJournal]:
    journal = await PostgresJournal.open(url, read_only=True)
    try:
        yield journal
    finally:
        await journal.close()


def test_a_server_that_loses_its_power_loses_nothing_that_was_told(durable: PostgresServer) -> None:
    url = durable.new_database()

    async def body() -> None:
        journal = await PostgresJournal.open(url, patience=LONG)
        told: list[int] = []
        work = asyncio.create_task(commit_all(journal, 600, told.append))
        for crash in (20, 150, 151, 400):
            while len(told) < crash:
                await asyncio.sleep(0.001)
            await asyncio.to_thread(durable.pause, immediately=True)
            known = max(told)
            await asyncio.to_thread(durable.resume)
            async with looking(url) as look:
                # The journal goes on meanwhile, so only one question has an answer of one moment.
                assert len(await look.changes(R1)) >= known
        await work
        assert sorted(told) == list(range(1, 601))
        assert await stored(journal) == 600
        await journal.close()

    asyncio.run(body())


def test_connections_that_are_ended_at_random_moments_lose_and_repeat_nothing(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    database = url.rpartition("/")[2]
    dice = random.Random(7)

    async def body() -> None:
        journal = await PostgresJournal.open(url, patience=LONG, group_rows=12)
        told: list[int] = []
        done = asyncio.Event()

        async def end_connections() -> int:
            ended = 0
            async with await psycopg.AsyncConnection.connect(postgres.url(), autocommit=True) as connection:
                while not done.is_set():
                    await asyncio.sleep(dice.uniform(0.001, 0.03))
                    cursor = await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,)
                    )
                    ended += cursor.rowcount
            return ended

        ending = asyncio.create_task(end_connections())
        asking = asyncio.create_task(ask_until(done, journal))
        await commit_all(journal, 400, told.append)
        done.set()
        assert await ending > 5
        await asking
        assert sorted(told) == list(range(1, 401))
        assert await stored(journal) == 400
        await journal.close()

    asyncio.run(body())


async def ask_until(done: asyncio.Event, journal: PostgresJournal) -> None:
    """Questions are answered too, and never with less than before."""
    last = 0
    while not done.is_set():
        changes = await journal.changes(R1)
        assert len(changes) >= last
        last = len(changes)


async def on_a_cut_wire(wire: Wire) -> None:
    journal = await PostgresJournal.open(wire.url, patience=LONG, lease=LONG)
    await journal.commit(numbered(1))
    group = [journal.commit(numbered(number)) for number in (2, 3)]
    gap = journal.commit(Batch(changes=(sample_change(9),)))
    for receipt in group:
        await receipt
    await refused(gap)
    await journal.commit(Batch(runs=(sample_run("other", phase=ActionPhase.SUCCEEDED),)))
    assert isinstance(await journal.leases.acquire(R1), Lease)
    assert await journal.last_seq(R1) == 3
    assert await journal.delete_run(RunId("other")) is True
    await journal.close()


def test_a_wire_that_is_cut_before_or_after_any_send_loses_and_repeats_nothing(postgres: PostgresServer) -> None:
    async def body(cut_at: int, delivered: bool) -> bool:
        url = postgres.new_database()
        async with Wire(url, cut_at=cut_at, delivered=delivered) as wire:
            await on_a_cut_wire(wire)
        async with looking(url) as look:
            assert await stored(look) == 3
            assert await look.run(RunId("other")) is None
        return wire.was_cut

    async def opened() -> int:
        # An engine is not yet there while it opens its journal: that it fails then is no loss.
        async with Wire(postgres.new_database()) as wire:
            journal = await PostgresJournal.open(wire.url)
            await journal.commit(Batch())
            sent = wire.sent
            await journal.close()
            return sent

    first = asyncio.run(opened()) - 3
    for delivered in (False, True):
        cut_at = first
        while asyncio.run(body(cut_at, delivered)):
            cut_at += 1
        assert cut_at > first + 12


def test_a_transaction_that_outlives_its_connection_is_waited_for(postgres: PostgresServer) -> None:
    url = postgres.new_database()

    async def body() -> None:
        async with Wire(url) as wire, await psycopg.AsyncConnection.connect(url) as other:
            journal = await PostgresJournal.open(wire.url, patience=LONG)
            await journal.commit(numbered(1))
            await other.execute("LOCK TABLE volant.changes IN ACCESS EXCLUSIVE MODE")
            wire.keeps_servers_side = True
            # The server gets it, and waits for the lock before it does it.
            wire.cut_at_words(b"COMMIT", delivered=True)
            receipt = journal.commit(numbered(2))
            while not wire.was_cut:
                await asyncio.sleep(0.001)
            later = journal.commit(numbered(3))
            while not postgres.execute(WAITING):
                await asyncio.sleep(0.005)
            assert not receipt.done
            await other.rollback()
            await receipt
            await later
            assert await stored(journal) == 3
            await journal.close()

    asyncio.run(body())


# Somebody waits to learn what became of a group.
WAITING = """
    SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%groups FROM volant.writers%'
"""


def test_a_server_that_is_away_for_a_while_is_waited_for(durable: PostgresServer) -> None:
    url = durable.new_database()

    async def body() -> None:
        journal = await PostgresJournal.open(url, patience=LONG)
        await journal.commit(numbered(1))
        assert await stored(journal) == 1
        await asyncio.to_thread(durable.pause)
        receipt = journal.commit(numbered(2))
        question = asyncio.create_task(journal.run(R1))
        await asyncio.sleep(0.1)
        assert not receipt.done
        assert not question.done()
        await asyncio.to_thread(durable.resume)
        await receipt
        assert await question is not None
        assert await stored(journal) == 2
        await journal.close()

    asyncio.run(body())


def test_a_server_that_stays_away_is_told_to_everybody_and_closing_still_ends(durable: PostgresServer) -> None:
    url = durable.new_database()

    async def body() -> None:
        journal = await PostgresJournal.open(url, patience=timedelta(seconds=0.2))
        await journal.commit(numbered(1))
        await asyncio.to_thread(durable.pause)
        try:
            waiting = [journal.commit(numbered(2)), journal.commit(numbered(3))]
            for receipt in waiting:
                error = await refused(receipt)
                assert "could not be reached for 0.2 s" in str(error)
                assert "not known" in str(error)
                assert "resume the runs" in str(error.hint)
            assert "could not be reached" in str(await refused(journal.commit(Batch())))
            assert "could not be reached" in str(await refused(journal.delete_run(R1)))
            assert "127.0.0.1" in str(await refused(journal.run(R1)))
            assert journal.failure is not None
            await journal.close()
        finally:
            await asyncio.to_thread(durable.resume)
        async with looking(url) as look:
            assert await stored(look) == 1

    asyncio.run(body())


# Commits numbered batches, several at once, and prints each number once it was told.
WRITER = """
import asyncio, sys
from tests.journal.test_postgres_crashes import commit_all
from volant.journal.postgres import PostgresJournal

async def main(url):
    journal = await PostgresJournal.open(url, group_rows=12)
    await commit_all(journal, 1_000_000, lambda number: print(number, flush=True))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("told_until", [1, 100])
def test_an_engine_killed_at_any_time_leaves_a_prefix_that_others_take_over(
    postgres: PostgresServer, told_until: int
) -> None:
    url = postgres.new_database()
    process = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = 0
    for line in process.stdout:
        told = max(told, int(line))
        if told >= told_until:
            process.kill()
            break
    told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL

    async def body() -> None:
        journal = await PostgresJournal.open(url)
        # The server may still be busy with what it was given.
        await until_alone(url)
        last = await stored(journal)
        assert last >= told
        owned = await journal.leases.acquire(R1)
        assert not isinstance(owned, Lease)
        assert timedelta(0) < owned.remaining <= timedelta(seconds=30)
        assert "belongs to engine" in str(await refused(journal.commit(numbered(last + 1))))
        postgres.execute("UPDATE volant.leases SET until = now()", url.rpartition("/")[2])
        assert list(await journal.leases.reap()) == [R1]
        lease = await journal.leases.acquire(R1)
        assert isinstance(lease, Lease)
        assert lease.token == 2
        await journal.commit(numbered(last + 1))
        assert await stored(journal) == last + 1
        await journal.close()

    asyncio.run(body())


async def until_alone(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
                " AND pid <> pg_backend_pid()"
            )
            if not await cursor.fetchall():
                return
            await asyncio.sleep(0.005)


def test_an_engine_that_was_stopped_in_a_transaction_keeps_nobody_from_taking_over(postgres: PostgresServer) -> None:
    """As a laptop that slept: the server ends its transaction, and when it wakes it finds that it lost the run."""
    url = postgres.new_database()

    async def body() -> None:
        sleeper, other = await PostgresJournal.open(url), await PostgresJournal.open(url)
        await sleeper.commit(numbered(1))
        writer = sleeper._writer
        assert writer is not None
        assert writer._connection is not None
        await writer._connection.execute("SET idle_in_transaction_session_timeout TO '50ms'")

        async def sleep_holding_the_fence(connection: Connection, storing: Storing) -> None:
            assert await storing.take(connection, R1) is not None
            postgres.execute("UPDATE volant.leases SET until = now()", url.rpartition("/")[2])
            lease = await other.leases.acquire(R1)
            assert isinstance(lease, Lease)

        asleep = writer.give(sleep_holding_the_fence)
        assert "belongs to engine" in str(await refused(asleep))
        assert "belongs to engine" in str(await refused(sleeper.commit(numbered(2))))
        await other.commit(numbered(2))
        assert await stored(other) == 2
        await sleeper.close()
        await other.close()

    asyncio.run(body())


def test_a_server_that_hangs_is_given_up_when_patience_ends_and_what_was_told_is_there(durable: PostgresServer) -> None:
    url = durable.new_database()

    async def body() -> None:
        journal = await PostgresJournal.open(url, patience=timedelta(seconds=1))
        await journal.commit(numbered(1))
        durable.hang()
        try:
            hanging = journal.commit(numbered(2))
            waiting = journal.commit(numbered(3))
            asked = asyncio.create_task(refused(journal.run(R1)))
            for receipt in (hanging, waiting):
                assert "could not be reached for 1 s" in str(await refused(receipt))
            assert "no answer for 1 s" in str(await asked)
        finally:
            durable.go_on()
        await journal.close()
        async with looking(url) as look:
            # Nobody was told of the second and the third; what was told is there.
            assert await stored(look) in (1, 2, 3)

    asyncio.run(body())


def test_a_server_that_hangs_for_a_moment_in_a_transaction_repeats_and_loses_nothing(durable: PostgresServer) -> None:
    url = durable.new_database()
    database = url.rpartition("/")[2]

    async def body() -> None:
        journal = await PostgresJournal.open(url, patience=timedelta(seconds=2))
        told: list[int] = []
        work = asyncio.create_task(commit_all(journal, 200, told.append))
        while len(told) < 50:
            await asyncio.sleep(0.001)
        durable.hang()
        # Longer than the silence after which the wire is cut, so that the answer is lost, shorter than patience.
        await asyncio.sleep(1.3)
        durable.go_on()
        await work
        assert sorted(told) == list(range(1, 201))
        assert await stored(journal) == 200
        await journal.close()
        assert durable.execute("SELECT * FROM volant.leases WHERE owner <> ''", database) == []

    asyncio.run(body())
