"""The conformance suites' assertions explain themselves, though they lie in the package; a Postgres for all tests."""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("volant.testing.journal", "volant.testing.leases")

from volant.testing.postgres_server import NoPostgresError, PostgresServer  # noqa: E402 - after the registration


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for many databases. What a machine without one does not test, its summary says."""
    try:
        server = PostgresServer.start()
    except NoPostgresError as error:
        pytest.skip(f"NOTHING ON POSTGRES IS TESTED HERE: {error}")
    with server:
        yield server
