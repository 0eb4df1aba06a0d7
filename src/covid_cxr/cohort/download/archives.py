"""Download an archive over HTTPS (pooch) and unpack a zip or tar without trusting its contents.

Only https is spoken, to the end of every redirect; plain http only with this machine itself. An
archive with paths that lead outside, links, devices or encrypted members, or whose contents would
not fit on the disk, is rejected before anything is written. What is written of a member never
exceeds the size that it declares, so that a zip bomb cannot go off behind that check.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import pooch
from requests import HTTPError, RequestException, Response

from covid_cxr.errors import CohortError, InputError
from covid_cxr.files import sha256_of
from covid_cxr.progress import report

_RETRIES = 2  # after a lost connection; pooch waits a second, then two
_TIMEOUT = 60  # seconds without a byte
_BLOCK = 1 << 20
_TRANSIENT = {408, 425, 429}  # statuses below 500 that another attempt may cure
# A compressed transfer would not be as long as announced.
_HEADERS = {"User-Agent": "covid-cxr", "Accept-Encoding": "identity"}
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a zip compressed in a way that Python does not know
)


class _ProgressBar:
    """The progress bar that pooch calls: passes megabytes on to `covid_cxr.progress`."""

    total = 0

    def __init__(self, host: str) -> None:
        self._host, self._done = host, 0

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total)
        if self.total:
            megabytes = max(1, self.total // 10**6)
            report(f"{self._host} (MB)", self._done // 10**6, megabytes)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing is held open."""


class _Member(NamedTuple):
    name: str
    size: int
    is_file: bool
    encrypted: bool = False


def address(link: str) -> str:
    """Return `link` without query and fragment, where secrets may stand, after checking it.

    Raises:
        InputError: it is not an https address, names a user or has characters no address has.
    """
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"'{link}' is not an address ({error}); expected https://...") from error
    url = parts._replace(query="", fragment="").geturl()
    if not host or not re.fullmatch("[!-~]+", link) or not _is_secure(link):
        raise InputError(
            f"'{url}' cannot be used; expected an address with https:// and no spaces or letters "
            "beyond ASCII (write those as %20 and so on)"
        )
    if "@" in parts.netloc:
        raise InputError(f"the address at '{host}' names a user; leave that out of it")
    return url


def download(link: str, folder: Path, sha256: str | None = None) -> tuple[Path, str]:
    """Download `link` into `folder`; return the file and its SHA-256.

    A file that was downloaded from the same link before is used again. Until it is complete, a
    download has a temporary name.

    Args:
        link: https address.
        folder: existing folder.
        sha256: expected checksum, 64 hexadecimal digits. A file with another one is removed.

    Raises:
        CohortError: rejected by the server, out of reach, or of another checksum.
        InputError: `link` is not an https address, or the disk has no room for the file.
    """
    url = address(link)
    pooch.get_logger().setLevel(logging.WARNING)
    name = hashlib.sha256(link.encode()).hexdigest()[:16]
    cache = pooch.create(folder, "", registry={name: None}, urls={name: link})
    cache.retry_if_failed = _RETRIES
    check = partial(_check_response, url=url, folder=folder, sha256=sha256)
    bar = _ProgressBar(urlsplit(url).hostname or "")
    options = {"timeout": _TIMEOUT, "headers": _HEADERS, "hooks": {"response": check}}
    try:
        archive = Path(cache.fetch(name, downloader=pooch.HTTPDownloader(bar, _BLOCK, **options)))
    except RequestException as error:
        raise CohortError(
            f"'{url}': {_root_cause(error)}; check the network or proxy (HTTPS_PROXY, "
            "REQUESTS_CA_BUNDLE), then repeat the command"
        ) from error
    digest = sha256_of(archive)
    if sha256 is not None and digest != sha256.lower():
        archive.unlink()
        raise CohortError(
            f"'{url}' has the SHA-256 {digest}, expected {sha256}; the file at the address has "
            "changed, was damaged on the way, or the checksum is another file's"
        )
    return archive, digest


def check_free_space(folder: Path, needed: int, what: str) -> None:
    """Check that the disk of `folder` has `needed` bytes free for `what`.

    Raises:
        InputError: it has not.
    """
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"{what} needs {needed / 1e9:.1f} GB, and the disk of '{folder}' has "
            f"{free / 1e9:.1f} GB free; make room, or name a folder on another disk"
        )


def unpack(archive: Path, target: Path) -> None:
    """Unpack `archive` into the new folder `target`.

    If the archive holds one folder and nothing beside it, what that folder holds is put into
    `target`. What macOS adds (`__MACOSX`) is left out.

    Raises:
        CohortError: it is neither zip nor tar, damaged, empty or unsafe.
        InputError: the disk has no room for what it holds.
    """
    try:
        if tarfile.is_tarfile(archive):  # asked first: a tar that ends with a zip passes for one
            with tarfile.open(archive) as tar:
                members = (_Member(m.name, m.size, m.isreg()) for m in tar if not m.isdir())
                _check_members(members, target)
                tar.extractall(target, filter="data")
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                infos = [i for i in opened.infolist() if not i.filename.startswith("__MACOSX/")]
                _check_members((_zip_member(info) for info in infos if not info.is_dir()), target)
                opened.extractall(target, infos)
        else:
            raise CohortError("the file is neither a zip nor a tar; expected an archive of a set")
    except _DAMAGED as error:
        raise CohortError(f"the archive is damaged ({error}); fetch it again") from error
    _strip_top_folder(target)


def _check_response(
    response: Response, *, url: str, folder: Path, sha256: str | None, **_: object
) -> None:
    """Raise before the content is read: HTTPError where another attempt may help."""
    size, status = response.headers.get("Content-Length", ""), response.status_code
    if response.is_redirect:
        goal = urljoin(response.url, response.headers["Location"])
        if not _is_secure(goal) or (response.url.startswith("https:") > goal.startswith("https:")):
            scheme, host = urlsplit(goal).scheme, urlsplit(goal).hostname
            raise CohortError(f"'{url}' leads on to {scheme}://{host}; expected https to the end")
    elif status >= 400:
        reason = f"answers {status} {response.reason}"
        if status >= 500 or status in _TRANSIENT:
            raise HTTPError(reason)
        raise CohortError(f"'{url}' {reason}; check the address, and that it is open to you")
    elif size.isdecimal():
        # Twice the size: the archive and what it holds, for radiographs hardly shrink in one.
        check_free_space(folder, 2 * int(size), f"'{url}' with what it holds")
    elif sha256 is None and "Transfer-Encoding" not in response.headers:
        raise CohortError(
            f"'{url}' does not say how long it is, so that an incomplete file would pass for a "
            "complete one; give its checksum with --sha256"
        )


def _is_secure(link: str) -> bool:
    parts = urlsplit(link)
    this_machine = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return parts.scheme == "https" or (parts.scheme == "http" and this_machine)


def _root_cause(error: BaseException) -> str:
    """Return what the innermost exception says; the outer ones quote the address with its query."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    is_file = stat.S_IFMT(info.external_attr >> 16) in {0, stat.S_IFREG}
    return _Member(info.filename, info.file_size, is_file, bool(info.flag_bits & 1))


def _check_members(members: Iterable[_Member], target: Path) -> None:
    total = count = 0
    for member in members:
        path = PurePosixPath(member.name.replace("\\", "/"))
        outside = path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0]
        for wrong, what in (
            (outside, "a path that leads outside"),
            (not member.is_file, "a link or device"),
            (member.encrypted, "encrypted"),
        ):
            if wrong:
                raise CohortError(
                    f"the archive is rejected: '{member.name}' is {what}, which no data set needs"
                )
        total, count = total + member.size, count + 1
    if not count:
        raise CohortError("the archive holds no files; expected those of a data set")
    check_free_space(target, total, "unpacking the archive")


def _strip_top_folder(target: Path) -> None:
    content = list(target.iterdir())
    if len(content) == 1 and content[0].is_dir():
        top = target.replace(target.with_name(f"{target.name}.top"))
        (top / content[0].name).replace(target)
        top.rmdir()
