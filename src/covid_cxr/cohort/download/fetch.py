"""Fetch a public data set, or an archive from an address of one's own, into the data root.

A set appears under its name when it is complete, not before; until then it lies in
`<folder>.part`. In it stands `FETCHED.json`: from where, which state, when, under what licence,
what to cite. Sets kept in git are shallow clones; git checks each file by its hash.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import NamedTuple

from covid_cxr.cohort.download.archives import address, check_free_space, download, unpack
from covid_cxr.cohort.download.catalogue import DataSet, catalogue
from covid_cxr.errors import CohortError, InputError, MissingDependency, UnknownName
from covid_cxr.files import atomic_write
from covid_cxr.progress import report

RECORD = "FETCHED.json"
_OPTIONS = (
    "core.symlinks=false",  # neither makes links nor converts line ends
    "core.autocrlf=false",
    "credential.helper=",  # may not ask for a password
    "http.lowSpeedLimit=1",  # a transfer that stands still for a minute is given up
    "http.lowSpeedTime=60",
)
_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}  # set inside hooks
_SILENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "LC_ALL": "C"}  # never asks


class Fetched(NamedTuple):
    """Where a set lies; `version` is its git commit, or the SHA-256 of its archive."""

    folder: Path
    version: str
    new: bool


def choose(name: str, folder: str | None = None) -> DataSet:
    """Return the set of that name, or the one behind an https address.

    Args:
        name: of the catalogue, or the address of a zip or tar.
        folder: what to call its folder; without it as the catalogue, or the file, is called.

    Raises:
        UnknownName: no such set.
        InputError: an address other than https, or a `folder` that is no plain name.
    """
    if "://" in name:
        called = re.sub(r"(\.(zip|tar|tgz|gz|bz2|xz))+$", "", PurePosixPath(address(name)).name)
        chosen = DataSet("https", name, called, license="", cite="")
    elif name in catalogue():
        chosen = catalogue()[name]
    else:
        raise UnknownName("data set", name, catalogue())
    chosen = replace(chosen, folder=folder or chosen.folder)
    if not re.fullmatch(r"[^./\\:][^/\\:]*", chosen.folder):
        raise InputError(f"'{chosen.folder}' is no name for a folder; give a plain one, --folder")
    return chosen


def fetch(chosen: DataSet, data: Path, sha256: str | None = None) -> Fetched:
    """Fetch a set into the data root `data`; one that is there is verified and left alone.

    Args:
        chosen: what `choose` returned; not one whose `access` is "steps".
        data: data root, made where missing.
        sha256: what the archive's checksum must be.

    Raises:
        CohortError: out of reach, damaged, unsafe, or there but different.
        InputError: `sha256` is not a checksum, or given for a set that is not an archive; or the
            disk has no room.
        MissingDependency: git is needed and not installed.
    """
    if sha256 is not None and (
        chosen.access != "https" or not re.fullmatch("[0-9a-fA-F]{64}", sha256)
    ):
        raise InputError(
            f"the checksum '{sha256}' is of no use; expected 64 hexadecimal digits, with an "
            "https:// address (git checks its files itself)"
        )
    target, part = data / chosen.folder, data / f"{chosen.folder}.part"
    if target.exists():
        return _verify(chosen, target, sha256)
    tree = part / "tree"  # one deeper, so that a data root shows no half set to `cohort build`
    part.mkdir(parents=True, exist_ok=True)
    if tree.exists():  # of a run that was killed
        shutil.rmtree(tree)
    try:
        version = (
            _clone(chosen, tree) if chosen.access == "git" else _unpacked(chosen, tree, sha256)
        )
    except (CohortError, InputError, MissingDependency):
        with suppress(OSError):  # it holds an archive that is used the next time
            part.rmdir()
        raise
    atomic_write(tree / RECORD, json.dumps(_record(chosen, version, tree), indent=2) + "\n")
    tree.rename(target)
    shutil.rmtree(part)
    return Fetched(target, version, new=True)


def _unpacked(chosen: DataSet, tree: Path, sha256: str | None) -> str:
    """Download and unpack an archive into `tree`; return its checksum."""
    archive, version = download(chosen.where, tree.parent, sha256)
    try:
        unpack(archive, tree)
    except CohortError:
        shutil.rmtree(tree, ignore_errors=True)
        archive.unlink()  # so that another command downloads it anew
        raise
    return version


def _record(chosen: DataSet, version: str, tree: Path) -> dict[str, object]:
    files, size = _count_files(tree)
    return {
        "url": chosen.where if chosen.access == "git" else address(chosen.where),
        "commit" if chosen.access == "git" else "sha256": version,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": files,
        "bytes": size,
        "license": chosen.license,
        "cite": chosen.cite,
        "note": chosen.note,
    }


def _verify(chosen: DataSet, target: Path, sha256: str | None) -> Fetched:
    """Verify the set that is there.

    Raises:
        CohortError: it is another one, or not as it was fetched.
    """
    aside = "move it away, or give another --out or --folder"
    if chosen.access == "git":
        if not (target / ".git").exists():
            raise CohortError(f"'{target}' is there and was not fetched with git; {aside}")
        changed = _git(target, "status", "--porcelain", "--untracked-files=no").splitlines()
        if changed:
            raise CohortError(
                f"{len(changed)} files of '{target}' are changed or gone, first "
                f"'{changed[0][3:]}'; restore them with git checkout there, or move it away"
            )
        return Fetched(target, _git(target, "rev-parse", "HEAD").strip(), new=False)
    try:
        record = json.loads((target / RECORD).read_text("utf-8"))
        url, version, files, size = (record[key] for key in ("url", "sha256", "files", "bytes"))
    except (OSError, ValueError, TypeError, KeyError):
        raise CohortError(f"'{target}' is there and was not fetched; {aside}") from None
    if url != address(chosen.where) or sha256 not in {None, version}:
        raise CohortError(f"'{target}' is there, from '{url}' with SHA-256 {version}; {aside}")
    if _count_files(target) != (files, size):
        raise CohortError(
            f"'{target}' holds {_count_files(target)[0]} files, not the {files} that were "
            f"fetched, or of other sizes; {aside}"
        )
    return Fetched(target, version, new=False)


def _count_files(folder: Path) -> tuple[int, int]:
    """Return the number of files, and of their bytes, without the record and git's own."""
    own = {".git", RECORD}
    files = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in own)
    sizes = [path.stat().st_size for path in files if path.is_file()]
    return len(sizes), sum(sizes)


def _clone(chosen: DataSet, tree: Path) -> str:
    """Clone the newest state of a repository into `tree`; return its commit."""
    check_free_space(tree, int(2e9 * chosen.gigabytes), f"'{chosen.folder}'")  # git keeps a copy
    settings = [word for option in _OPTIONS[:2] for word in ("-c", option)]
    _git(tree.parent, "clone", "--progress", "--depth=1", *settings, chosen.where, tree.name)
    return _git(tree, "rev-parse", "HEAD").strip()


def _git(folder: Path, *arguments: str) -> str:
    """Run git in `folder`, report its progress and return what it prints.

    Raises:
        CohortError: it failed.
        MissingDependency: there is no git.
    """
    if shutil.which("git") is None:
        raise MissingDependency(
            "this set is fetched with git, which is not installed: install it, or clone the set "
            "on another machine and copy its folder here"
        )
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    options = [word for option in _OPTIONS for word in ("-c", option)]
    said: list[str] = []
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        subprocess.Popen(
            ["git", "-C", str(folder), *options, *arguments],
            env=environment | _SILENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stderr or ():
                if percent := re.match(r"Receiving objects: +(\d+)%", line):
                    report("receiving objects (%)", int(percent[1]), 100)
                said.append(line.strip())
        except BaseException:
            process.kill()
            raise
        status = process.wait()
        output.seek(0)
        answer = output.read()
    if status:
        reasons = [line for line in said if line.startswith(("fatal:", "error:"))]
        reason = (reasons or said or [f"status {status}"])[0]
        raise CohortError(
            f"git {arguments[0]} failed in '{folder}': {reason}; check the network or proxy "
            "(HTTPS_PROXY) and the disk, then repeat the command"
        )
    return answer
