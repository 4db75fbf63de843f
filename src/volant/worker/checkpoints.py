"""What an attempt saves for later ones: stored, then committed, then told."""

from typing import TYPE_CHECKING, assert_never

from volant.model.payloads import Payload, SavedCheckpoint
from volant.model.worker_protocol import Acknowledged, CallRefused, ChildEnded, SaveCheckpoint
from volant.worker.calls import Call

if TYPE_CHECKING:
    from volant.worker.session import AttemptSession


class Checkpoints:
    """The checkpoint of one action, as this attempt knows it."""

    def __init__(self, session: "AttemptSession", saved: SavedCheckpoint | None) -> None:
        self._session = session
        self._saved = saved

    def save(self, data: bytes, file: str | None) -> None:
        """Save, and block this thread until that is committed."""
        saved, call = self._post(self._session.stored(data), file)
        self._session.wait_for(call)
        self._committed(saved, call)

    async def save_aio(self, data: bytes, file: str | None) -> None:
        """Save, and return when that is committed."""
        saved, call = self._post(await self._session.stored_meanwhile(data), file)
        await self._session.answered(call)
        self._committed(saved, call)

    def load(self) -> tuple[bytes, str | None] | None:
        """What was saved last."""
        return None if self._saved is None else (self._session.fetched(self._saved.data), self._saved.file)

    def _post(self, data: Payload, file: str | None) -> tuple[SavedCheckpoint, Call]:
        saved = SavedCheckpoint(data=data, file=file)
        call = self._session.line.new_call(self._session.caller)
        message = SaveCheckpoint(attempt_key=self._session.caller.key, call=call.id, checkpoint=saved)
        self._session.line.submit(call, message)
        return saved, call

    def _committed(self, saved: SavedCheckpoint, call: Call) -> None:
        match call.answer:
            case Acknowledged():
                self._saved = saved
            case CallRefused():
                raise self._session.refusal(call.answer)
            case ChildEnded() | None:
                msg = f"{call.answer!r} is no answer to a checkpoint"
                raise AssertionError(msg)
            case _:
                assert_never(call.answer)
