"""Process trees as the operating system has them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.fake_engine import is_alive, wait_for
from volant.kit.processes import (
    children,
    cpu_time_and_state,
    descendants,
    has_children,
    kill_tree,
    session_of,
    signal_trees,
)

TREE = """
import os, subprocess, sys, time
depth, folder = int(sys.argv[1]), sys.argv[2]
open(os.path.join(folder, str(os.getpid())), "w").close()
if depth:
    subprocess.Popen([sys.executable, __file__, str(depth - 1), folder], start_new_session=depth % 2 == 0)
time.sleep(600)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A chain of four processes, two of them in sessions of their own."""
    program = tmp_path / "tree.py"
    program.write_text(TREE)
    folder = tmp_path / "pids"
    folder.mkdir()
    process = subprocess.Popen([sys.executable, str(program), "3", str(folder)])
    try:
        wait_for(lambda: len(os.listdir(folder)) == 4, "the tree")
        yield process, [int(name) for name in os.listdir(folder)]
    finally:
        for pid in map(int, os.listdir(folder)):
            if is_alive(pid):
                os.kill(pid, 9)
        process.wait()


def test_descendants_are_found_through_sessions(tree: tuple[subprocess.Popen[bytes], list[int]]) -> None:
    process, pids = tree
    found = descendants(process.pid)
    assert set(found) == set(pids) - {process.pid}
    assert children(process.pid) == found[:1]
    assert children(found[0]) == found[1:2]
    assert process.pid in children(os.getpid())


def test_a_tree_is_killed_whole(tree: tuple[subprocess.Popen[bytes], list[int]]) -> None:
    process, pids = tree
    assert kill_tree(process.pid) == 4
    process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in pids), "the end of the tree")
    assert kill_tree(process.pid) == 0


def test_trees_that_are_gone_take_no_signal(tree: tuple[subprocess.Popen[bytes], list[int]]) -> None:
    assert signal_trees([]) == 0
    assert signal_trees([1 << 30]) == 0
    assert descendants(1 << 30) == []
    assert session_of(1 << 30) is None
    assert session_of(os.getpid()) == os.getsid(0)


def test_a_process_knows_whether_it_has_children() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert has_children()
    process.communicate(b"\n")


def test_cpu_time_counts_the_whole_tree_and_sees_who_wants_more(tmp_path: Path) -> None:
    program = tmp_path / "busy.py"
    program.write_text(
        "import subprocess, sys\n"
        "if len(sys.argv) == 1:\n"
        "    subprocess.run([sys.executable, __file__, 'child'])\n"
        "while True: pass\n"
    )
    process = subprocess.Popen([sys.executable, str(program)])
    try:
        # The root only waits; what is busy is its child.
        wait_for(lambda: cpu_time_and_state(process.pid)[0] > 0.3, "some CPU time")
        wait_for(lambda: cpu_time_and_state(process.pid)[1], "someone who wants the CPU")
    finally:
        kill_tree(process.pid)
        process.wait()
    assert cpu_time_and_state(process.pid) == (0.0, False)


def test_who_sleeps_uses_no_cpu() -> None:
    process = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        wait_for(lambda: not cpu_time_and_state(process.pid)[1], "the sleeper to sleep")
        before = cpu_time_and_state(process.pid)
        assert before[0] < 10
        assert cpu_time_and_state(process.pid) == before
    finally:
        process.communicate(b"\n")


def test_a_busy_thread_is_seen_behind_an_idle_main_thread() -> None:
    text = "import threading\ndef work():\n    while True: pass\nthreading.Thread(target=work).start()\n"
    process = subprocess.Popen([sys.executable, "-c", text])
    try:
        wait_for(lambda: cpu_time_and_state(process.pid)[0] > 0.2, "some CPU time")
        wait_for(lambda: cpu_time_and_state(process.pid)[1], "the thread")
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
def test_asking_for_subreapers_makes_none() -> None:
    code = (
        "import ctypes\n"
        "from volant.kit.processes import become_subreaper, can_be_subreaper\n"
        "def is_one():\n"
        "    found = ctypes.c_int(-1)\n"
        "    ctypes.CDLL(None).prctl(37, ctypes.byref(found), 0, 0, 0)\n"
        "    return found.value\n"
        "print(can_be_subreaper(), is_one(), become_subreaper(), is_one())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True 0 True 1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
@pytest.mark.parametrize(("is_there", "said"), [(True, b"alive"), (False, b"")])
def test_who_lost_its_parent_before_the_kernel_was_asked_is_killed(is_there: bool, said: bytes) -> None:
    parent = os.getpid() if is_there else 1
    program = f"from volant.kit.processes import die_with_parent; die_with_parent({parent}); print('alive', end='')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.stdout == said
    assert done.returncode == (0 if is_there else -signal.SIGKILL)
