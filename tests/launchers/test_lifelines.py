"""The next engine knows when nothing is left of what the last one started, and ends what does not go by itself."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from volant.launchers import lifelines
from volant.launchers.lifelines import Lifeline, Lifelines

# Its command line looks like that of a zygote.
ZYGOTE = "import time; 'volant.wiring.zygote'; print('there', flush=True); time.sleep(1000)"


@pytest.fixture
def lives(tmp_path: Path) -> Lifelines:
    return Lifelines(tmp_path / "lives")


@pytest.fixture
def zygote(lives: Lifelines) -> Iterator["subprocess.Popen[bytes]"]:
    descriptor = lives.of("last").open()
    process = subprocess.Popen([sys.executable, "-c", ZYGOTE], pass_fds=(descriptor,), stdout=subprocess.PIPE)
    Lifeline.note(descriptor, process.pid)
    os.close(descriptor)
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_life_that_started_nothing_is_over(lives: Lifelines) -> None:
    asyncio.run(lives.until_settled(but="this", returned=tuple))


def test_waiting_ends_when_the_last_process_does(lives: Lifelines, zygote: "subprocess.Popen[bytes]") -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(lives.until_settled(but="this", returned=tuple))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        zygote.kill()
        await asyncio.wait_for(waiting, 60)

    asyncio.run(scenario())


def test_waiting_ends_when_the_last_zygote_has_come(lives: Lifelines, zygote: "subprocess.Popen[bytes]") -> None:
    returned: list[int] = []

    async def scenario() -> None:
        waiting = asyncio.create_task(lives.until_settled(but="this", returned=lambda: returned))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        returned.append(zygote.pid)
        await asyncio.wait_for(waiting, 60)

    asyncio.run(scenario())
    assert zygote.poll() is None


def test_the_processes_of_this_life_are_not_waited_for(lives: Lifelines, zygote: "subprocess.Popen[bytes]") -> None:
    asyncio.run(lives.until_settled(but="last", returned=tuple))
    assert zygote.poll() is None


def test_a_zygote_that_is_stopped_is_woken(
    lives: Lifelines, zygote: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifelines, "_WAKING", 0.0)
    zygote.send_signal(signal.SIGSTOP)
    zygote.send_signal(signal.SIGTERM)
    asyncio.run(asyncio.wait_for(lives.until_settled(but="this", returned=tuple), 60))
    assert zygote.wait(60) == -signal.SIGTERM


def test_what_a_dead_zygote_left_is_ended(
    lives: Lifelines, zygote: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifelines, "_WAKING", 0.0)
    descriptor = lives.of("last").open()
    left = subprocess.Popen(["sleep", "1000"], pass_fds=(descriptor,), start_new_session=True)
    os.close(descriptor)
    zygote.kill()
    zygote.wait()
    # No child of whoever looks, as it would be: its own are spared.
    looking = "import asyncio, sys; from pathlib import Path; from volant.launchers.lifelines import Lifelines; "
    looking += "asyncio.run(Lifelines(Path(sys.argv[1])).until_settled(but='this', returned=tuple))"
    subprocess.run([sys.executable, "-c", looking, str(lives.folder)], check=True, timeout=60)
    assert left.wait(60) == -signal.SIGKILL


def test_what_does_not_go_is_killed(
    lives: Lifelines, zygote: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifelines, "_PATIENCE", 0.05)
    asyncio.run(asyncio.wait_for(lives.until_settled(but="this", returned=tuple), 60))
    assert zygote.wait(60) < 0


def test_sweeping_leaves_the_lives_that_go_on(
    lives: Lifelines, zygote: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    os.close(lives.of("over").open())
    lives.sweep()
    assert [path.name for path in (tmp_path / "lives").iterdir()] == ["last.lock"]
    zygote.kill()
    zygote.wait()
    lives.sweep()
    assert list((tmp_path / "lives").iterdir()) == []
