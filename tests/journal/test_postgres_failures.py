"""A server that cannot be used says why, what can be done, and never the password."""

import asyncio
from datetime import timedelta

import pytest

from volant.journal.postgres import PostgresJournal
from volant.model.errors import JournalError
from volant.model.ids import RunId
from volant.model.records import Batch
from volant.ports.journal import RunFilter
from volant.testing.journal import refused, sample_change, sample_run
from volant.testing.postgres_server import PostgresServer


def opening_error(url: str) -> JournalError:
    error = asyncio.run(refused(PostgresJournal.open(url)))
    assert isinstance(error, JournalError)
    assert "hunter2" not in f"{error} {error.hint} {error.__cause__}"
    return error


def test_a_server_that_is_not_there_is_named() -> None:
    error = opening_error("postgresql://me:hunter2@127.0.0.1:1/name")
    assert "postgresql://me@127.0.0.1:1/name" in str(error)
    assert "start the server" in str(error.hint)


def test_a_wrong_password_is_told(postgres: PostgresServer) -> None:
    url = postgres.url(user="guarded:hunter2")
    error = opening_error(url)
    assert "password authentication failed" in str(error)
    assert "VOLANT_DATABASE" in str(error.hint)
    assert "password" in str(opening_error(postgres.url(user="guarded")))


def test_a_missing_database_is_told_with_the_command_that_makes_it(postgres: PostgresServer) -> None:
    error = opening_error(postgres.url("nowhere"))
    assert '"nowhere" does not exist' in str(error)
    assert f"createdb -h 127.0.0.1 -p {postgres.port} -U volant nowhere" in str(error.hint)


def test_a_url_that_is_none_is_not_repeated() -> None:
    error = opening_error("postgresql://me:hunter2@[host/name")
    assert "postgresql://user:password@host:port/database" in str(error.hint)
    assert "is not understood" in str(opening_error("postgresql://me:hunter2@host/name?hunter2=1"))


def test_a_user_who_may_not_make_the_schema_is_told(postgres: PostgresServer) -> None:
    error = opening_error(postgres.new_database().replace("volant@", "guarded:secret@"))
    assert "permission denied" in str(error)
    assert "grant this user CREATE" in str(error.hint)


def test_a_database_of_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    error = opening_error(postgres.url("latin"))
    assert "LATIN1, wanted UTF8" in str(error)
    assert "--encoding UTF8" in str(error.hint)


def test_a_read_only_database_is_refused_when_opened_and_told_when_it_becomes_so(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]

    async def body() -> None:
        journal = await PostgresJournal.open(url)
        await journal.commit(Batch(runs=(sample_run(),)))
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        assert journal._writer is not None
        assert journal._writer._connection is not None
        await journal._writer._connection.execute("SET default_transaction_read_only TO on")
        error = await refused(journal.commit(Batch(changes=(sample_change(1),))))
        assert "read-only" in str(error)
        assert "read-only" in str(await refused(journal.commit(Batch())))
        assert list(await journal.changes(RunId("r1"))) == []
        await journal.close()
        reader = await PostgresJournal.open(url, read_only=True)
        assert await reader.run(RunId("r1")) == sample_run()
        with pytest.raises(JournalError, match="reading only"):
            reader.commit(Batch())
        await reader.close()

    asyncio.run(body())
    error = opening_error(url)
    assert "read-only" in str(error)
    assert "primary" in str(error.hint)


@pytest.mark.parametrize("table", ["runs", "changes", "leases"])
def test_a_table_that_is_gone_is_told_and_stores_nothing_of_its_group(postgres: PostgresServer, table: str) -> None:
    url = postgres.new_database()

    async def body() -> None:
        journal = await PostgresJournal.open(url)
        await journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
        postgres.execute(f"ALTER TABLE volant.{table} RENAME TO elsewhere", url.rpartition("/")[2])
        group = [journal.commit(Batch(runs=(sample_run(token=2),), changes=(sample_change(seq),))) for seq in (2, 3)]
        for receipt in group:
            error = await refused(receipt)
            assert f'"volant.{table}" does not exist' in str(error)
        assert journal.failure is not None
        postgres.execute(f"ALTER TABLE volant.elsewhere RENAME TO {table}", url.rpartition("/")[2])
        assert await journal.run(RunId("r1")) == sample_run()
        assert len(await journal.changes(RunId("r1"))) == 1
        await journal.close()

    asyncio.run(body())


def test_names_that_are_no_text_are_nowhere_and_break_nothing(postgres: PostgresServer) -> None:
    async def body() -> None:
        journal = await PostgresJournal.open(postgres.new_database())
        for name in (RunId("\udc80"), RunId("a\0b")):
            assert await journal.run(name) is None
            assert list(await journal.matching_runs(name)) == []
            assert list(await journal.runs(RunFilter(task=name))) == []
            assert "cannot be stored" in str(await refused(journal.commit(Batch(runs=(sample_run(name),)))))
            assert "cannot be stored" in str(await refused(journal.delete_run(name)))
        await journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
        assert len(await journal.changes(RunId("r1"))) == 1
        await journal.close()
        await journal.close()
        assert "closed" in str(await refused(journal.commit(Batch())))
        assert "closed" in str(await refused(journal.run(RunId("r1"))))

    asyncio.run(body())


def test_whoever_stops_asking_leaves_the_others_their_answers(postgres: PostgresServer) -> None:
    async def body() -> None:
        journal = await PostgresJournal.open(postgres.new_database(), patience=timedelta(seconds=5))
        await journal.commit(Batch(runs=(sample_run(),), changes=tuple(sample_change(seq) for seq in range(1, 2001))))
        for pause in range(20):
            asking = [asyncio.create_task(journal.changes(RunId("r1"), limit=5000)) for _ in range(8)]
            await asyncio.sleep(pause / 2000)
            for task in asking[::2]:
                task.cancel()
            answers = await asyncio.gather(*asking[1::2])
            assert [len(answer) for answer in answers] == [2000] * 4
            await asyncio.gather(*asking, return_exceptions=True)
        await journal.close()

    asyncio.run(body())
