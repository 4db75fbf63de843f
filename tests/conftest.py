"""A Postgres for all tests that want one, and Ctrl-C for what they start."""

import signal
from collections.abc import Iterator

import pytest

from volant.testing.postgres_server import NoPostgresError, PostgresServer

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells do that to what they start in the background, and a test that interrupts a program would wait in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for many databases. What a machine without one does not test, its summary says."""
    try:
        server = PostgresServer.start()
    except NoPostgresError as error:
        pytest.skip(f"NOTHING ON POSTGRES IS TESTED HERE: {error}")
    with server:
        yield server
