"""Archives as sets: complete or not there, verified when they are, left alone ever after."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from covid_cxr.cohort.download.fetch import RECORD, choose, fetch
from covid_cxr.errors import CohortError, InputError, UnknownName
from support.file_server import Site

FreeDisk = Callable[[int], None]


def compressed(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def archived(site: Site) -> Site:
    site.content = compressed({"top/metadata.csv": b"a\n", "top/images/1.png": b"png"})
    return site


def test_a_set_at_an_address_appears_whole_with_its_record(archived: Site, tmp_path: Path) -> None:
    archived.drops = [50]
    digest = hashlib.sha256(archived.content).hexdigest()
    found = fetch(choose(archived.url + "?token=secret"), tmp_path / "data", digest)
    assert found == (tmp_path / "data/set", digest, True)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["set"]
    assert names(found.folder) == [RECORD, "images/1.png", "metadata.csv"]
    record = json.loads((found.folder / RECORD).read_text())
    assert (record["url"], record["sha256"]) == (archived.url, digest)
    assert (record["files"], record["bytes"]) == (2, 5)  # "a\n" and "png"


def test_a_set_that_is_there_is_verified_and_left_alone(archived: Site, tmp_path: Path) -> None:
    chosen = choose(archived.url)
    first = fetch(chosen, tmp_path)
    archived.statuses = [500]
    assert fetch(chosen, tmp_path) == first._replace(new=False)
    with pytest.raises(CohortError, match="is there, from"):
        fetch(chosen, tmp_path, "0" * 64)
    with pytest.raises(CohortError, match="is there, from"):
        fetch(choose("https://hospital.example/set.zip"), tmp_path)
    (first.folder / "images/1.png").unlink()
    with pytest.raises(CohortError, match="holds 1 files, not the 2"):
        fetch(chosen, tmp_path)
    (first.folder / RECORD).unlink()
    with pytest.raises(CohortError, match="was not fetched"):
        fetch(chosen, tmp_path)


def test_what_cannot_be_unpacked_leaves_no_set_and_is_fetched_anew(
    archived: Site, tmp_path: Path
) -> None:
    whole, archived.content = archived.content, b"<html>please sign in</html>"
    with pytest.raises(CohortError, match="neither a zip nor a tar"):
        fetch(choose(archived.url), tmp_path)
    assert not (tmp_path / "set").exists()
    archived.content = whole
    assert fetch(choose(archived.url), tmp_path).new


def test_a_disk_too_small_to_unpack_does_not_cost_the_download(
    archived: Site, tmp_path: Path, free_disk: FreeDisk
) -> None:
    archived.content = compressed({"1.png": bytes(100_000)})
    free_disk(99_999)
    with pytest.raises(InputError, match="unpacking the archive needs"):
        fetch(choose(archived.url), tmp_path)
    free_disk(10**9)
    assert fetch(choose(archived.url), tmp_path).new
    assert archived.requests == 1


def test_an_unpacking_that_was_stopped_is_done_again(archived: Site, tmp_path: Path) -> None:
    (tmp_path / "set.part/tree/half").mkdir(parents=True)
    (tmp_path / "set.part/tree/half/1.png").write_bytes(b"hal")
    found = fetch(choose(archived.url), tmp_path)
    assert names(found.folder) == [RECORD, "images/1.png", "metadata.csv"]


def test_names_addresses_and_checksums_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'mila'"):
        choose("milla")
    for folder in ("..", "a/b", ".hidden", "C:"):
        with pytest.raises(InputError, match="no name for a folder"):
            choose("mila", folder)
    with pytest.raises(InputError, match="no name for a folder"):
        choose("https://hospital.example/.zip")
    assert choose("https://hospital.example/get", "images").folder == "images"
    assert choose("https://hospital.example/images.2020.tar.gz").folder == "images.2020"
    for chosen, sha256 in ((choose("mila"), "0" * 64), (choose("https://a.b/c.zip"), "0" * 63)):
        with pytest.raises(InputError, match="64 hexadecimal digits"):
            fetch(chosen, tmp_path, sha256)
    assert not list(tmp_path.iterdir())
