"""`volant.ctx().checkpoint`: what an action saves for its later attempts."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import cast

from volant.authoring.session import Session
from volant.authoring.task import in_running_loop
from volant.authoring.validation import shown
from volant.model.errors import ArgumentError, SyncTaskCallInAsyncContextError


class Checkpoint:
    """What an action saves of its own work, so that a later attempt goes on from there.

    One per action; each `save` replaces what was saved before. It is there in later attempts, after a failure, a lost
    worker or a lost engine, and in runs that were resumed; it is dropped when the action succeeds.
    """

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, data: bytes | bytearray | memoryview | str | os.PathLike[str]) -> None:
        """Save bytes, or the file at a path; committed when it returns. Async code awaits `save_aio`.

        Raises:
            ArgumentError: it is neither bytes nor the path of a file; what was saved before stays.
            BlobError: it cannot be stored; what was saved before stays.
        """
        if in_running_loop():
            message = "checkpoint.save is called from async code, where it would block the event loop"
            raise SyncTaskCallInAsyncContextError(message, hint="await volant.ctx().checkpoint.save_aio(...) instead")
        self._session.save_checkpoint(*_content(data))

    async def save_aio(self, data: bytes | bytearray | memoryview | str | os.PathLike[str]) -> None:
        """As `save`, for async code."""
        await self._session.save_checkpoint_aio(*_content(data))

    def load(self) -> bytes | Path | None:
        """What was saved last, in this attempt or an earlier one: bytes, or the path of a file of that name with the
        same content, which is there until the process ends. None: nothing was saved."""
        found = self._session.load_checkpoint()
        if found is None:
            return None
        data, name = found
        if name is None:
            return data
        folder = tempfile.mkdtemp(prefix="volant-checkpoint-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder, name)
        path.write_bytes(data)
        return path

    def __repr__(self) -> str:
        return "<checkpoint of the running action>"


def _content(data: object) -> tuple[bytes, str | None]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", data)), None
    if not isinstance(data, (str, os.PathLike)):
        raise ArgumentError(f"checkpoint.save: found {shown(data)}, expected bytes or the path of a file")
    path = Path(os.fspath(cast("str | os.PathLike[str]", data)))
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        hint = "pack its files into one, with shutil.make_archive" if path.is_dir() else None
        raise ArgumentError(f"checkpoint.save: found {what} at {str(path)!r}, expected a file", hint=hint)
    return path.read_bytes(), path.name
