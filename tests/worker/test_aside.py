"""Work in a child leaves its result, or what went wrong, and nothing else."""

import os

import pytest

from volant.model.errors import BlobError
from volant.worker.aside import in_child


def test_the_bytes_arrive_from_another_process() -> None:
    data = in_child(lambda: str(os.getpid()).encode() + b"x" * 3_000_000)
    assert data.rstrip(b"x") != str(os.getpid()).encode()
    assert len(data) > 3_000_000


def test_what_goes_wrong_there_is_raised_here() -> None:
    with pytest.raises(BlobError, match="by zero"):
        in_child(lambda: bytes(1 // 0))
    with pytest.raises(BlobError, match="without a word"):
        in_child(lambda: os._exit(3))  # type: ignore[func-returns-value, arg-type, return-value]
