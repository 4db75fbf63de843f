"""The engine's side of the protocols, played by a test: one real zygote, real forks, scripted answers."""

import contextlib
import hashlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from volant.authoring.task import Task
from volant.bundle.code import PACKAGE_ROOT, describe_code
from volant.kit.framing import FrameReader, frames
from volant.kit.processes import kill_tree
from volant.model.code import CodeSource
from volant.model.ids import ActionId, AttemptKey, RunId, SpecDigest
from volant.model.payloads import Blob, Inline
from volant.model.worker_protocol import (
    Aborted,
    AttemptFinished,
    CallRefused,
    ChildEnded,
    EndWorker,
    Failed,
    ForkWorker,
    LeaveZygote,
    Outcome,
    PrepareZygote,
    RunContext,
    SpecKnown,
    StartAttempt,
    SubmitCall,
    Succeeded,
    Waiting,
    Warned,
    WorkerExited,
    WorkerForked,
    WorkerToEngine,
    Working,
    ZygoteFailed,
    ZygoteReady,
    ZygoteToEngine,
)

PATIENCE = 60.0
"""Seconds after which a test gives up; nothing takes a hundredth of it."""

BOOT = "import sys; sys.path.append(sys.argv[1]); from volant.wiring.zygote import main; main(int(sys.argv[2]))"

M = TypeVar("M", bound=msgspec.Struct)
encode = msgspec.msgpack.Encoder().encode


class Peer:
    """Frames over a socket, blocking."""

    def __init__(self, sock: socket.socket, kind: Any) -> None:
        self.sock = sock
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._reader = FrameReader()
        self._messages: list[Any] = []
        self.reads: list[int] = []
        """How many messages came with each read."""

    def next(self) -> Any:
        while not self._messages:
            self.sock.settimeout(PATIENCE)
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise EOFError
            found = [self._decode(body) for body in self._reader.feed(piece)]
            self.reads.append(len(found))
            self._messages += found
        return self._messages.pop(0)

    def say(self, *messages: msgspec.Struct) -> None:
        self.sock.sendall(frames([encode(message) for message in messages]))


class Worker:
    """One attempt as the engine sees it."""

    def __init__(
        self, engine: "FakeEngine", key: AttemptKey, sock: socket.socket, log: Path, task: Task[..., Any]
    ) -> None:
        self.engine = engine
        self.key = key
        self.log_path = log
        self.task = task
        self.peer = Peer(sock, WorkerToEngine)
        self.heard: list[WorkerToEngine] = []
        self.specs: dict[SpecDigest, bytes] = {}

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.engine.until(lambda: self.engine.pids.get(self.key))

    def next(self, *kinds: type[M]) -> M:
        """The next message of one of these kinds; others are kept in `heard`."""
        while True:
            message = self.peer.next()
            self.heard.append(message)
            if isinstance(message, SpecKnown):
                self.specs[message.spec] = message.body
            if isinstance(message, kinds):
                return message

    def calls(self, count: int) -> list[SubmitCall]:
        return [self.next(SubmitCall) for _ in range(count)]

    def outcome(self) -> Outcome:
        return self.next(AttemptFinished).outcome

    def value(self) -> Any:
        outcome = self.outcome()
        assert isinstance(outcome, Succeeded), outcome
        return decoded(self.task, outcome)

    def failure(self) -> Any:
        outcome = self.outcome()
        assert isinstance(outcome, Failed), outcome
        return outcome.failure

    def exited(self) -> WorkerExited:
        return self.engine.until(lambda: self.engine.exits.get(self.key))

    def tell(self, call: SubmitCall, outcome: Outcome) -> None:
        self.peer.say(self.engine.ended(call, outcome))

    def end(self, grace: float) -> None:
        self.engine.peer.say(EndWorker(attempt_key=self.key, grace=grace))


class FakeEngine:
    """Starts a zygote for a piece of code and forks workers from it."""

    def __init__(
        self,
        folder: Path,
        code: CodeSource,
        *,
        environ: Mapping[str, str] | None = None,
        inline_payload_bytes: int = 64 * 1024,
        prepare: bool = True,
        modules: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.log_path = folder / "zygote.log"
        self._keys = itertools.count(1)
        self._seq = itertools.count(1)
        self.pids: dict[AttemptKey, int] = {}
        self.exits: dict[AttemptKey, WorkerExited] = {}
        self.answer: ZygoteReady | ZygoteFailed | None = None
        self.workers: list[Worker] = []
        self.context = RunContext(
            run=RunId("test-run"),
            mode="local",
            created_at=datetime(2024, 5, 17, tzinfo=UTC),
            raw_data_path=str(folder / "raw"),
            home=str(folder),
            blobs=(folder / "blobs").as_uri(),
            inline_payload_bytes=inline_payload_bytes,
        )
        ours, theirs = socket.socketpair()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, PACKAGE_ROOT, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ if environ is None else environ),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        theirs.close()
        self.peer = Peer(ours, ZygoteToEngine)
        if prepare:
            self.peer.say(PrepareZygote(code=code, modules=tuple(modules)))

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def ready(self) -> ZygoteReady | ZygoteFailed:
        return self.until(lambda: self.answer)

    def until(self, found: Callable[[], Any]) -> Any:
        """Listen to the zygote until *found* gives something."""
        while (value := found()) is None:
            message = self.peer.next()
            match message:
                case WorkerForked(attempt_key=key, pid=pid):
                    self.pids[key] = pid
                case WorkerExited(attempt_key=key):
                    self.exits[key] = message
                case _:
                    self.answer = message
        return value

    def start_message(self, task: Task[..., Any], arguments: Mapping[str, Any], /, **changes: Any) -> StartAttempt:
        body = encode(task.spec())
        message = StartAttempt(
            attempt_key=AttemptKey(next(self._keys)),
            context=self.context,
            action=ActionId("a0" * 16),
            parent=None,
            attempt=0,
            spec=SpecDigest(hashlib.blake2b(body, digest_size=32).hexdigest()),
            spec_body=body,
            inputs=Inline(data=task.interface.encode_inputs(dict(arguments)).data),
        )
        return msgspec.structs.replace(message, **changes)

    def order(
        self, start: StartAttempt, log: Path | None = None
    ) -> tuple[ForkWorker, socket.socket, socket.socket, Path]:
        log = log or self.folder / f"attempt-{start.attempt_key}.log"
        ours, theirs = socket.socketpair()
        return ForkWorker(attempt_key=start.attempt_key, log=str(log), start=encode(start)), ours, theirs, log

    def fork(self, task: Task[..., Any], /, **inputs: Any) -> Worker:
        return self.fork_start(task, self.start_message(task, inputs))

    def fork_start(self, task: Task[..., Any], start: StartAttempt, log: Path | None = None) -> Worker:
        order, ours, theirs, log = self.order(start, log)
        self.peer.sock.setblocking(True)
        socket.send_fds(self.peer.sock, [frames([encode(order)])], [theirs.fileno()])
        theirs.close()
        return self.adopt(Worker(self, start.attempt_key, ours, log, task))

    def adopt(self, worker: Worker) -> Worker:
        self.workers.append(worker)
        return worker

    def ended(self, call: SubmitCall, outcome: Outcome) -> ChildEnded:
        return ChildEnded(call=call.call, action=call.action, seq=next(self._seq), outcome=outcome)

    def leave(self) -> int:
        with contextlib.suppress(OSError):
            self.peer.say(LeaveZygote())
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End the zygote and everything that came from it."""
        for worker in self.workers:
            worker.peer.sock.close()
        self.peer.sock.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            kill_tree(self.process.pid)
            self.process.wait()


@contextlib.contextmanager
def engine_for(folder: Path, code: CodeSource, **options: Any) -> Iterator[FakeEngine]:
    engine = FakeEngine(folder, code, **options)
    try:
        yield engine
    finally:
        engine.close()


def code_of(*modules: str) -> CodeSource:
    return describe_code(modules)


def code_in(folder: Path, *modules: str, main: str | None = None) -> CodeSource:
    """Code that this process did not import."""
    return CodeSource(
        interpreter=sys.executable,
        package_root=PACKAGE_ROOT,
        sys_path=(str(folder), *sys.path),
        cwd=str(folder),
        main_script=None if main is None else str(folder / main),
        modules=modules,
        digest="",
    )


def decoded(task: Task[..., Any], outcome: Succeeded, blobs: Any = None) -> Any:
    payload = outcome.outputs
    data = blobs.get(payload) if isinstance(payload, Blob) else payload.data
    return task.interface.decode_output(data)


def returned(task: Task[..., Any], value: Any) -> Succeeded:
    """What a child that returned *value* is told as."""
    return Succeeded(outputs=Inline(data=task.interface.encode_output(value).data))


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(found: Callable[[], Any], what: str) -> Any:
    """Poll for what another process does."""
    until = time.monotonic() + PATIENCE
    while not (value := found()):
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.005)
    return value


__all__ = [
    "Aborted",
    "CallRefused",
    "Failed",
    "FakeEngine",
    "Peer",
    "Succeeded",
    "Waiting",
    "Warned",
    "Worker",
    "Working",
    "code_in",
    "code_of",
    "decoded",
    "encode",
    "engine_for",
    "is_alive",
    "returned",
    "wait_for",
]
