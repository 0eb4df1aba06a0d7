"""Archives from elsewhere: unpacked where they may be, refused where they are not to be trusted."""

import io
import stat
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from covid_cxr.cohort.download.unpack import unpack
from covid_cxr.errors import CohortError, InputError

Made = Callable[..., Path]


@pytest.fixture
def zipped(tmp_path: Path) -> Made:
    def make(**files: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return tmp_path / "set.zip"

    return make


@pytest.fixture
def tarred(tmp_path: Path) -> Made:
    def make(*members: tuple[str, bytes, str], mode: str = "w:gz") -> Path:
        with tarfile.open(tmp_path / "set.tar", mode) as archive:  # type: ignore[call-overload]
            for name, kind, link in members:
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.size = (
                    kind,
                    link,
                    3 if kind == tarfile.REGTYPE else 0,
                )
                archive.addfile(info, io.BytesIO(b"abc"))
        return tmp_path / "set.tar"

    return make


def disk_with(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**12, 0, free))


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_zip_is_unpacked(zipped: Made, tmp_path: Path) -> None:
    unpack(zipped(**{"metadata.csv": b"a\n", "images/1.png": b"png"}), tmp_path / "out")
    assert names(tmp_path / "out") == ["images/1.png", "metadata.csv"]
    assert (tmp_path / "out/images/1.png").read_bytes() == b"png"


def test_the_one_folder_of_an_archive_is_not_repeated(zipped: Made, tmp_path: Path) -> None:
    files = {"set-main/metadata.csv": b"a", "set-main/images/1.png": b"b", "__MACOSX/._1": b"c"}
    unpack(zipped(**files), tmp_path / "out")
    assert names(tmp_path / "out") == ["images/1.png", "metadata.csv"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked(tarred: Made, tmp_path: Path, mode: str) -> None:
    members = [("a/b.png", tarfile.REGTYPE, ""), ("c.csv", tarfile.REGTYPE, "")]
    unpack(tarred(*members, mode=mode), tmp_path / "out")
    assert names(tmp_path / "out") == ["a/b.png", "c.csv"]


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/evil.png", "..\\evil.png", "C:\\evil.png"]
)
def test_a_path_that_leads_outside_is_refused(
    zipped: Made, tarred: Made, tmp_path: Path, name: str
) -> None:
    archives = [zipped(**{"good.png": b"x", name: b"x"}), tarred((name, tarfile.REGTYPE, ""))]
    for archive in archives:
        with pytest.raises(CohortError, match=r"is refused: .* leads outside"):
            unpack(archive, tmp_path / "out")
    assert names(tmp_path) == ["set.tar", "set.zip"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tarred: Made, tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(CohortError, match="'x' is a link or device"):
        unpack(tarred(("good", tarfile.REGTYPE, ""), ("x", kind, "/etc/passwd")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("x")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(CohortError, match="'x' is a link or device"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_an_encrypted_zip_is_refused(zipped: Made, tmp_path: Path) -> None:
    data = bytearray(zipped(x=b"abc").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(CohortError, match="'x' is encrypted"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_an_archive_too_large_for_the_disk_is_refused(
    zipped: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zipped(a=bytes(600_000), b=bytes(600_000))
    assert bomb.stat().st_size < 3000
    disk_with(monkeypatch, 1_199_999)
    with pytest.raises(InputError, match="unpacking the archive needs"):
        unpack(bomb, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_empty_and_other_files_are_named(
    zipped: Made, tarred: Made, tmp_path: Path
) -> None:
    whole = zipped(a=bytes(range(256))).read_bytes()
    place = whole.index(bytes(range(100, 120)))
    (tmp_path / "set.zip").write_bytes(whole[:place] + b"?" + whole[place + 1 :])
    with pytest.raises(CohortError, match=r"damaged .*CRC"):
        unpack(tmp_path / "set.zip", tmp_path / "out")
    torn = tarred(*[(f"{n}", tarfile.REGTYPE, "") for n in range(99)])
    torn.write_bytes(torn.read_bytes()[:-40])
    with pytest.raises(CohortError, match="damaged"):
        unpack(torn, tmp_path / "out2")
    with pytest.raises(CohortError, match="holds no files"):
        unpack(zipped(), tmp_path / "out3")
    (tmp_path / "page").write_text("<html>please sign in</html>")
    with pytest.raises(CohortError, match="neither a zip nor a tar"):
        unpack(tmp_path / "page", tmp_path / "out4")
