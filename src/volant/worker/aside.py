"""Work that is done by a child, so that nothing of it stays in this process."""

import os
from collections.abc import Callable

from volant.model.errors import BlobError

_DONE = b"+"


def in_child(work: Callable[[], bytes]) -> bytes:
    """The bytes that *work* makes in a forked process.

    Raises:
        BlobError: it failed there.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open(writing, "wb") as out:
                out.write(_answer(work))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    if answer[:1] != _DONE:
        raise BlobError(answer[1:].decode("utf-8", "replace") or "a process that fetched a blob ended without a word")
    return answer[1:]


def _answer(work: Callable[[], bytes]) -> bytes:
    try:
        return _DONE + work()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is told
        return b"-" + (str(error) or type(error).__name__).encode("utf-8", "replace")
