"""What a batch answers of the paths that are named."""

import logging
import os
from pathlib import Path

import pytest

from covid_cxr.errors import InputError
from covid_cxr.inference.entries import expand, listing


def test_what_may_not_be_looked_at_is_an_entry() -> None:
    """`Path.is_dir` raises on such a name, and on one below a folder that may not be entered."""
    too_long = "x" * 300 + ".png"
    assert [entry.file for entry in expand([too_long, "none.png"])] == [too_long, "none.png"]
    assert listing([too_long]).files == 1


def test_a_folder_that_may_not_be_listed_is_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.png").touch()
    scan = os.scandir

    def denied(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    files = [entry.file for entry in expand([tmp_path])]
    assert files == [f"{tmp_path}/closed", f"{tmp_path}/open/a.png"]


@pytest.mark.parametrize("paths", [[""], ["a.png", ""]])
def test_an_empty_path_is_not_the_working_folder(paths: list[str]) -> None:
    with pytest.raises(InputError, match="a path is empty; name a file or folder"):
        listing(paths)


def test_no_file_is_an_error_and_one_empty_folder_of_several_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty" / "nested").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no file to predict in '.*empty'"):
        listing([tmp_path / "empty"])
    with pytest.raises(InputError, match="no file to predict in nothing"):
        listing([])
    (tmp_path / "a.png").touch()
    with caplog.at_level(logging.WARNING):
        assert listing([tmp_path / "empty", tmp_path / "a.png"]).files == 1
    assert f"'{tmp_path / 'empty'}' holds no file" in caplog.text


def test_the_order_is_by_name_folder_by_folder(tmp_path: Path) -> None:
    names = ["b/2.png", "b/10.png", "a.png", "b.png", "a/z/1.png", "c/.hidden"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [os.path.relpath(entry.file, tmp_path) for entry in expand([tmp_path])]
    assert found == ["a/z/1.png", "a.png", "b/10.png", "b/2.png", "b.png", "c/.hidden"]
