"""Where the running code is: `volant.ctx()` and `volant.group(name)`."""

from contextvars import Token
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, Self

import msgspec

from volant.authoring.checkpoints import Checkpoint
from volant.authoring.session import RunningInfo, Session, current, current_session, enter_group
from volant.authoring.validation import filled_text, known_keywords
from volant.model.errors import CallError
from volant.model.ids import ActionId, RunId


class ActionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The running action."""

    name: ActionId
    """Its id, unique in the run."""
    run_name: RunId
    """The name of its run."""
    parent_name: ActionId | None
    """The id of the action that called it; None for the root."""
    task_name: str
    """The full name of its task."""
    short_name: str
    """What people see instead of the full name."""


class Context:
    """What the running attempt knows about itself; false outside a run.

    Outside a run a task is a plain function. What such a call can do without has a plain value there
    (`attempt_number` is 0, `data` and `custom_context` are empty); the rest is an error.
    """

    __slots__ = ("_info", "_session")

    def __init__(self, session: Session | None) -> None:
        self._session = session
        self._info: RunningInfo | None = None if session is None else session.info

    def __bool__(self) -> bool:
        return self._info is not None

    @property
    def action(self) -> ActionInfo:
        """The running action: `name`, `run_name`, ..."""
        info = self._inside("action")
        return ActionInfo(
            name=info.action,
            run_name=info.run,
            parent_name=info.parent,
            task_name=info.task,
            short_name=info.short_name,
        )

    @property
    def attempt_number(self) -> int:
        """0 in the first attempt, 1 in the first retry."""
        return 0 if self._info is None else self._info.attempt

    @property
    def raw_data_path(self) -> str:
        """Where large outputs of this run belong: a folder or a URL."""
        return self._inside("raw_data_path").raw_data_path

    @property
    def run_start_time(self) -> datetime:
        """Aware UTC; the same in every action and attempt of the run."""
        return self._inside("run_start_time").run_start_time

    @property
    def data(self) -> dict[str, Any]:
        """The user's own, for the length of this attempt."""
        return {} if self._info is None else self._info.data

    @property
    def custom_context(self) -> dict[str, str]:
        """What the run was started with; a copy."""
        return {} if self._info is None else dict(self._info.custom_context)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What this action saves for its later attempts; None outside a run, where there are none."""
        return None if self._session is None else Checkpoint(self._session)

    @property
    def mode(self) -> str:
        """`local`, `inline`, `remote`; empty outside a run."""
        return "" if self._info is None else self._info.mode

    @property
    def task(self) -> str:
        """The full name of the running task."""
        return self._inside("task").task

    def _inside(self, name: str) -> RunningInfo:
        if self._info is None:
            self._refuse(name)
        return self._info

    @staticmethod
    def _refuse(name: str) -> NoReturn:
        message = f"volant.ctx().{name} is read outside a run, expected code that runs in an action"
        raise CallError(message, hint="a task called outside volant.run is a plain function; test volant.ctx() first")

    def __repr__(self) -> str:
        if self._info is None:
            return "<context: outside a run>"
        return f"<context: {self._info.task}, run {self._info.run}, action {self._info.action}>"


@known_keywords("volant.ctx")
def ctx() -> Context:
    """Where the running code is: a `Context`, which is false outside a run.

    Works in every thread of the attempt.
    """
    return Context(current_session())


class group:
    """Calls made inside are recorded under *name*; groups nest, as `outer/inner`. For `with` and `async with`.

    Outside a run it does nothing.

    Raises:
        DefinitionError: the name is empty or no text.
    """

    @known_keywords("volant.group")
    def __init__(self, name: str) -> None:
        self.name = filled_text("volant.group", "name", name)
        self._tokens: list[Token[Any] | None] = []

    def __enter__(self) -> Self:
        self._tokens.append(enter_group(self.name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        token = self._tokens.pop()
        if token is not None:
            current.reset(token)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
