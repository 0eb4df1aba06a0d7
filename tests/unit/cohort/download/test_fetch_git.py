"""Sets kept in git, and the catalogue: complete or not there, left alone when they are."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from covid_cxr.cohort import datasets
from covid_cxr.cohort.download.archives import address
from covid_cxr.cohort.download.catalogue import DataSet, catalogue
from covid_cxr.cohort.download.fetch import RECORD, choose, fetch
from covid_cxr.cohort.sources import locate
from covid_cxr.errors import CohortError, InputError, MissingDependency
from covid_cxr.progress import reporting

# The collection's own header, of August 2020.
HEADER = (
    "patientid,offset,sex,age,finding,survival,intubated,intubation_present,went_icu,in_icu,"
    "needed_supplemental_O2,extubated,temperature,pO2_saturation,leukocyte_count,neutrophil_count,"
    "lymphocyte_count,view,modality,date,location,folder,filename,doi,url,license,clinical_notes,"
    "other_notes,\n"
)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with the layout of mila, two commits and a link."""
    folder = tmp_path / "origin"
    (folder / "images").mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "old.txt").write_text("old")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    (folder / "old.txt").unlink()
    (folder / "metadata.csv").write_text(HEADER)
    for number in range(7):
        (folder / f"images/{number}.png").write_bytes(bytes([number]) * 1000)
    (folder / "link").symlink_to("/etc/passwd")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "two")
    return folder


@pytest.fixture
def mila(origin: Path) -> DataSet:
    return replace(catalogue()["mila"], where=origin.as_uri(), gigabytes=0)


def test_a_repository_is_fetched_at_its_newest_commit(
    mila: DataSet, origin: Path, tmp_path: Path
) -> None:
    found = fetch(mila, tmp_path / "data")
    commit = git(origin, "rev-parse", "HEAD")
    assert found == (tmp_path / "data/covid-chestxray-dataset", commit, True)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["covid-chestxray-dataset"]
    for number in range(7):
        path = found.folder / f"images/{number}.png"
        assert path.read_bytes() == bytes([number]) * 1000
    assert not (found.folder / "old.txt").exists()
    assert not (found.folder / "link").is_symlink()
    record = json.loads((found.folder / RECORD).read_text())
    assert (record["url"], record["commit"]) == (origin.as_uri(), commit)
    assert record["files"] == 9  # seven images, the table, the link as a file
    assert record["cite"].startswith("Cohen")
    assert locate(tmp_path / "data", {})["mila"].root == found.folder


def test_an_interrupted_fetch_leaves_no_set_and_begins_anew(mila: DataSet, tmp_path: Path) -> None:
    recorded: list[tuple[str, int, int]] = []

    def stop(*step: Any) -> None:
        raise KeyboardInterrupt

    data = tmp_path / "data"
    with pytest.raises(KeyboardInterrupt), reporting(stop):
        fetch(mila, data)
    assert not (data / mila.folder).exists()
    # As if the computer had gone off while git lays out the files: half a set is no set.
    half = data / f"{mila.folder}.part" / "tree"
    (half / "images").mkdir(parents=True, exist_ok=True)
    (half / "metadata.csv").write_text(HEADER + "half a li")
    with pytest.raises(CohortError, match="nor holds a data set"):
        locate(data, {})
    with reporting(lambda *step: recorded.append(step)):
        found = fetch(mila, data)
    assert (found.folder / "metadata.csv").read_text() == HEADER
    assert recorded[-1] == ("receiving objects (%)", 100, 100)
    assert [p.name for p in data.iterdir()] == [mila.folder]


def test_a_server_that_is_away_is_said_in_a_line(
    mila: DataSet, origin: Path, tmp_path: Path
) -> None:
    away = origin.rename(origin.with_name("away"))
    message = r"git clone failed .*: fatal: .* repeat the command"
    with pytest.raises(CohortError, match=message) as caught:
        fetch(mila, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "data").iterdir()) == []
    away.rename(origin)
    assert fetch(mila, tmp_path / "data").new


def test_what_a_killed_git_leaves_does_not_block(mila: DataSet, tmp_path: Path) -> None:
    tree = tmp_path / f"{mila.folder}.part" / "tree"
    tree.mkdir(parents=True)
    git(tree, "init", "--quiet")
    for name in ("index.lock", "shallow.lock", "config.lock"):
        (tree / ".git" / name).touch()
    assert fetch(mila, tmp_path).new


def test_a_clone_that_is_there_is_verified_and_left_alone(
    mila: DataSet, origin: Path, tmp_path: Path
) -> None:
    first = fetch(mila, tmp_path)
    shutil.rmtree(origin)  # nothing is asked of the server
    assert fetch(mila, tmp_path) == first._replace(new=False)
    (first.folder / "own-masks.png").touch()
    assert not fetch(mila, tmp_path).new
    (first.folder / "images/3.png").write_bytes(b"edited")
    (first.folder / "images/4.png").unlink()
    with pytest.raises(CohortError, match=r"2 files of .*first 'images/3\.png'"):
        fetch(mila, tmp_path)


def test_a_folder_that_came_from_elsewhere_is_not_touched(
    mila: DataSet, origin: Path, tmp_path: Path
) -> None:
    # Inside a repository of somebody else, which git would find when it looks upwards.
    (origin / mila.folder).mkdir()
    with pytest.raises(CohortError, match="was not fetched with git"):
        fetch(mila, origin)
    assert list((origin / mila.folder).iterdir()) == []


def test_a_full_disk_is_said_before_git_is_asked(
    mila: DataSet, tmp_path: Path, free_disk: Callable[[int], None]
) -> None:
    free_disk(1_399_999_999)  # 0.7 GB, and the copy that git keeps
    with pytest.raises(InputError, match=r"needs 1\.4 GB, .* has 1\.4 GB free"):
        fetch(replace(mila, gigabytes=0.7), tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


def test_without_git_the_remedy_is_named(
    mila: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="install it"):
        fetch(mila, tmp_path)


def test_git_never_asks_and_does_not_look_elsewhere(
    mila: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\nenv > '{tmp_path}/env'\necho 'fatal: no such thing' >&2\nexit 9\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GIT_DIR", "/somewhere")
    with pytest.raises(CohortError, match=r"git clone failed in .*: fatal: no such thing; check"):
        fetch(mila, tmp_path)
    given = (tmp_path / "env").read_text().splitlines()
    assert "GIT_TERMINAL_PROMPT=0" in given
    assert not [line for line in given if line.startswith("GIT_DIR=")]


# The catalogue


def test_the_catalogue_is_complete() -> None:
    assert len({chosen.folder for chosen in catalogue().values()}) == len(catalogue())
    for name, chosen in catalogue().items():
        assert address(chosen.where) == chosen.where
        assert chosen.license, name
        assert chosen.cite, name
        assert chosen.gigabytes > 0, name
        assert choose(name) == chosen
        if chosen.access == "steps":
            assert f"{{data}}/{chosen.folder}/" in chosen.steps[-1]
        else:
            assert chosen.access == "git"
            assert chosen.where.endswith("/" + chosen.folder)
    assert "paediatric" in catalogue()["kaggle-covid19"].note
    assert set(catalogue()) <= set(datasets.DATASETS)  # each has an adapter of the same name


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("nih", {"Data_Entry_2017_v2020.csv": "Image Index\n", "images_001/images/1.png": ""}),
        (
            "rsna",
            {
                "stage_2_train_labels.csv": "patientId,x,y,width,height,Target\n",
                "stage_2_detailed_class_info.csv": "patientId,class\n",
                "stage_2_train_images/1.dcm": "",
            },
        ),
        (
            "kaggle-covid19",
            {f"train/{label}/1.jpg": "" for label in ("Covid", "Normal", "Viral Pneumonia")},
        ),
    ],
)
def test_the_layout_that_the_steps_lead_to_is_recognised(
    tmp_path: Path, name: str, layout: dict[str, str]
) -> None:
    for file, content in layout.items():
        path = tmp_path / catalogue()[name].folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    found = locate(tmp_path, {})
    assert {key: source.root.name for key, source in found.items()} == {
        name: catalogue()[name].folder
    }
