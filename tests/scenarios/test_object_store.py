"""Runs whose large values are in a bucket: `VOLANT_BLOBS=s3://bucket/prefix` is all it takes."""

import json
import logging
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.scenarios.conftest import User, result


@pytest.fixture
def address() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
    yield address
    running.stop()


def test_arrays_and_files_of_isolated_runs_are_in_the_bucket(new_user: Callable[..., User], address: str) -> None:
    user = new_user(
        VOLANT_BLOBS="s3://bucket/prefix",
        AWS_ENDPOINT=address,
        AWS_ALLOW_HTTP="true",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_REGION="us-east-1",
    )
    script = """
        import json
        import numpy
        import volant
        from volant.io import File

        env = volant.TaskEnvironment(name="bucket")

        @env.task
        async def double(numbers: numpy.ndarray, file: File[str]) -> tuple[numpy.ndarray, File[str]]:
            async with file.open("r") as opened:
                text = await opened.read()
            new: File[str] = File.new_remote("new.txt")
            async with new.open("w") as writing:
                await writing.write(text * 2)
            return numbers * 2, new

        @env.task
        async def main() -> File[str]:
            first: File[str] = File.new_remote("first.txt")
            async with first.open("w") as writing:
                await writing.write("abc")
            numbers, file = await double(numpy.arange(50_000), first)
            assert int(numbers.sum()) == 49_999 * 50_000
            return file

        if __name__ == "__main__":
            file = volant.run(main).outputs()[0]
            with file.open_sync("r") as opened:
                print(json.dumps(opened.read()))
    """
    assert result(user.python(script)) == "abcabc"
    assert not (user.home / "blobs").exists()
    run = json.loads(user.volant("get", "runs", "-o", "json").stdout)[0]["run"]
    assert "File 'new.txt', 6 B" in user.volant("get", "io", run).stdout
