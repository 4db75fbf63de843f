"""The folder keeps the laws of every blob store, and some of its own."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from volant.blobs.local import LocalBlobs
from volant.model.errors import BlobError
from volant.model.payloads import Blob
from volant.testing.blobs import BlobsConformance, Damage


def stored(folder: Path, blob: Blob) -> Path:
    return folder / blob.digest[:2] / blob.digest[2:]


class TestLocalBlobs(BlobsConformance):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path / "blobs")

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Damage:
        def change(blob: Blob, data: bytes) -> None:
            stored(tmp_path / "blobs", blob).write_bytes(data)

        return change

    def test_nothing_but_blobs_is_left_in_the_folder(self, blobs: LocalBlobs, tmp_path: Path) -> None:
        blob = blobs.put(b"data")
        files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        assert files == [stored(tmp_path / "blobs", blob)]

    @pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux has files without a name")
    def test_who_is_killed_while_it_writes_leaves_nothing(self, tmp_path: Path) -> None:
        program = (
            "import os, sys, pathlib; from volant.blobs.local import LocalBlobs\n"
            "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
            "LocalBlobs(pathlib.Path(sys.argv[1])).put(b'data')"
        )
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "blobs")], check=False)
        assert done.returncode == -9
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []

    def test_without_files_that_have_no_name_a_draft_is_renamed(
        self, blobs: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("volant.blobs.local._open_unnamed", lambda _root: None)
        blob = blobs.put(b"data")
        assert blobs.get(blob) == b"data"
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [
            stored(tmp_path / "blobs", blob)
        ]

    def test_where_a_file_without_a_name_cannot_get_one_it_is_written_again(
        self, blobs: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_arguments: object, **_named: object) -> None:
            raise OSError(errno.ENOENT, "no /proc")

        monkeypatch.setattr("volant.blobs.local.os.link", refused)
        blob = blobs.put(b"data")
        assert blobs.get(blob) == b"data"
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [
            stored(tmp_path / "blobs", blob)
        ]

    def test_a_blob_that_was_cut_off_is_written_again(self, blobs: LocalBlobs, damage: Damage) -> None:
        blob = blobs.put(b"data")
        damage(blob, b"da")
        assert blobs.put(b"data") == blob
        assert blobs.get(blob) == b"data"

    def test_a_write_that_fails_leaves_no_draft(self, blobs: LocalBlobs, tmp_path: Path, monkeypatch) -> None:
        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("volant.blobs.local.os.fsync", full)
        with pytest.raises(BlobError, match="4 bytes cannot be stored"):
            blobs.put(b"data")
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("digest", ["../../etc/passwd", "", "AB" * 32, "ab" * 31, "é" * 64])
    def test_a_digest_that_is_none_is_refused(self, blobs: LocalBlobs, digest: str) -> None:
        with pytest.raises(BlobError, match="not a digest"):
            blobs.get(Blob(digest=digest, size=1))
