"""Archives from elsewhere: downloaded whole or not at all, unpacked only where that is safe."""

import hashlib
import io
import socket
import ssl
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from covid_cxr.cohort.download.archives import address, download, unpack
from covid_cxr.errors import CohortError, InputError
from covid_cxr.progress import reporting
from support.file_server import CONTENT, DIGEST, Site

FreeDisk = Callable[[int], None]

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


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# One file over HTTP


def test_a_file_arrives_whole_with_progress(site: Site, tmp_path: Path) -> None:
    site.content = bytes(3_000_000)
    recorded: list[tuple[str, int, int]] = []
    with reporting(lambda *step: recorded.append(step)):
        archive, digest = download(site.url, tmp_path)
    assert digest == hashlib.sha256(bytes(3_000_000)).hexdigest()
    assert archive.read_bytes() == bytes(3_000_000)
    assert recorded[-1] == ("127.0.0.1 (MB)", 3, 3)
    assert [done for _, done, _ in recorded[:3]] == [1, 2, 3]  # of 2**20 bytes: 1.05, 2.10, 3.00


@pytest.mark.parametrize("cut", [1000, 1001])  # closed early, and reset
def test_a_dropped_connection_is_tried_again(
    site: Site, tmp_path: Path, waits: list[float], cut: int
) -> None:
    site.drops = [cut, cut + 2]
    archive, digest = download(site.url, tmp_path)
    assert (archive.read_bytes(), digest) == (CONTENT, DIGEST)
    assert waits == [1, 2]  # each longer


@pytest.mark.parametrize("cut", [1000, 1001])
def test_a_server_that_never_sends_all_is_given_up_and_leaves_nothing(
    site: Site, tmp_path: Path, cut: int
) -> None:
    site.drops = [cut] * 99
    with pytest.raises(CohortError, match=r"set\.zip': .*check the network .* repeat") as caught:
        download(site.url, tmp_path)
    assert "\n" not in str(caught.value)
    assert site.requests == 3
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_that_passes_for_the_file(
    site: Site, tmp_path: Path
) -> None:
    site.content = bytes(3_000_000)

    def stop(*step: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), reporting(stop):
        download(site.url, tmp_path)
    assert list(tmp_path.iterdir()) == []
    site.content = CONTENT
    assert download(site.url, tmp_path)[1] == DIGEST


def test_a_whole_file_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    first = download(site.url, tmp_path)
    assert download(site.url, tmp_path) == first
    assert site.requests == 1


def test_a_file_of_another_address_is_not_used(site: Site, tmp_path: Path) -> None:
    download(site.url + "?version=1", tmp_path)
    site.content = CONTENT[::-1]
    archive, _ = download(site.url + "?version=2", tmp_path)
    assert archive.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_client_error_is_final_and_said_in_a_line(
    site: Site, tmp_path: Path, waits: list[float], status: int
) -> None:
    site.statuses = [status]
    with pytest.raises(CohortError, match=f"set.zip' answers {status} .*check the address"):
        download(site.url, tmp_path)
    assert waits == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_passing_error_is_tried_again(
    site: Site, tmp_path: Path, waits: list[float], status: int
) -> None:
    site.statuses = [status]
    assert download(site.url, tmp_path)[1] == DIGEST
    assert waits == [1]
    site.statuses = [status] * 3
    with pytest.raises(CohortError, match=f"set.zip': answers {status} "):
        download(site.url + "?again", tmp_path)


def test_a_server_that_announces_more_than_comes_is_not_believed(
    site: Site, tmp_path: Path
) -> None:
    site.boast = 100
    with pytest.raises(CohortError, match="check the network"):
        download(site.url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_length_only_a_checksum_tells_that_all_is_there(
    site: Site, tmp_path: Path
) -> None:
    site.says_length = False
    with pytest.raises(CohortError, match="--sha256"):
        download(site.url, tmp_path)
    archive, digest = download(site.url, tmp_path, DIGEST.upper())
    assert digest == DIGEST
    site.drops = [1000]
    archive.unlink()
    with pytest.raises(CohortError, match="expected " + DIGEST):
        download(site.url, tmp_path, DIGEST)


def test_another_checksum_is_named_and_the_file_removed(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=f"has the SHA-256 {DIGEST}, expected {'0' * 64}"):
        download(site.url, tmp_path, "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before_a_byte_is_written(
    site: Site, tmp_path: Path, free_disk: FreeDisk
) -> None:
    free_disk(2 * 5120 - 1)  # the file and what it holds
    with pytest.raises(InputError, match=r"needs 0\.0 GB, and the disk of .* make room"):
        download(site.url, tmp_path)
    assert list(tmp_path.iterdir()) == []
    free_disk(2 * 5120)
    assert download(site.url, tmp_path)[1] == DIGEST


def test_nobody_listens(tmp_path: Path, waits: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CohortError, match=r"': Connection refused; check the network"):
        download(f"http://127.0.0.1:{port}/set.zip?token=secret", tmp_path)
    assert waits == [1, 2]


def test_a_certificate_that_is_not_trusted_is_named(
    tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        try:
            raise ssl.SSLCertVerificationError(1, "self-signed certificate in certificate chain")
        except ssl.SSLError as error:
            raise requests.exceptions.SSLError("long, with ?token=secret") from error

    monkeypatch.setattr("requests.get", fail)
    with pytest.raises(CohortError, match=r"': self-signed .* REQUESTS_CA_BUNDLE") as caught:
        download("https://hospital.example/set.zip?token=secret", tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "link",
    [
        "http://hospital.example/set.zip",
        "http://127.0.0.1.example/set.zip",
        "ftp://hospital.example/set.zip",
        "file:///etc/passwd",
        "https:///set.zip",
        "https://name:word@hospital.example/set.zip",
        "https://hospital.example/a set.zip",
        "https://hospital.example/größe.zip",
        "https://hospital.example:port/set.zip",
        "https://[hospital/set.zip",
    ],
)
def test_only_plain_https_addresses_are_taken(link: str) -> None:
    with pytest.raises(InputError) as caught:
        address(link)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("drops", [[], [1000] * 3])
def test_what_may_be_secret_in_an_address_is_left_out(
    site: Site, tmp_path: Path, drops: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    assert address("https://a.example/s.zip?token=secret#x") == "https://a.example/s.zip"
    site.drops = drops
    try:
        download(site.url + "?token=secret", tmp_path)
    except CohortError as error:
        assert "secret" not in str(error)
    assert not [path for path in tmp_path.iterdir() if "secret" in path.name]
    assert "secret" not in caplog.text


@pytest.mark.parametrize("to", ["http://hospital.example/", "ftp://127.0.0.1/", "file:///etc/x"])
def test_a_redirect_away_from_https_is_an_error(site: Site, tmp_path: Path, to: str) -> None:
    site.redirect = to
    with pytest.raises(CohortError, match=r"set\.zip' leads on to "):
        download(site.url, tmp_path)
    assert list(tmp_path.iterdir()) == []


# Unpacking


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
def test_a_path_that_leads_outside_is_rejected(
    zipped: Made, tarred: Made, tmp_path: Path, name: str
) -> None:
    archives = [zipped(**{"good.png": b"x", name: b"x"}), tarred((name, tarfile.REGTYPE, ""))]
    for archive in archives:
        with pytest.raises(CohortError, match=r"is rejected: .* leads outside"):
            unpack(archive, tmp_path / "out")
    assert names(tmp_path) == ["set.tar", "set.zip"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_rejected(tarred: Made, tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(CohortError, match="'x' is a link or device"):
        unpack(tarred(("good", tarfile.REGTYPE, ""), ("x", kind, "/etc/passwd")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_are_rejected(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("x")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(CohortError, match="'x' is a link or device"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_an_encrypted_zip_is_rejected(zipped: Made, tmp_path: Path) -> None:
    data = bytearray(zipped(x=b"abc").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(CohortError, match="'x' is encrypted"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_an_archive_too_large_for_the_disk_is_rejected(
    zipped: Made, tmp_path: Path, free_disk: FreeDisk
) -> None:
    bomb = zipped(a=bytes(600_000), b=bytes(600_000))
    assert bomb.stat().st_size < 3000
    free_disk(1_199_999)
    with pytest.raises(InputError, match="unpacking the archive needs"):
        unpack(bomb, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_empty_and_other_files_are_named(
    zipped: Made, tarred: Made, tmp_path: Path
) -> None:
    whole = zipped(a=bytes(range(256))).read_bytes()
    target = whole.index(bytes(range(100, 120)))
    (tmp_path / "set.zip").write_bytes(whole[:target] + b"?" + whole[target + 1 :])
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
