"""Files and directories: made, read, written and passed on, sync and async, outside of any run."""

import asyncio
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from volant.blobs.local import LocalBlobs
from volant.io import Dir, File, HashFunction
from volant.model.errors import (
    ArgumentError,
    BlobCorruptError,
    BlobMissingError,
    NotSupportedError,
    ValueCodecError,
)
from volant.values.codec import decode, encode

pytestmark = pytest.mark.usefixtures("store")


def passed_on(value: Any, annotation: Any = Any, *, store: LocalBlobs) -> Any:
    encoded = encode(value, annotation)
    return decode(encoded.data, annotation, blobs=lambda: store)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_what_was_put_in_is_there_when_the_original_changed_and_went(original: Path, store: LocalBlobs) -> None:
    file: File[str] = File.from_local_sync(original, format="csv")
    with original.open("r+") as changing:
        changing.write("zzz")
    original.unlink()
    for each in (file, passed_on(file, File[str], store=store), passed_on([file], store=store)[0]):
        with each.open_sync("r") as opened:
            assert opened.read() == "a,b\n1,2\n"
        assert (each.name, each.format, each.size, each.exists_sync()) == ("data.csv", "csv", 8, True)
        assert each == file


def test_async_faces_do_the_same(original: Path, tmp_path: Path) -> None:
    async def use() -> None:
        file: File[str] = await File.from_local(original)
        assert await file.exists()
        async with file.open() as opened:
            assert await opened.read(2) == b"a,"
            await opened.seek(0)
            assert [line async for line in opened] == [b"a,b\n", b"1,2\n"]
            assert await opened.tell() == 8
        new: File[str] = File.new_remote("new.txt")
        async with new.open("w") as writing:
            await writing.write("über")
        assert Path(await new.download(tmp_path / "x")).read_text("utf-8") == "über"

        async def break_off() -> None:
            async with new.open("wb") as writing:
                await writing.write(b"half")
                raise RuntimeError("it broke")

        with pytest.raises(RuntimeError, match="broke"):
            await break_off()
        async with new.open("r") as opened:
            assert await opened.read() == "über"

    asyncio.run(use())


def test_what_is_written_is_seen_when_it_is_whole_and_never_before(store: LocalBlobs, tmp_path: Path) -> None:
    file: File[str] = File.new_remote("out.bin")
    with pytest.raises(BlobMissingError, match=r"File\('out.bin'.*has no content"), file.open_sync():
        pass
    with file.open_sync("wb") as writing:
        writing.write(b"x" * 1000)
        assert not file.exists_sync()
    assert file.exists_sync()

    def break_off() -> None:
        with file.open_sync("wb") as writing:
            writing.write(b"y")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    with file.open_sync() as opened:
        assert opened.read() == b"x" * 1000
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 1


def test_formats_that_seek_can_be_written_and_read() -> None:
    file: File[str] = File.new_remote("a.zip")
    with file.open_sync("wb") as writing, zipfile.ZipFile(writing, "w") as archive:
        archive.writestr("inside", "text")
    with file.open_sync() as opened, zipfile.ZipFile(opened) as archive:
        assert archive.read("inside") == b"text"


def test_a_digest_is_checked_before_anything_is_read(original: Path, tmp_path: Path) -> None:
    file: File[str] = File.from_local_sync(original)
    digest = file.path.removeprefix("blob:")
    (tmp_path / "store" / digest[:2] / digest[2:]).write_text("a,b\n1,3\n")
    with pytest.raises(BlobCorruptError, match=digest), file.open_sync():
        pass
    with pytest.raises(BlobCorruptError):
        file.download_sync(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_download_is_a_copy_that_may_be_changed(original: Path, tmp_path: Path) -> None:
    file: File[str] = File.from_local_sync(original)
    (tmp_path / "folder").mkdir()
    copy = Path(file.download_sync(tmp_path / "folder"))
    assert copy == tmp_path / "folder" / "data.csv"
    copy.write_text("changed")
    assert Path(file.download_sync()).read_text() == "a,b\n1,2\n"
    assert list((tmp_path / "folder").iterdir()) == [copy]


def test_equal_contents_have_equal_digests_and_others_do_not(original: Path, tmp_path: Path) -> None:
    same = tmp_path / "more" / "data.csv"
    same.parent.mkdir()
    same.write_bytes(original.read_bytes())
    first, second = (encode(File.from_local_sync(path), File) for path in (original, same))
    assert first.digest is not None
    assert first == second
    assert first.inline_bytes <= 1
    assert [part.blob.size for part in first.parts] == [8]
    same.write_text("a,b\n1,3\n")
    assert encode(File.from_local_sync(same), File).digest != first.digest
    assert encode(File.from_local_sync(original, name="other"), File).digest != first.digest


def test_a_hash_of_its_own_is_what_a_file_is_recognised_by(original: Path) -> None:
    digests = [
        encode(File.from_local_sync(original, hash_method=method), File).digest
        for method in ("v1", HashFunction.from_fn(lambda path: "v1"), "v2", None)
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    original.write_text("something else")
    assert encode(File.from_local_sync(original, hash_method="v1"), File).digest == digests[0]
    with pytest.raises(ArgumentError, match="returned int 3, wanted a str"):
        File.from_local_sync(original, hash_method=HashFunction.from_fn(lambda path: 3))  # type: ignore[arg-type, return-value]


def test_a_file_that_stays_where_it_is_has_no_digest_without_a_key(original: Path, store: LocalBlobs) -> None:
    for uri in (str(original), original.as_uri()):
        file: File[str] = File.from_existing_remote(uri)
        encoded = encode(file, File)
        assert encoded.digest is None
        assert encoded.pickled == ()
        with passed_on(file, store=store).open_sync("r") as opened:
            assert opened.read() == "a,b\n1,2\n"
        with pytest.raises(NotSupportedError, match="not ours to write"), file.open_sync("w"):
            pass
    assert encode(File.from_existing_remote(str(original), file_cache_key="k"), File).digest is not None
    assert not File.from_existing_remote("/not/there").exists_sync()
    with pytest.raises(NotSupportedError, match="found the scheme 's3'"):
        File.from_existing_remote("s3://bucket/key").exists_sync()


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        File.from_local_sync(tmp_path / "missing")
    with pytest.raises(NotADirectoryError, match="missing"):
        Dir.from_local_sync(tmp_path / "missing")
    with pytest.raises(ValueCodecError, match=r"value\['a'\]: found File\('x'.*never written"):
        encode({"a": File.new_remote("x")}, dict[str, File])
    with pytest.raises(ArgumentError, match="wanted File"):
        encode("data.csv", File)
    with pytest.raises(ArgumentError, match="the mode 'a', wanted"), File.new_remote().open_sync("a"):  # type: ignore[arg-type]
        pass
    with pytest.raises(ArgumentError, match="a str for a file that is not written yet"):
        File.new_remote(hash_method=HashFunction.from_fn(str))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for path in ("b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "empty").mkdir()
    (root / "loop").symlink_to(root)
    return root


def test_a_directory_keeps_its_files_by_path(tree: Path, tmp_path: Path, store: LocalBlobs) -> None:
    made: Dir[str] = Dir.from_local_sync(tree, format="txt")
    for path in sorted(tree.rglob("*.txt")):
        path.unlink()
    for folder in (made, passed_on(made, Dir[str], store=store)):
        assert folder.name == "tree"
        assert [file.name for file in folder.walk_sync()] == ["a.txt", "b.txt", "c.txt", "d.txt"]
        assert [file.name for file in folder.walk_sync(max_depth=2)] == ["a.txt", "b.txt", "c.txt"]
        assert [file.name for file in folder.list_files_sync()] == ["a.txt", "b.txt"]
        assert folder.get_file_sync("nope") is None
        found = folder.get_file_sync("sub/deep/d.txt")
        assert found is not None
        assert found.format == "txt"
        with found.open_sync("r") as opened:
            assert opened.read() == "sub/deep/d.txt"
        assert folder.exists_sync()
    copy = Path(made.download_sync(tmp_path / "copy"))
    assert sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*.txt")) == [
        "a.txt",
        "b.txt",
        "sub/c.txt",
        "sub/deep/d.txt",
    ]


def test_async_directories(tree: Path, tmp_path: Path) -> None:
    async def use() -> None:
        folder: Dir[str] = await Dir.from_local(tree)
        assert [file.name async for file in folder.walk(recursive=False)] == ["a.txt", "b.txt"]
        assert [file.name for file in await folder.list_files()] == ["a.txt", "b.txt"]
        found = await folder.get_file("sub/c.txt")
        assert found is not None
        assert await found.exists()
        assert await folder.exists()
        assert (Path(await folder.download(tmp_path / "copy")) / "sub" / "c.txt").read_text() == "sub/c.txt"

    asyncio.run(use())


def test_a_directory_is_recognised_by_the_names_and_contents_of_its_files(tree: Path) -> None:
    first = encode(Dir.from_local_sync(tree), Dir)
    assert first.digest == encode(Dir.from_local_sync(tree), Dir).digest
    assert len(first.parts) == 4
    (tree / "a.txt").rename(tree / "z.txt")
    renamed = encode(Dir.from_local_sync(tree), Dir).digest
    (tree / "z.txt").write_text("changed")
    assert len({first.digest, renamed, encode(Dir.from_local_sync(tree), Dir).digest}) == 3


def test_a_directory_that_leads_out_of_itself_is_refused(store: LocalBlobs, tmp_path: Path) -> None:
    blob = store.put(b"x")
    for path in ("../x", "/etc/x", "a/../../x"):
        encoded = encode(Dir(files={path: blob}), Dir)
        with pytest.raises(ValueCodecError, match="leads out of it"):
            decode(encoded.data, Dir, blobs=lambda: store)


def test_files_survive_pickling(original: Path) -> None:
    file: File[str] = File.from_local_sync(original)
    assert pickle.loads(pickle.dumps(file)) == file


def test_a_large_file_streams_through_little_memory(tmp_path: Path) -> None:
    program = """
        import resource, sys
        from volant.io import File
        size = 96 << 20
        with open(sys.argv[1], "wb") as out:
            out.truncate(size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        file = File.from_local_sync(sys.argv[1])
        again = File.new_remote()
        with file.open_sync() as reading, again.open_sync("wb") as writing:
            while chunk := reading.read(1 << 20):
                writing.write(chunk)
        assert again == again and again.size == size and again.path == file.path
        again.download_sync(sys.argv[1] + ".copy")
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
    """
    environ = {**os.environ, "VOLANT_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "large")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ, cwd=tmp_path)
    assert int(done.stdout) < 25, "MiB beside the 96 MiB that went through"
