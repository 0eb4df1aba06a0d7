"""Fetch a public data set, or an archive from an address of one's own, into the data root.

A set appears under its name when it is complete, not before. Until then it lies in
`<folder>.part`, where the same command goes on after an interruption. In it stands
`FETCHED.json`: from where, which state, when, under what licence, what to cite.

Git cannot continue a pack that broke off. A repository is therefore fetched without its files
first (a shallow, partial clone) and then a few files at a time, so that little is lost; git checks
each by its hash. A server that knows no partial clones sends all at once. Wants git 2.29 (2020).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from covid_cxr.cohort.download.catalogue import CATALOGUE, DataSet
from covid_cxr.cohort.download.downloading import ARCHIVE, address, download
from covid_cxr.cohort.download.unpack import room, unpack
from covid_cxr.errors import CohortError, InputError, MissingDependency, UnknownName
from covid_cxr.files import atomic_write
from covid_cxr.progress import report

RECORD = "FETCHED.json"
_BATCH = 32  # files that git brings at a time; an interruption loses no more
_HEAD = "refs/heads/fetched"
_PLAIN = ("fetch", "--quiet", "--no-tags", "--filter=blob:none")
# Neither converts line ends nor makes links, whatever the user's own settings say.
_SETTINGS = {"core.symlinks": "false", "core.autocrlf": "false"}
_OPTIONS = (
    "fetch.negotiationAlgorithm=noop",  # as git itself does to fetch files by their hashes
    "gc.auto=0",
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


def choose(
    name: str, folder: str | None = None, catalogue: Mapping[str, DataSet] = CATALOGUE
) -> DataSet:
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
        found = DataSet("https", name, called, license="", cite="")
    elif name in catalogue:
        found = catalogue[name]
    else:
        raise UnknownName("data set", name, catalogue)
    found = replace(found, folder=folder or found.folder)
    if not re.fullmatch(r"[^./\\:][^/\\:]*", found.folder):
        raise InputError(f"'{found.folder}' is no name for a folder; give a plain one, --folder")
    return found


def fetch(chosen: DataSet, data: Path, sha256: str | None = None) -> Fetched:
    """Fetch a set into the data root `data`; one that is there is verified and left alone.

    Args:
        chosen: what `choose` returned; not one of those that are told in steps.
        data: data root, made where missing.
        sha256: what the archive's checksum must be.

    Raises:
        CohortError: out of reach, damaged, unsafe, or there but different.
        InputError: `sha256` is no checksum, or given for a set that is no archive; or the disk
            has no room.
        MissingDependency: git is needed and not installed.
    """
    if sha256 is not None and (
        chosen.how != "https" or not re.fullmatch("[0-9a-fA-F]{64}", sha256)
    ):
        raise InputError(
            f"the checksum '{sha256}' is of no use; expected 64 hexadecimal digits, with an "
            "https:// address (git checks its files itself)"
        )
    target, part = data / chosen.folder, data / f"{chosen.folder}.part"
    if target.exists():
        return _found(chosen, target, sha256)
    tree = part / "tree"  # one deeper, so that a data root shows no half set to `cohort build`
    part.mkdir(parents=True, exist_ok=True)
    try:
        if chosen.how == "git":
            version = _from_git(chosen, tree)
        else:
            version = _from_archive(chosen, tree, sha256)
    except InputError:
        with suppress(OSError):  # it holds something, with which to go on
            part.rmdir()
        raise
    atomic_write(tree / RECORD, json.dumps(_record(chosen, version, tree), indent=2) + "\n")
    tree.rename(target)
    shutil.rmtree(part)
    return Fetched(target, version, new=True)


def _record(chosen: DataSet, version: str, tree: Path) -> dict[str, object]:
    files, size = _extent(tree)
    return {
        "url": chosen.where if chosen.how == "git" else address(chosen.where),
        "commit" if chosen.how == "git" else "sha256": version,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": files,
        "bytes": size,
        "license": chosen.license,
        "cite": chosen.cite,
        "note": chosen.note,
    }


def _found(chosen: DataSet, target: Path, sha256: str | None) -> Fetched:
    """Verify the set that is there.

    Raises:
        CohortError: it is another one, or not as it was fetched.
    """
    aside = "move it away, or give another --out or --folder"
    if chosen.how == "git":
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
    if _extent(target) != (files, size):
        raise CohortError(
            f"'{target}' holds {_extent(target)[0]} files, not the {files} that were fetched, or "
            f"of other sizes; {aside}"
        )
    return Fetched(target, version, new=False)


def _extent(folder: Path) -> tuple[int, int]:
    """Return the number of files, and of their bytes, without the record and git's own."""
    own = {".git", RECORD}
    files = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in own)
    sizes = [path.stat().st_size for path in files if path.is_file()]
    return len(sizes), sum(sizes)


def _from_archive(chosen: DataSet, tree: Path, sha256: str | None) -> str:
    version = download(chosen.where, tree.parent, sha256)
    if tree.exists():  # of an unpacking that was stopped
        shutil.rmtree(tree)
    try:
        unpack(tree.parent / ARCHIVE, tree)
    except CohortError:
        (tree.parent / ARCHIVE).unlink()  # so that another command fetches it anew
        raise
    return version


def _from_git(chosen: DataSet, tree: Path) -> str:
    """Bring the newest state of a repository into `tree`, which may hold a part; return it."""
    # Twice, for git keeps a copy; less what is there already.
    room(tree, int(2e9 * chosen.gigabytes) - _extent(tree.parent)[1], f"'{chosen.folder}'")
    tree.mkdir(exist_ok=True)
    for lock in (tree / ".git").rglob("*.lock"):  # of a run that was killed
        lock.unlink()
    _git(tree, "init", "--quiet")
    for key, value in ({"remote.origin.url": chosen.where} | _SETTINGS).items():
        _git(tree, "config", key, value)
    _git(tree, *_PLAIN, "--depth=1", "origin", f"+HEAD:{_HEAD}")
    objects = _git(tree, "rev-list", "--objects", "--missing=print", _HEAD).splitlines()
    missing = [line[1:] for line in objects if line.startswith("?")]
    for start in range(0, len(missing), _BATCH):
        some = missing[start : start + _BATCH]
        _git(tree, *_PLAIN, "origin", *some)
        done = len(objects) - len(missing) + start + len(some)
        report(f"{chosen.folder} (objects)", done, len(objects))
    _git(tree, "checkout", "--quiet", "--force", "--detach", _HEAD)
    return _git(tree, "rev-parse", "HEAD").strip()


def _git(tree: Path, *arguments: str) -> str:
    """Run git in `tree` and return what it prints.

    Raises:
        CohortError: it failed.
        MissingDependency: there is no git.
    """
    if shutil.which("git") is None:
        raise MissingDependency(
            "this set is fetched with git, which is not installed: install it (2.29 or newer), or "
            "clone the set on another machine and copy its folder here"
        )
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    options = [word for option in _OPTIONS for word in ("-c", option)]
    done = subprocess.run(
        ["git", "-C", str(tree), *options, *arguments],
        env=environment | _SILENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        said = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1])
        raise CohortError(
            f"git {arguments[0]} failed in '{tree}': {said}; check the network or proxy "
            "(HTTPS_PROXY), the disk and that git is 2.29 or newer, then the same command goes on"
        )
    return done.stdout
