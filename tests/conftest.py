"""A Postgres for all tests that want one."""

from collections.abc import Iterator

import pytest

from volant.testing.postgres_server import NoPostgresError, PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for many databases. What a machine without one does not test, its summary says."""
    try:
        server = PostgresServer.start()
    except NoPostgresError as error:
        pytest.skip(f"NOTHING ON POSTGRES IS TESTED HERE: {error}")
    with server:
        yield server
