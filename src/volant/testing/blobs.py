"""What every blob store keeps: the laws of `volant.ports.blobs.Blobs` as tests.

An adapter's test is a subclass with two fixtures::

    class TestLocal(BlobsConformance):
        @pytest.fixture
        def blobs(self, tmp_path): return LocalBlobs(tmp_path)

        @pytest.fixture
        def damage(self, tmp_path): ...  # a function that changes stored bytes behind the store's back
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from volant.model.errors import BlobCorruptError, BlobMissingError
from volant.model.payloads import Blob
from volant.ports.blobs import Blobs

Damage = Callable[[Blob, bytes], None]


class BlobsConformance:
    """Subclass it and give the fixtures `blobs` and `damage`."""

    @pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 100_000, bytes(range(256)) * 4096])
    def test_what_was_put_comes_back(self, blobs: Blobs, data: bytes) -> None:
        blob = blobs.put(data)
        assert blobs.get(blob) == data
        assert blob.size == len(data)

    def test_a_blob_is_named_by_its_content(self, blobs: Blobs) -> None:
        blob = blobs.put(b"content")
        assert blob.digest == hashlib.blake2b(b"content", digest_size=32).hexdigest()

    def test_putting_twice_is_one_blob(self, blobs: Blobs) -> None:
        assert blobs.put(b"twice") == blobs.put(b"twice")
        assert blobs.get(blobs.put(b"twice")) == b"twice"

    def test_different_bytes_are_different_blobs(self, blobs: Blobs) -> None:
        assert blobs.put(b"a") != blobs.put(b"b")

    def test_an_unknown_blob_is_missing(self, blobs: Blobs) -> None:
        unknown = Blob(digest="ab" * 32, size=3)
        assert not blobs.has(unknown)
        with pytest.raises(BlobMissingError, match="abab"):
            blobs.get(unknown)

    def test_a_blob_that_was_put_is_there(self, blobs: Blobs) -> None:
        assert blobs.has(blobs.put(b"there"))

    def test_changed_bytes_are_corrupt(self, blobs: Blobs, damage: Damage) -> None:
        blob = blobs.put(b"original")
        damage(blob, b"tampered")
        with pytest.raises(BlobCorruptError, match=blob.digest):
            blobs.get(blob)

    def test_a_truncated_blob_is_not_there_and_can_be_put_again(self, blobs: Blobs, damage: Damage) -> None:
        blob = blobs.put(b"original")
        damage(blob, b"orig")
        assert not blobs.has(blob)
        with pytest.raises(BlobCorruptError):
            blobs.get(blob)
        assert blobs.put(b"original") == blob
        assert blobs.get(blob) == b"original"

    @pytest.mark.parametrize("pieces", [[], [b"", b"a"], [b"ab", memoryview(b"cd")], [b"x" * 700_000] * 5])
    def test_chunks_are_one_blob_and_come_back_in_chunks(self, blobs: Blobs, pieces: list[bytes | memoryview]) -> None:
        whole = b"".join(pieces)
        blob = blobs.put_chunks(iter(pieces))
        assert blob == blobs.put(whole)
        assert b"".join(blobs.chunks(blob)) == whole == blobs.get(blob)
        assert max(map(len, blobs.chunks(blob)), default=0) < 3_000_000

    @pytest.mark.parametrize("size", [0, 3, 3_000_000])
    def test_a_file_is_stored_and_stays_when_it_changes(self, blobs: Blobs, tmp_path: Path, size: int) -> None:
        path = tmp_path / "original"
        path.write_bytes(b"x" * size)
        blob = blobs.put_file(path)
        assert blob == blobs.put(b"x" * size)
        with path.open("r+b") as file:
            file.write(b"changed")
        path.unlink()
        with blobs.reading(blob) as found:
            assert found.read_bytes() == b"x" * size

    def test_a_file_of_a_changed_blob_is_not_given(self, blobs: Blobs, damage: Damage) -> None:
        blob = blobs.put(b"x" * 3_000_000)
        damage(blob, b"y" * 3_000_000)
        with pytest.raises(BlobCorruptError, match=blob.digest), blobs.reading(blob):
            pass
        with pytest.raises(BlobMissingError), blobs.reading(Blob(digest="ab" * 32, size=3)):
            pass

    def test_chunks_of_a_blob_that_is_there_are_not_asked_for(self, blobs: Blobs) -> None:
        def asked() -> Iterator[bytes]:
            raise AssertionError
            yield b""

        blob = blobs.put(b"known")
        assert blobs.put_chunks(asked(), expected=blob) == blob

    def test_chunks_other_than_expected_are_an_error_and_the_expected_blob_is_not_there(self, blobs: Blobs) -> None:
        expected = Blob(digest=hashlib.blake2b(b"one", digest_size=32).hexdigest(), size=3)
        with pytest.raises(BlobCorruptError, match=expected.digest):
            blobs.put_chunks([b"two"], expected=expected)
        assert not blobs.has(expected)

    def test_chunks_of_changed_bytes_end_in_an_error(self, blobs: Blobs, damage: Damage) -> None:
        blob = blobs.put(b"x" * 3_000_000)
        damage(blob, b"x" * 2_999_999 + b"y")
        with pytest.raises(BlobCorruptError, match=blob.digest):
            list(blobs.chunks(blob))
        with pytest.raises(BlobMissingError):
            list(blobs.chunks(Blob(digest="ab" * 32, size=3)))

    def test_chunks_that_fail_leave_nothing(self, blobs: Blobs) -> None:
        def failing() -> Iterator[bytes]:
            yield b"half"
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError, match="the source broke"):
            blobs.put_chunks(failing())
        assert not blobs.has(Blob(digest=hashlib.blake2b(b"half", digest_size=32).hexdigest(), size=4))

    def test_parallel_writers_of_one_blob_agree(self, blobs: Blobs) -> None:
        data = b"shared" * 50_000
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(blobs.put, [data] * 32))
        assert len(found) == 1
        assert blobs.get(found.pop()) == data

    def test_a_reader_beside_writers_sees_whole_blobs_only(self, blobs: Blobs) -> None:
        contents = [bytes([number]) * 200_000 for number in range(16)]
        names = [Blob(digest=hashlib.blake2b(data, digest_size=32).hexdigest(), size=len(data)) for data in contents]
        with ThreadPoolExecutor(4) as pool:
            writes = [pool.submit(blobs.put, data) for data in contents]
            while not all(write.done() for write in writes):
                for blob, data in zip(names, contents, strict=True):
                    if blobs.has(blob):
                        assert blobs.get(blob) == data
        assert all(blobs.has(write.result()) for write in writes)
