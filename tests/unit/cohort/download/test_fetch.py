"""Fetching: what breaks off goes on, what is wrong is refused, what is there is left alone."""

import hashlib
import io
import json
import socket
import ssl
import struct
import threading
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.error import URLError

import pytest

from covid_cxr.cohort.download import downloading
from covid_cxr.cohort.download.downloading import address, download
from covid_cxr.cohort.download.fetch import RECORD, choose, fetch
from covid_cxr.errors import CohortError, InputError, UnknownName
from covid_cxr.progress import reporting

CONTENT = bytes(range(256)) * 20  # 5,120 bytes, each place another content
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site(ThreadingHTTPServer):
    """A web server on this machine with one file, and with faults to switch on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reply)
        self.content, self.etag = CONTENT, '"first"'
        self.drops: list[int] = []  # one a request: bytes until the line is cut
        self.statuses: list[int] = []  # one a request, instead of the file
        self.knows_ranges = self.knows_conditions = self.says_length = True
        self.boast = 0  # bytes announced beyond those that come
        self.redirect = ""
        self.asked: list[str | None] = []  # the Range of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.zip"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that is cut on purpose is no news."""


class Reply(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        site = self.server
        site.asked.append(self.headers["Range"])
        if site.statuses:
            self.send_error(site.statuses.pop(0))
            return
        if site.redirect:
            self.send_response(302)
            self.send_header("Location", site.redirect)
            self.end_headers()
            return
        self.send_file(site, self.begins(site))

    def begins(self, site: Site) -> int:
        same = self.headers["If-Range"] == site.etag or not site.knows_conditions
        if not self.headers["Range"] or not same or not site.knows_ranges:
            return 0
        return int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))

    def send_file(self, site: Site, start: int) -> None:
        size = len(site.content) + site.boast
        if start >= len(site.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", site.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if site.says_length:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        cut = site.drops.pop(0) if site.drops else None
        self.wfile.write(site.content[start:][:cut])
        if cut is not None and cut % 2:  # an odd number: not closed, but torn (a TCP reset)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited between attempts."""
    waited: list[float] = []
    monkeypatch.setattr("covid_cxr.cohort.download.downloading.time.sleep", waited.append)
    return waited


@pytest.fixture
def site(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def disk_with(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**12, 0, free))


# One file over HTTP


def test_a_file_arrives_whole_with_progress(site: Site, tmp_path: Path) -> None:
    site.content = bytes(3_000_000)
    seen: list[tuple[str, int, int]] = []
    with reporting(lambda *step: seen.append(step)):
        digest = download(site.url, tmp_path)
    assert digest == hashlib.sha256(bytes(3_000_000)).hexdigest()
    assert (tmp_path / "archive").read_bytes() == bytes(3_000_000)
    assert seen[-1] == ("127.0.0.1 (MB)", 3, 3)
    assert [done for _, done, _ in seen] == [1, 2, 3]  # blocks of 2**20 bytes: 1.05, 2.10, 3.00


@pytest.mark.parametrize("cut", [1000, 1001])  # closed early, and torn
def test_a_dropped_connection_goes_on_where_it_was(
    site: Site, tmp_path: Path, waits: list[float], cut: int
) -> None:
    site.drops = [cut, 500]
    assert download(site.url, tmp_path) == DIGEST
    if cut == 1000:
        assert site.asked == [None, "bytes=1000-", "bytes=1500-"]
    assert waits[0] == 1
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_what_arrived_is_kept_for_the_next_command(
    site: Site, tmp_path: Path, waits: list[float]
) -> None:
    site.drops = [2000]

    def gone(seconds: float) -> None:
        waits.append(seconds)
        site.statuses = [503]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("covid_cxr.cohort.download.downloading.time.sleep", gone)
        with pytest.raises(CohortError, match=r"answers 503 .*0\.0 MB are kept in .* goes on"):
            download(site.url, tmp_path)
    assert waits == [1, 2, 5, 10]  # each longer, then it gives up
    site.asked.clear()
    site.statuses.clear()
    assert download(site.url, tmp_path) == DIGEST
    assert site.asked == ["bytes=2000-"]


def test_progress_is_patience_anew(site: Site, tmp_path: Path, waits: list[float]) -> None:
    site.drops = [500] * 9  # nine times 500 bytes come, then the last 620
    assert download(site.url, tmp_path) == DIGEST
    assert waits == [1] * 9


def test_a_server_that_knows_no_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    site.knows_ranges = False
    site.drops = [1000, 3000]
    assert download(site.url, tmp_path) == DIGEST
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_a_server_that_never_gets_further_is_given_up(
    site: Site, tmp_path: Path, waits: list[float]
) -> None:
    site.knows_ranges = False
    site.drops = [1000] * 99
    with pytest.raises(CohortError, match="ended early"):
        download(site.url, tmp_path)
    # The first cut brings 1,000 bytes, which is news; the four after it do not.
    assert waits == [1, 2, 5, 10]


@pytest.mark.parametrize("knows_conditions", [True, False])
def test_a_file_that_changed_in_between_begins_anew(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows_conditions: bool
) -> None:
    site.drops, site.knows_conditions = [1000], knows_conditions

    def change(seconds: float) -> None:
        site.content, site.etag = CONTENT[::-1], '"second"'

    monkeypatch.setattr("covid_cxr.cohort.download.downloading.time.sleep", change)
    download(site.url, tmp_path)
    assert (tmp_path / "archive").read_bytes() == CONTENT[::-1]


def test_a_run_that_dies_as_the_changed_file_begins_leaves_no_mixture(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    site.drops = [1000]
    receive = vars(downloading)["_receive"]

    def die(reply: Any, archive: Path, start: int, *rest: Any) -> None:
        if site.etag == '"second"':
            raise KeyboardInterrupt
        receive(reply, archive, start, *rest)
        site.content, site.etag = CONTENT[::-1], '"second"'

    with monkeypatch.context() as patch:
        patch.setattr(downloading, "_receive", die)
        with pytest.raises(KeyboardInterrupt):
            download(site.url, tmp_path)
    download(site.url, tmp_path)
    assert (tmp_path / "archive").read_bytes() == CONTENT[::-1]


def test_without_etag_or_with_a_weak_one_nothing_is_put_together(
    site: Site, tmp_path: Path
) -> None:
    site.etag, site.drops = 'W/"weak"', [1000]
    assert download(site.url, tmp_path) == DIGEST
    assert site.asked == [None, None]


def test_a_part_of_another_address_is_not_gone_on_with(site: Site, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"other")
    (tmp_path / "archive.json").write_text(json.dumps(["http://127.0.0.1/other", '"first"', 5120]))
    assert download(site.url, tmp_path) == DIGEST
    assert site.asked == [None]


def test_a_part_that_is_longer_than_the_file_begins_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(bytes(9999))
    (tmp_path / "archive.json").write_text(json.dumps([site.url, '"first"', 20_000]))
    assert download(site.url, tmp_path) == DIGEST
    assert site.asked == ["bytes=9999-", None]


def test_a_whole_file_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    download(site.url, tmp_path)
    download(site.url, tmp_path)
    assert site.asked == [None]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final_and_said_in_a_line(
    site: Site, tmp_path: Path, waits: list[float], status: int
) -> None:
    site.statuses = [status]
    with pytest.raises(CohortError, match=f"set.zip' answers {status} .*check the address"):
        download(site.url, tmp_path)
    assert waits == []


def test_a_server_that_announces_more_than_comes_is_not_believed(
    site: Site, tmp_path: Path
) -> None:
    site.boast = 100
    with pytest.raises(CohortError, match="goes on from there"):
        download(site.url, tmp_path)


def test_without_a_length_only_a_checksum_tells_that_all_is_there(
    site: Site, tmp_path: Path
) -> None:
    site.says_length = False
    with pytest.raises(CohortError, match="--sha256"):
        download(site.url, tmp_path)
    assert download(site.url, tmp_path, DIGEST.upper()) == DIGEST
    site.drops = [1000]
    (tmp_path / "archive").unlink()
    with pytest.raises(CohortError, match="expected " + DIGEST):
        download(site.url, tmp_path, DIGEST)


def test_another_checksum_is_named_and_the_file_removed(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=f"has the SHA-256 {DIGEST}, expected {'0' * 64}"):
        download(site.url, tmp_path, "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before_a_byte_is_written(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_with(monkeypatch, 2 * 5120 - 1)  # the file and what it holds
    with pytest.raises(InputError, match=r"needs 0\.0 GB, and the disk of .* make room"):
        download(site.url, tmp_path)
    assert list(tmp_path.iterdir()) == []
    disk_with(monkeypatch, 2 * 5120)
    assert download(site.url, tmp_path) == DIGEST


def test_nobody_listens(site: Site, tmp_path: Path, waits: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(CohortError, match=r"refused; 0\.0 MB are kept .*check the network"):
        download(f"http://127.0.0.1:{port}/set.zip", tmp_path)
    assert waits == [1, 2, 5, 10]


def test_a_certificate_that_is_not_trusted_is_final(
    tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"
    opener = Mock(**{"return_value.open.side_effect": URLError(error)})
    monkeypatch.setattr(downloading, "build_opener", opener)
    with pytest.raises(CohortError, match=r"self-signed .* SSL_CERT_FILE"):
        download("https://hospital.example/set.zip", tmp_path)
    assert waits == []


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


def test_what_may_be_secret_in_an_address_is_left_out(site: Site, tmp_path: Path) -> None:
    assert address("https://a.example/s.zip?token=secret#x") == "https://a.example/s.zip"
    site.drops = [1000]
    download(site.url + "?token=secret", tmp_path)
    assert b"secret" not in (tmp_path / "archive.json").read_bytes()


@pytest.mark.parametrize("to", ["http://hospital.example/", "ftp://127.0.0.1/", "file:///etc/x"])
def test_a_redirect_away_from_https_is_refused(site: Site, tmp_path: Path, to: str) -> None:
    site.redirect = to
    with pytest.raises(CohortError, match=r"set\.zip'.* (leads on to|answers 302)"):
        download(site.url, tmp_path)
    assert not (tmp_path / "archive").exists()


# An archive as a set


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
    archived: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived.content = compressed({"1.png": bytes(100_000)})
    with monkeypatch.context() as patch:
        disk_with(patch, 99_999)
        with pytest.raises(InputError, match="unpacking the archive needs"):
            fetch(choose(archived.url), tmp_path)
    assert fetch(choose(archived.url), tmp_path).new
    assert archived.asked == [None]


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
    assert choose("https://hospital.example/get", "films").folder == "films"
    assert choose("https://hospital.example/films.2020.tar.gz").folder == "films.2020"
    for chosen, sha256 in ((choose("mila"), "0" * 64), (choose("https://a.b/c.zip"), "0" * 63)):
        with pytest.raises(InputError, match="64 hexadecimal digits"):
            fetch(chosen, tmp_path, sha256)
    assert not list(tmp_path.iterdir())
