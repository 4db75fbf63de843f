"""Engines that share a database: `VOLANT_DATABASE` is all it takes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.conftest import PATIENCE, User, output
from volant.testing.postgres_server import NoPostgresError, PostgresServer

PIPELINE = """
    import asyncio, os
    import volant

    env = volant.TaskEnvironment(name="shared")

    @env.task
    async def leaf(n: int, log: str, text: str) -> int:
        with open(log, "a") as file:
            file.write(f"{n}\\n")
        while n >= 8 and not os.path.exists(f"{log}.go"):
            await asyncio.sleep(0.02)
        return n * n

    @env.task
    async def main(count: int, log: str) -> int:
        # Too large for the journal: such values are where the homes have their blobs.
        return sum(await asyncio.gather(*(leaf(n, log, "x" * 100_000) for n in range(count))))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that waits for its disk, and that tests may stop."""
    try:
        started = PostgresServer.start(durable=True)
    except NoPostgresError as error:
        pytest.skip(f"NO ENGINE ON POSTGRES IS TESTED HERE: {error}")
    with started:
        yield started


def until_executed(log: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(user: User, name: str, log: Path, count: int) -> "subprocess.Popen[str]":
    arguments = ["run", "--name", name, "-o", "json", "shared.py", "main", "--count", str(count), "--log", str(log)]
    return user.start(sys.executable, "-m", "volant", *arguments)


def test_a_dead_engines_run_is_resumed_by_another_once_its_lease_has_run_out(
    server: PostgresServer, new_user: Callable[..., User], tmp_path: Path
) -> None:
    url = server.new_database()
    shared = {"VOLANT_DATABASE": url, "VOLANT_BLOBS": (tmp_path / "blobs").as_uri(), "VOLANT_CAPACITY_CPU": "2"}
    one, other = new_user(**shared), new_user(**shared)
    stranger = new_user(VOLANT_DATABASE=url)
    for user in (one, other, stranger):
        user.write("shared.py", PIPELINE)
    log = tmp_path / "log"
    client = start(one, "taken", log, 20)
    until_executed(log, 9)
    refused = other.volant("resume", "taken", ok=False)
    assert refused.returncode == 1
    assert "belongs to engine" in refused.stderr
    # What another engine executes was not interrupted.
    everything = other.volant("resume", "--all")
    assert everything.stdout == ""
    assert "was interrupted" in everything.stderr
    status = json.loads(one.volant("engine", "status", "-o", "json").stdout)
    client.kill()
    client.communicate()
    os.kill(status["pid"], signal.SIGKILL)
    assert "hint: if that engine is dead" in other.volant("resume", "taken", ok=False).stderr
    server.execute("UPDATE volant.leases SET until = now()", url.rpartition("/")[2])
    assert "the same blobs" in stranger.volant("resume", "--all", ok=False).stderr
    assert "the same blobs" in stranger.volant("resume", "taken", ok=False).stderr
    Path(f"{log}.go").touch()
    resumed = other.volant("resume", "taken", "-o", "json")
    assert output(resumed) == sum(n * n for n in range(20))
    executed = log.read_text().splitlines()
    assert set(executed) == {str(n) for n in range(20)}
    # What was under way when the engine died is executed again, nothing else.
    assert [executed.count(str(n)) for n in range(8)] == [1] * 8
    shown = json.loads(one.volant("get", "run", "taken", "-o", "json").stdout)
    assert "SUCCEEDED" in json.dumps(shown)


def test_a_run_goes_on_when_its_database_lost_its_power(
    server: PostgresServer, new_user: Callable[..., User], tmp_path: Path
) -> None:
    url = server.new_database()
    user = new_user(VOLANT_DATABASE=url)
    user.write("shared.py", PIPELINE)
    log = tmp_path / "log"
    Path(f"{log}.go").touch()
    client = start(user, "surviving", log, 200)
    for executed in (5, 60):
        until_executed(log, executed)
        server.pause(immediately=True)
        server.resume()
    out, said = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, said
    assert json.loads(out)["outputs"]["o0"] == sum(n * n for n in range(200))
    assert sorted(log.read_text().splitlines()) == sorted(str(n) for n in range(200))
    user.volant("engine", "stop")
    assert server.execute("SELECT * FROM volant.leases WHERE owner <> ''", url.rpartition("/")[2]) == []


def test_an_engine_that_leaves_lets_others_have_its_runs_at_once(
    server: PostgresServer, new_user: Callable[..., User], tmp_path: Path
) -> None:
    url = server.new_database()
    shared = {"VOLANT_DATABASE": url, "VOLANT_BLOBS": (tmp_path / "blobs").as_uri()}
    one, other = new_user(**shared), new_user(**shared)
    for user in (one, other):
        user.write("shared.py", PIPELINE)
    log = tmp_path / "log"
    client = start(one, "left", log, 20)
    until_executed(log, 9)
    status = json.loads(one.volant("engine", "status", "-o", "json").stdout)
    client.kill()
    client.communicate()
    os.kill(status["pid"], signal.SIGTERM)
    Path(f"{log}.go").touch()
    deadline = time.monotonic() + PATIENCE
    while (done := other.volant("resume", "left", "-o", "json", ok=False)).returncode and "belongs to" in done.stderr:
        assert time.monotonic() < deadline
    assert done.returncode == 0, done.stderr
    assert output(done) == sum(n * n for n in range(20))


def test_a_database_that_cannot_be_used_is_told_to_who_runs(
    server: PostgresServer, new_user: Callable[..., User]
) -> None:
    for url, words in (
        (server.url("nowhere"), "createdb"),
        (server.url(user="guarded:hunter2"), "password authentication failed"),
    ):
        user = new_user(VOLANT_DATABASE=url)
        user.write("shared.py", PIPELINE)
        said = user.volant("run", "shared.py", "main", "--count", "1", "--log", "x", ok=False).stderr
        assert words in said
        assert "hunter2" not in said


def test_of_two_homes_that_want_one_name_at_once_one_has_it_and_both_engines_go_on(
    server: PostgresServer, new_user: Callable[..., User], tmp_path: Path
) -> None:
    shared = {"VOLANT_DATABASE": server.new_database(), "VOLANT_BLOBS": (tmp_path / "blobs").as_uri()}
    users = [new_user(**shared) for _ in range(2)]
    log = tmp_path / "log"
    for user in users:
        user.write("shared.py", PIPELINE)
        user.volant("engine", "start")
    pids = [json.loads(user.volant("engine", "status", "-o", "json").stdout)["pid"] for user in users]
    for attempt in range(3):
        clients = [start(user, f"same{attempt}", log, 1) for user in users]
        said = [client.communicate(timeout=PATIENCE)[1] for client in clients]
        assert sorted(client.returncode for client in clients) == [0, 1], said
        refusal = next(text for client, text in zip(clients, said, strict=True) if client.returncode)
        assert f"a run named 'same{attempt}' exists already" in refusal
    again = [json.loads(user.volant("engine", "status", "-o", "json").stdout)["pid"] for user in users]
    assert again == pids
