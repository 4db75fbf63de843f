"""What every blob store keeps: the laws of `volant.ports.blobs.Blobs` as tests.

An adapter's test is a subclass with two fixtures::

    class TestLocal(BlobsConformance):
        @pytest.fixture
        def blobs(self, tmp_path): return LocalBlobs(tmp_path)

        @pytest.fixture
        def damage(self, tmp_path): ...  # a function that changes stored bytes behind the store's back
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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
