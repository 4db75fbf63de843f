"""Why actions wait, in words."""

from datetime import datetime, timedelta

import pytest

from volant.client.waits import describe_wait
from volant.model.waits import Lack, Scarce, Wait, WaitKind

NOW = datetime(2026, 3, 31, 12, 0).astimezone()


def lack(what: Scarce, wanted: int, free: int = 0) -> Lack:
    return Lack(what=what, wanted=wanted, free=free)


@pytest.mark.parametrize(
    ("wait", "wanted"),
    [
        (Wait(kind=WaitKind.PLACE), "is next in line"),
        (Wait(kind=WaitKind.PLACE, ahead=1200), "queued behind 1,200"),
        (Wait(kind=WaitKind.PLACE, lacks=(lack(Scarce.CPU, 2000, 1000),)), "waits for 2 CPU, 1 free"),
        (
            Wait(kind=WaitKind.PLACE, ahead=3, lacks=(lack(Scarce.CPU, 500), lack(Scarce.MEMORY, 1 << 30, 1 << 29))),
            "queued behind 3, waits for 0.5 CPU, 0 free and 1.0 GiB of memory, 512.0 MiB free",
        ),
        (Wait(kind=WaitKind.PLACE, lacks=(lack(Scarce.GPU, 1),)), "waits for 1 GPU, 0 free"),
        (Wait(kind=WaitKind.PLACE, lacks=(lack(Scarce.PROCESSES, 1),)), "waits for a process, as many as may live do"),
        (Wait(kind=WaitKind.PLACE, lacks=(lack(Scarce.MACHINE, 1),)), "waits for the end of one that runs alone"),
        (Wait(kind=WaitKind.BACKOFF, until=NOW + timedelta(seconds=4)), "backs off until 12:00:04"),
        (Wait(kind=WaitKind.BACKOFF, until=NOW + timedelta(days=1)), "backs off until 2026-04-01 12:00:00"),
        (Wait(kind=WaitKind.BACKOFF), "backs off"),
        (Wait(kind=WaitKind.PROCESS), "waits for its process"),
        (Wait(kind=WaitKind.CHILDREN, calls=1), "waits for a child"),
        (Wait(kind=WaitKind.CHILDREN, calls=1000), "waits for 1,000 children"),
        (Wait(kind=WaitKind.EVENT), "waits for something of its own"),
        (Wait(kind=WaitKind.ENDING), "waits for the end of its process"),
        (Wait(kind=WaitKind.ENDING, reason="enough"), "is being ended: enough"),
    ],
)
def test_each_reason_has_words(wait: Wait, wanted: str) -> None:
    assert describe_wait(wait, now=NOW) == wanted
