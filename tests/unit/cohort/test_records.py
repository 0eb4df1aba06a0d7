"""Tables that pandas would shorten without a word, and folders that cannot be listed."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covid_cxr.cohort.records import pictures_below
from covid_cxr.cohort.tables import read_table
from covid_cxr.errors import CohortError


def table(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "lines",
    [
        ("a,b", "1,2,3", "4,5"),  # pandas takes the width of the first row and drops the rest
        ("a,b", "1,2,", "4,5,6"),
        ("a,b", "", "1,2,3"),
    ],
)
def test_a_comma_without_quotes_is_an_error(tmp_path: Path, lines: tuple[str, ...]):
    with pytest.raises(CohortError, match=r"a row of 3 cells under 2 columns, '.*'; put cells"):
        read_table(table(tmp_path, *lines), ("a",))


def test_a_longer_row_further_down_is_an_error(tmp_path: Path):
    with pytest.raises(CohortError, match=r"table\.csv"):
        read_table(table(tmp_path, "a,b", "1,2", "4,5,6"), ("a",))


def test_empty_cells_at_the_end_of_rows_are_none(tmp_path: Path):
    found = read_table(table(tmp_path, "a,b", "1,2,", '"3,4",5,'), ("a", "b"))
    assert found.to_numpy().tolist() == [["1", "2"], ["3,4", "5"]]


def test_a_column_that_occurs_twice_is_an_error(tmp_path: Path):
    with pytest.raises(CohortError, match="has the column 'a' twice; rename or remove one"):
        read_table(table(tmp_path, "a,b,a", "1,2,3"), ("a",))
    assert len(read_table(table(tmp_path, "a,b,,", "1,2,,"), ("a",))) == 1


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.png", "sub/b.png", "sub/.hidden", "shut/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "nowhere").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def denying(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Deny access as the system does; a root user, who may run the tests, is denied nothing."""

    def deny(path: Any, *arguments: Any, **options: Any) -> Any:
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return call(path, *arguments, **options)

    return deny


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in pictures_below(folder)]


def test_every_regular_file_that_is_not_hidden(tree: Path):
    assert names(tree) == ["a.png", "shut/c.png", "sub/b.png"]
    assert pictures_below(tree / "gone") == []


def test_a_folder_that_cannot_be_listed_is_a_warning(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(os, "scandir", denying(os.scandir, "shut"))
    with caplog.at_level(logging.WARNING):
        assert names(tree) == ["a.png", "sub/b.png"]
    assert len(caplog.messages) == 1
    assert "shut' cannot be listed (Permission denied)" in caplog.text


def test_a_file_that_cannot_be_looked_at_is_kept(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "stat", denying(Path.stat, "c.png"))
    assert names(tree) == ["a.png", "shut/c.png", "sub/b.png"]
