"""The processes of zygotes: those that this engine starts, and those of an earlier one that are found here."""

import contextlib
import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import Protocol

import psutil

from volant.launchers.lifelines import Lifeline
from volant.ports.launcher import AttemptOrder

BOOT = "import sys; sys.path.append(sys.argv[1]); from volant.wiring.zygote import main; main(int(sys.argv[2]))"
"""What a zygote's interpreter runs: the package may be on its path or in the folder that is named."""


class Interpreter(Protocol):
    """A process, as far as its zygote is concerned."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None:
        """None while it is there; then its exit code, or minus the signal that ended it, or 0 when nobody knows."""
        ...

    def send_signal(self, sig: int) -> None:
        """Without effect when it is gone."""
        ...


class FoundInterpreter:
    """A process that is nobody's child here. Its number is looked at once, so it is not mistaken for another later."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor: int | None = None
        self._process: psutil.Process | None = None
        self._is_gone = False
        try:
            if hasattr(os, "pidfd_open"):
                self._descriptor = os.pidfd_open(pid)
            else:
                self._process = psutil.Process(pid)
        except (OSError, psutil.Error):
            self._is_gone = True

    def poll(self) -> int | None:
        if not self._is_gone:
            if self._descriptor is not None:
                self._is_gone = bool(select.select([self._descriptor], [], [], 0)[0])
            elif self._process is not None:
                self._is_gone = not self._process.is_running()
            if self._is_gone and self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
        return 0 if self._is_gone else None

    def send_signal(self, sig: int) -> None:
        if self.poll() is not None:
            return
        with contextlib.suppress(OSError, psutil.Error):
            if self._descriptor is not None:
                signal.pidfd_send_signal(self._descriptor, sig)
            elif self._process is not None:
                self._process.send_signal(sig)


def start_interpreter(
    order: AttemptOrder, theirs: socket.socket, log: Path, lifeline: Lifeline
) -> "subprocess.Popen[bytes]":
    """Start the interpreter that *order* needs; it serves whoever has the other end of *theirs*.

    Raises:
        OSError: it cannot be started.
    """
    # What an earlier zygote of this environment printed is of no interest any more.
    with contextlib.ExitStack() as stack:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        alive = lifeline.open()
        stack.callback(os.close, alive)
        process = subprocess.Popen(
            [order.code.interpreter, "-P", "-c", BOOT, order.code.package_root, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=_existing(order.code.cwd),
            env=dict(order.environ),
            pass_fds=(theirs.fileno(), alive),
            start_new_session=True,
        )
        lifeline.note(alive, process.pid)
        return process


def _existing(folder: str) -> str | None:
    return folder if os.path.isdir(folder) else None
