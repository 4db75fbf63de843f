"""Paths on the command line become files, directories and frames."""

from pathlib import Path

import polars
import pytest

from volant.cli.values import BadText, label, parse, parse_all
from volant.io import DataFrame, Dir, File

pytestmark = pytest.mark.usefixtures("store")


def test_a_path_is_a_file_a_directory_or_a_frame(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "rows.parquet"
    polars.DataFrame({"a": [1]}).write_parquet(path)
    assert parse(str(path), File[str]).download_sync(tmp_path / "copy") == str(tmp_path / "copy")
    assert parse(str(path), File | None).name == "rows.parquet"
    assert [file.name for file in parse(str(path.parent), Dir).walk_sync()] == ["rows.parquet"]
    assert parse(str(path), DataFrame).open(polars.DataFrame).all_sync()["a"].to_list() == [1]
    assert [file.name for file in parse_all([str(path), str(path)], list[File[str]])] == ["rows.parquet"] * 2


@pytest.mark.parametrize(
    ("kind", "name"), [(File, "file"), (Dir[str], "directory"), (DataFrame, "Parquet file"), (list[File], "file ...")]
)
def test_help_and_errors_say_what_is_wanted(kind: type, name: str) -> None:
    assert label(kind) == name
    if kind != list[File]:
        with pytest.raises(BadText, match=f"'/not/there' is not a {name}: "):
            parse("/not/there", kind)
