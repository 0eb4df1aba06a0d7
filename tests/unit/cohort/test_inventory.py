"""Files are read once, in several processes, and none can stop the rest."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr.cohort import inventory
from covid_cxr.cohort.inventory import CRASHED, File, Inventory, examine, fingerprints
from covid_cxr.errors import CohortError
from covid_cxr.progress import reporting


def picture(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 36), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def crash(path: Path, max_pixels: int) -> File:
    """Stands for a decoder that crashes on some files."""
    if "crash" in path.name:
        os._exit(11)
    return examine(path, max_pixels)


def crash_all(paths: list[Path], max_pixels: int) -> list[File]:
    return [crash(path, max_pixels) for path in paths]


def test_one_answer_a_path_in_order(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    paths = [picture(tmp_path / "b.png", 1), tmp_path / "gone.png", tmp_path / "text.png", tmp_path]
    found = Inventory().take(paths)
    assert [(file.width, file.height) for file in found] == [(36, 40), (0, 0), (0, 0), (0, 0)]
    assert found[0].reason == ""
    assert found[1].reason == "file missing"
    assert found[3].reason == "unreadable: no regular file"
    assert found[2].reason == "unreadable: is no image of a known format"
    assert len(found[2].sha256) == 64
    assert fingerprints(found[:1]).shape == (1, 64, 64)


def test_what_is_known_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [picture(tmp_path / f"{number}.png", number) for number in range(5)]
    database = tmp_path / "out" / "files.sqlite"
    recorded: list[tuple[int, int]] = []

    def count(description: str, done: int, total: int) -> None:
        recorded.append((done, total))

    with reporting(count):
        first = Inventory(database).take(paths[:4])
    assert recorded == [(1, 4), (2, 4), (3, 4), (4, 4)]
    read: list[Path] = []
    monkeypatch.setattr(
        inventory, "examine", lambda path, most: read.append(path) or examine(path, most)
    )
    os.utime(picture(paths[2], 99), (1, 1))
    with reporting(count):
        again = Inventory(database).take(paths)
    assert read == [paths[2], paths[4]]
    assert recorded[4:] == [(4, 5), (5, 5)]
    assert again[:2] == first[:2]
    assert again[2] != first[2]


def test_interrupted_work_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [picture(tmp_path / f"{number}.png", number) for number in range(6)]

    def stop(description: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    database = tmp_path / "files.sqlite"
    with pytest.raises(KeyboardInterrupt), reporting(stop):
        Inventory(database).take(paths)
    read: list[Path] = []
    monkeypatch.setattr(
        inventory, "examine", lambda path, most: read.append(path) or examine(path, most)
    )
    Inventory(database).take(paths)
    assert read == paths[4:]


def test_another_limit_reads_anew(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1)
    database = tmp_path / "files.sqlite"
    assert Inventory(database).take([path])[0].reason == ""
    rejected = Inventory(database, max_pixels=1024).take([path])[0]
    assert rejected.reason == "unreadable: has 36 x 40 pixels, the limit is 1024 in all"


def test_foreign_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "files.sqlite").write_text("no database, and longer than its header would be" * 9)
    with pytest.raises(CohortError, match=r"files\.sqlite' is not a list of files .* delete it"):
        Inventory(tmp_path / "files.sqlite")


def test_names_and_folders_that_the_system_denies_are_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = picture(tmp_path / "a.png", 1)
    paths = [tmp_path / ("x" * 300), tmp_path / "a\0b", whole / "below", whole]
    reasons = [file.reason for file in Inventory(tmp_path / "files.sqlite").take(paths)]
    assert reasons == [
        "unreadable: File name too long",
        "unreadable: embedded null byte",
        "file missing",
        "",
    ]

    def deny(path: Path, **_: bool) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", deny)  # a root user is denied nothing
    assert examine(whole).reason == "unreadable: Permission denied"


def test_a_database_that_may_not_be_written_is_not_to_be_deleted(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"cannot be written \(unable to open .* another --out"):
        Inventory(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(CohortError, match=r"cannot be written \(.*File exists"):
        Inventory(tmp_path / "file" / "files.sqlite")
    database = tmp_path / "files.sqlite"
    inventory_ = Inventory(database)
    inventory_._rows.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(database)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CohortError, match=r"locked.*no other build in it"):
        inventory_.take([picture(tmp_path / "a.png", 1)])
    other.close()
    assert inventory_.take([tmp_path / "a.png"])[0].reason == ""


KILLED = """
import os, signal, sys
from pathlib import Path
from covid_cxr.cohort import inventory
from covid_cxr.progress import reporting
inventory._SAVED = 4
paths = sorted(Path(sys.argv[1]).glob("*.png"))
stop = lambda description, done, total: done == 11 and os.kill(os.getpid(), signal.SIGKILL)
with reporting(stop):
    inventory.Inventory(Path(sys.argv[1]) / "files.sqlite").take(paths)
"""


def test_a_build_that_is_killed_loses_the_last_few_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{number:02}.png", number) for number in range(14)]
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    read: list[Path] = []
    monkeypatch.setattr(
        inventory, "examine", lambda path, most: read.append(path) or examine(path, most)
    )
    files = Inventory(tmp_path / "files.sqlite").take(paths)
    assert read == paths[8:]
    assert [file.reason for file in files] == [""] * 14


def test_name_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    picture(path, 1)
    database = tmp_path / "files.sqlite"
    assert Inventory(database).take([path]) == Inventory(database).take([path])


def test_processes_answer_as_one_does_and_a_crash_costs_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{number:02}.png", number) for number in range(3)]
    paths.insert(2, picture(tmp_path / "crash.png", 1))
    expected = Inventory().take(paths)
    monkeypatch.setattr(inventory, "_WORTH", 1)
    assert Inventory().take(paths, processes=2) == expected
    monkeypatch.setattr(inventory, "_CHUNK", 2)
    monkeypatch.setattr(inventory, "_examine_all", crash_all)
    found = Inventory().take(paths, processes=2)
    assert found[2].reason == CRASHED
    assert found[:2] + found[3:] == expected[:2] + expected[3:]
