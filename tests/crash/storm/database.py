"""Where the journal of a round is, and what can be done to it."""

from typing import Protocol

from volant.testing.postgres_server import PostgresServer


class Database(Protocol):
    """The journal's database in a storm."""

    @property
    def can_die(self) -> bool:
        """Whether there is a server to kill."""
        ...

    def variables(self) -> dict[str, str]:
        """What a new, empty one is told to engines and clients with."""
        ...

    def die(self) -> None:
        """Lose the power, and come back."""
        ...


class Sqlite:
    """A file in the home."""

    can_die = False

    def variables(self) -> dict[str, str]:
        """Nothing: it is the default."""
        return {}

    def die(self) -> None:
        """It dies with the engine only."""


class Postgres:
    """A server of the storm's own."""

    can_die = True

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def variables(self) -> dict[str, str]:
        """The URL of a new database."""
        return {"VOLANT_DATABASE": self._server.new_database()}

    def die(self) -> None:
        """An immediate shutdown, as if the machine had lost its power; then a start, with recovery."""
        self._server.pause(immediately=True)
        self._server.resume()
