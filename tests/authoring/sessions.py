"""A session that executes calls in this process, for the tests of what happens before and after one."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from volant.authoring.session import PendingCall, RunningInfo, current
from volant.authoring.task import Task
from volant.model.ids import ActionId, RunId, TaskName

INFO = RunningInfo(
    run=RunId("r1"),
    action=ActionId("a1"),
    parent=ActionId("a0"),
    task=TaskName("env.parent"),
    short_name="parent",
    attempt=2,
    run_start_time=datetime(2026, 1, 2, tzinfo=UTC),
    mode="local",
    raw_data_path="/raw",
    custom_context={"team": "ops"},
    data={},
)


class Call(NamedTuple):
    """A call that arrived."""

    task: str
    arguments: dict[str, object]
    group: str | None


class LocalSession:
    """Calls the plain function, in threads where it was asked for; remembers what arrived and how many at once."""

    def __init__(self) -> None:
        self.info = INFO
        self.in_traced_step = False
        self.calls: list[Call] = []
        self.cancelled: list[dict[str, object]] = []
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=32)

    def call(
        self, task: Task[..., Any], arguments: dict[str, object], *, group: str | None
    ) -> Coroutine[Any, Any, Any]:
        return self._execute_aio(task, arguments, group)

    def call_blocking(self, task: Task[..., Any], arguments: dict[str, object], *, group: str | None) -> Any:
        return self.start_call(task, arguments, group=group).result()

    def start_call(self, task: Task[..., Any], arguments: dict[str, object], *, group: str | None) -> PendingCall[Any]:
        self.calls.append(Call(task.name, arguments, group))
        self._count(1)
        future: Future[Any] = self._threads.submit(_execute, task, arguments)
        future.add_done_callback(lambda _: self._count(-1))
        return _Pending(self, arguments, future)

    def wait_for_any(self, calls: Sequence[PendingCall[Any]]) -> None:
        wait([call.future for call in calls if isinstance(call, _Pending)], return_when=FIRST_COMPLETED)

    async def _execute_aio(self, task: Task[..., Any], arguments: dict[str, object], group: str | None) -> Any:
        self.calls.append(Call(task.name, arguments, group))
        self._count(1)
        try:
            # A turn of the loop, so that calls can overlap and be cancelled.
            await asyncio.sleep(0)
            result = task.func(**arguments)
            return await result if task.interface.is_async else result
        except asyncio.CancelledError:
            self.cancelled.append(arguments)
            raise
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._running += change
            self.most_at_once = max(self.most_at_once, self._running)

    def close(self) -> None:
        self._threads.shutdown()


class _Pending:
    def __init__(self, session: LocalSession, arguments: dict[str, object], future: Future[Any]) -> None:
        self._session = session
        self._arguments = arguments
        self.future = future

    def done(self) -> bool:
        return self.future.done()

    def result(self) -> Any:
        return self.future.result()

    def cancel(self) -> None:
        self._session.cancelled.append(self._arguments)
        self.future.cancel()


def _execute(task: Task[..., Any], arguments: dict[str, object]) -> Any:
    result = task.func(**arguments)
    return asyncio.run(result) if task.interface.is_async else result


@contextmanager
def in_run() -> Iterator[LocalSession]:
    """Code inside runs in an action."""
    session = LocalSession()
    token = current.set(session)
    try:
        yield session
    finally:
        current.reset(token)
        session.close()
