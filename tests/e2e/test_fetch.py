"""`cohort fetch` as people and machines use it."""

import functools
import hashlib
import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from covid_cxr import cli
from covid_cxr.cohort.download.catalogue import catalogue


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.run(["cohort", "fetch", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """The address of a small set on a server of this machine, and its checksum; cwd is empty."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "www"
    folder.mkdir()
    with zipfile.ZipFile(folder / "images.zip", "w") as packed:
        packed.writestr("images/manifest.csv", "path,patient_id,finding\n1.png,1,normal\n")
        packed.writestr("images/1.png", b"png")
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        digest = hashlib.sha256((folder / "images.zip").read_bytes()).hexdigest()
        yield f"http://127.0.0.1:{server.server_address[1]}/images.zip", digest
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("arguments", [[], ["--list"], ["mila", "--list"]])
def test_the_list_names_every_set(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    for name in catalogue():
        assert f"\n{name} " in "\n" + out
    status, out, _ = run(capsys, *arguments, "--json")
    assert status == 0
    assert [entry["name"] for entry in json.loads(out)] == list(catalogue())


def test_steps_are_an_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "my data"
    status, out, _ = run(capsys, "rsna", "--out", root)
    assert status == 0
    assert "3. Install the official client" in out
    command = f"kaggle competitions download -c rsna-pneumonia-detection-challenge -p '{root}'"
    assert command in out
    assert "accept the rules" in out
    assert not root.exists()
    status, out, _ = run(capsys, "kaggle-covid19", "--json")
    entry = json.loads(out)
    assert (status, entry["access"], len(entry["steps"])) == (0, "steps", 4)
    assert "paediatric" in entry["note"]


def test_an_address_of_ones_own(
    capsys: pytest.CaptureFixture[str], archive: tuple[str, str], tmp_path: Path
) -> None:
    url, digest = archive
    data = tmp_path / "data"
    status, out, err = run(capsys, url, "--sha256", digest, "--out", data, "--folder", "own")
    assert (status, err) == (0, "")
    assert out.startswith(f"Fetched: {data}/own, sha256 {digest}\n")
    assert f"covid-cxr cohort build --data {data}" in out
    assert (data / "own" / "1.png").read_bytes() == b"png"
    status, out, _ = run(capsys, url, "--out", data, "--folder", "own", "--json")
    again = json.loads(out)
    assert (status, again["new"], again["sha256"]) == (0, False, digest)


def test_a_set_in_git(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "data.csv").write_text("a\n")
    who = ("-c", "user.name=x", "-c", "user.email=x@y")
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "one")):
        subprocess.run(["git", *who, *command], cwd=origin, check=True)
    set_ = replace(catalogue()["hannover"], where=origin.as_uri(), gigabytes=0)
    monkeypatch.setitem(catalogue(), "hannover", set_)
    for said in ("Fetched", "Already there"):
        status, out, err = run(capsys, "hannover", "--out", tmp_path / "data")
        assert (status, err) == (0, "")
        assert out.startswith(f"{said}: {tmp_path}/data/covid-19-image-repository, commit ")
        assert "Licence: CC BY 3.0\nCite: Winther" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["milla"], "did you mean 'mila'"),
        (["mila"], "--out DATA"),
        (["mila", "--out", "d", "--sha256", "0" * 64], "64 hexadecimal digits"),
        (["http://hospital.example/set.zip", "--out", "d"], "https://"),
        (["https://hospital.example/set.zip", "--out", "d", "--folder", "../x"], "--folder"),
        (["URL", "--out", "d", "--sha256", "0" * 64], "has the SHA-256"),
        (["URL.gone", "--out", "d"], "answers 404"),
    ],
)
def test_errors_are_one_line_and_leave_no_set(
    capsys: pytest.CaptureFixture[str],
    archive: tuple[str, str],
    arguments: list[str],
    message: str,
) -> None:
    status, out, err = run(capsys, *(word.replace("URL", archive[0]) for word in arguments))
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(Path().glob("d/*"))
