"""What an action saves is there for its later attempts, and for those after its engine is gone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.test_resuming import kill_everything, until
from tests.scenarios.conftest import User, output

PROGRAM = """
    import os, pathlib, signal, time
    import volant

    env = volant.TaskEnvironment(name="checkpoints")

    def end(how: str) -> None:
        if how == "fail":
            raise ConnectionError(how)
        if how == "lose":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "wait":
            time.sleep(100)

    @env.task(retries=5)
    def counts(upto: int, how: str, large: bool = False) -> list[int]:
        checkpoint = volant.ctx().checkpoint
        found = checkpoint.load()
        done = 0 if found is None else int(found)
        if done < upto:
            padding = b" " * (300_000 if large else 0)
            checkpoint.save(str(done + 1).encode() + padding)
            assert checkpoint.load() == str(done + 1).encode() + padding
            end(how)
        return [done, volant.ctx().attempt_number]

    @env.task(retries=1)
    async def keeps_a_file(folder: str) -> str:
        checkpoint = volant.ctx().checkpoint
        found = checkpoint.load()
        if found is not None:
            return f"{found.name}: {found.read_text()}"
        model = pathlib.Path(folder, "model.bin")
        model.write_text("weights")
        await checkpoint.save_aio(model)
        model.unlink()
        raise ConnectionError

    @env.task
    async def mistakes() -> list[str]:
        found = []
        checkpoint = volant.ctx().checkpoint
        for wrong in (3, "no/such/file", "/"):
            try:
                await checkpoint.save_aio(wrong)
            except volant.errors.ArgumentError as error:
                found.append(str(error))
        try:
            checkpoint.save(b"")
        except volant.errors.SyncTaskCallInAsyncContextError as error:
            found.append(error.hint)
        return found
"""


@pytest.fixture(scope="module")
def program(user: User) -> Path:
    return user.write("checkpoints.py", PROGRAM)


@pytest.mark.parametrize(("how", "mode"), [("fail", "local"), ("fail", "inline"), ("lose", "local")])
def test_a_later_attempt_goes_on_from_what_was_saved(user: User, program: Path, how: str, mode: str) -> None:
    given = ["--mode", mode, str(program), "counts", "--upto", "2", "--how", how]
    assert output(user.volant("run", *given, "-o", "json")) == [2, 2]


def test_large_ones_are_kept_too(user: User, program: Path) -> None:
    given = [str(program), "counts", "--upto", "1", "--how", "fail", "--large"]
    assert output(user.volant("run", *given, "-o", "json")) == [1, 1]


def test_a_file_comes_back_under_its_name(user: User, program: Path, tmp_path: Path) -> None:
    done = user.volant("run", str(program), "keeps_a_file", "--folder", str(tmp_path), "-o", "json")
    assert output(done) == "model.bin: weights"


def test_what_cannot_be_saved_says_why(user: User, program: Path) -> None:
    assert output(user.volant("run", str(program), "mistakes", "-o", "json")) == [
        "checkpoint.save: found 3, expected bytes or the path of a file",
        "checkpoint.save: found nothing at 'no/such/file', expected a file",
        "checkpoint.save: found a folder at '/', expected a file",
        "await volant.ctx().checkpoint.save_aio(...) instead",
    ]


def test_a_checkpoint_outlives_everything(new_user: Callable[..., User]) -> None:
    user = new_user()
    user.write("checkpoints.py", PROGRAM)
    command = [sys.executable, "-m", "volant", "run", "--name", "cut", "checkpoints.py", "counts"]
    client = user.start(*command, "--upto", "1", "--how", "wait")

    def is_saved() -> bool:
        shown = user.volant("get", "action", "cut", "counts", "-o", "json", ok=False).stdout
        return bool(shown) and bool(json.loads(shown)["checkpoint"])

    until(is_saved)
    kill_everything(user, client)
    assert output(user.volant("resume", "cut", "-o", "json")) == [1, 1]
