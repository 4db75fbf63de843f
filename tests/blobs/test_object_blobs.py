"""The blob store in a bucket, against a server of the S3 protocol on this machine."""

import logging
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import from_url

from volant.blobs.objects import ObjectBlobs
from volant.model.errors import BlobError
from volant.model.payloads import Blob
from volant.testing.blobs import BlobsConformance, Damage
from volant.wiring.stores import open_blobs

URL = "s3://bucket/some/prefix"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
    yield address
    running.stop()


@pytest.fixture(autouse=True)
def _environment(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT": server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


class TestS3(BlobsConformance):
    @pytest.fixture
    def blobs(self, server: str, tmp_path: Path) -> ObjectBlobs:
        return ObjectBlobs(f"{URL}/{tmp_path.name}")

    @pytest.fixture
    def damage(self, server: str, tmp_path: Path) -> Damage:
        store = from_url(f"{URL}/{tmp_path.name}")

        def change(blob: Blob, data: bytes) -> None:
            obstore.put(store, f"{blob.digest[:2]}/{blob.digest[2:]}", data)

        return change


class TestMemory(BlobsConformance):
    """The same adapter on a store that lives in the process."""

    @pytest.fixture
    def blobs(self) -> ObjectBlobs:
        return ObjectBlobs("memory:///")

    @pytest.fixture
    def damage(self, blobs: ObjectBlobs) -> Damage:
        def change(blob: Blob, data: bytes) -> None:
            obstore.put(blobs._store, f"{blob.digest[:2]}/{blob.digest[2:]}", data)

        return change


def test_the_url_is_all_it_takes(tmp_path: Path) -> None:
    blob = open_blobs(f"{URL}/here").put(b"data")
    assert open_blobs(f"{URL}/here").get(blob) == b"data"
    assert not open_blobs(f"{URL}/there").has(blob)


def test_a_large_file_goes_up_in_parts_and_comes_down_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (80 << 10))
    blobs = ObjectBlobs(f"{URL}/large")
    blob = blobs.put_file(path)
    with blobs.reading(blob) as found:
        assert found.read_bytes() == path.read_bytes()
    assert not found.exists()
    assert max(map(len, blobs.chunks(blob))) < 8 << 20


def test_an_old_blob_that_is_put_again_counts_as_new(tmp_path: Path) -> None:
    store = from_url(f"{URL}/old")
    later: Callable[[], datetime] = lambda: datetime.now(UTC) + timedelta(days=2)  # noqa: E731
    blob = ObjectBlobs(f"{URL}/old").put(b"data")
    key = f"{blob.digest[:2]}/{blob.digest[2:]}"
    written: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        written.append(b"data")
        yield b"data"

    ObjectBlobs(f"{URL}/old").put_chunks(chunks(), expected=blob)
    assert written == []
    ObjectBlobs(f"{URL}/old", now=later).put_chunks(chunks(), expected=blob)
    assert written == [b"data"]
    assert obstore.head(store, key)["size"] == 4


def test_a_bucket_that_is_not_there_is_named() -> None:
    with pytest.raises(BlobError, match=r"cannot be stored in s3://nobody/x"):
        ObjectBlobs("s3://nobody/x").put(b"data")


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "AB" * 32])
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    with pytest.raises(BlobError, match="not a digest"):
        ObjectBlobs(URL).get(Blob(digest=digest, size=1))
