"""Fetch one file over HTTPS so that a lost connection, or a lost evening, costs nothing twice.

What has arrived stays in a folder beside a note of the file's ETag or date. The next attempt asks
for the rest on the condition that the file is still the same (RFC 9110, 13.1.5 and 14); if it has
changed, or the server knows no ranges, it begins anew. Only https is spoken, to the end of every
redirect; plain http only with this machine itself.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import time
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from covid_cxr.cohort.download.unpack import room
from covid_cxr.errors import CohortError, InputError
from covid_cxr.files import atomic_write, sha256_of
from covid_cxr.progress import report

logger = logging.getLogger(__name__)

ARCHIVE = "archive"
_WAITS = (1, 2, 5, 10)  # seconds before each further attempt, as long as none brings more
_TIMEOUT = 60  # seconds without a byte
_BLOCK = 1 << 20
_PASSING = {408, 416, 425, 429}  # statuses below 500 that another attempt may cure
_LOST = (HTTPException, ConnectionError, TimeoutError, ssl.SSLError, URLError)


class _Kept(NamedTuple):
    """Of what file a part is: the condition under which to go on, and the whole size in bytes."""

    url: str = ""
    validator: str = ""
    size: int | None = None


def address(link: str) -> str:
    """Return `link` without query and fragment, where secrets may stand, after checking it.

    Raises:
        InputError: it is no https address, names a user or has characters no address has.
    """
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"'{link}' is no address ({error}); expected https://...") from error
    url = parts._replace(query="", fragment="").geturl()
    if not host or not re.fullmatch("[!-~]+", link) or not _is_safe(link):
        raise InputError(
            f"'{url}' is refused; expected an address with https:// and no spaces or letters "
            "beyond ASCII (write those as %20 and so on)"
        )
    if "@" in parts.netloc:
        raise InputError(f"the address at '{host}' names a user; leave that out of it")
    return url


def download(link: str, part: Path, sha256: str | None = None) -> str:
    """Fetch `link` as the file `archive` in the folder `part`; return its SHA-256.

    Args:
        link: https address.
        part: existing folder; what it holds of an earlier attempt is gone on with.
        sha256: expected checksum, 64 hexadecimal digits. A file with another one is removed.

    Raises:
        CohortError: refused by the server, out of reach, or of another checksum.
        InputError: `link` is no https address, or the disk has no room for the file.
    """
    url, archive = address(link), part / ARCHIVE
    furthest, waits = _size(archive), list(_WAITS)
    while True:
        try:
            _attempt(link, archive, sha256)
            return _checked(url, archive, sha256)
        except _LOST as error:
            why = _explained(url, archive, error)
        if _size(archive) > furthest:
            furthest, waits = _size(archive), list(_WAITS)
        if not waits:
            raise CohortError(
                f"'{url}': {why}; {_size(archive) / 1e6:.1f} MB are kept in '{part}': check the "
                "network or proxy (HTTPS_PROXY), then the same command goes on from there"
            )
        logger.info("%s after %.1f MB, trying again", why, _size(archive) / 1e6)
        time.sleep(waits.pop(0))


def _attempt(link: str, archive: Path, sha256: str | None) -> None:
    """Bring the rest of the file, or all of it; returns only if it is as long as announced."""
    kept, have = _kept(archive, address(link)), _size(archive)
    if have and have == kept.size:
        return
    headers = {"User-Agent": "covid-cxr"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": kept.validator}
    with build_opener(_Redirects).open(Request(link, headers=headers), timeout=_TIMEOUT) as reply:
        start, kept = _extent(reply, archive, kept, address(link))
        if kept.size is None and sha256 is None:
            raise CohortError(
                f"'{kept.url}' does not say how long it is, so that nobody knows when it is whole; "
                "give its checksum with --sha256"
            )
        # Twice the size: the archive and what it holds, for radiographs hardly shrink in one.
        room(archive.parent, 2 * (kept.size or 0) - start, f"'{kept.url}' with what it holds")
        if not start:  # first of all, lest old bytes be taken for the new file's
            archive.unlink(missing_ok=True)
        atomic_write(_note(archive), json.dumps(kept))
        _receive(reply, archive, start, kept)
    if kept.size is not None and _size(archive) < kept.size:
        raise ConnectionError("the connection ended early")


def _receive(reply: Any, archive: Path, start: int, kept: _Kept) -> None:
    host = urlsplit(kept.url).hostname or ""
    with archive.open("r+b" if start else "wb") as out:
        out.seek(start)
        while block := reply.read(_BLOCK):
            out.write(block)
            if kept.size:
                report(f"{host} (MB)", out.tell() // 10**6, max(1, kept.size // 10**6))


def _extent(reply: Any, archive: Path, kept: _Kept, url: str) -> tuple[int, _Kept]:
    """Return at which byte the reply begins, and of what file it is."""
    etag, date = reply.headers.get("ETag", ""), reply.headers.get("Last-Modified", "")
    validator = date if not etag or etag.startswith("W/") else etag  # a weak one does not hold
    if reply.status != HTTPStatus.PARTIAL_CONTENT:
        length = reply.headers.get("Content-Length", "")
        return 0, _Kept(url, validator, int(length) if length.isdecimal() else None)
    have = _size(archive)
    sent = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.headers.get("Content-Range", ""))
    if not sent or (int(sent[1]), int(sent[2]), validator) != (have, kept.size, kept.validator):
        _forget(archive)
        raise HTTPException("the server sent a part of another file")
    return have, kept


def _kept(archive: Path, url: str) -> _Kept:
    """Return of what file the part is; one that nothing safe is known of is removed."""
    try:
        kept = _Kept(*json.loads(_note(archive).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        kept = _Kept()
    if kept.url != url or not (kept.validator or _size(archive) == kept.size):
        _forget(archive)
        return _Kept()
    return kept


def _explained(url: str, archive: Path, error: Exception) -> str:
    """Return what went wrong in a few words.

    Raises:
        CohortError: another attempt would not help.
    """
    if isinstance(error, HTTPError):
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _forget(archive)
        said = f"answers {error.code} {error.reason}"
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _PASSING:
            return said
        raise CohortError(f"'{url}' {said}; check the address, and that it is open to you")
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise CohortError(
            f"'{url}': {reason.verify_message}; if a proxy of yours signs anew, name its "
            "certificates in SSL_CERT_FILE"
        )
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _checked(url: str, archive: Path, sha256: str | None) -> str:
    found = sha256_of(archive)
    if sha256 is not None and found != sha256.lower():
        _forget(archive)
        raise CohortError(
            f"'{url}' has the SHA-256 {found}, expected {sha256.lower()}; what came was removed: "
            "compare the checksum with its source, or fetch again"
        )
    return found


class _Redirects(HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917 - the signature is urllib's
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        down = req.full_url.startswith("https:") and not newurl.startswith("https:")
        if down or not _is_safe(newurl):
            scheme, host = urlsplit(newurl).scheme, urlsplit(newurl).hostname
            raise CohortError(
                f"'{address(req.full_url)}' leads on to {scheme}://{host}, which is refused; "
                "expected https to the end"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_safe(link: str) -> bool:
    parts = urlsplit(link)
    local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return parts.scheme == "https" or local


def _forget(archive: Path) -> None:
    archive.unlink(missing_ok=True)
    _note(archive).unlink(missing_ok=True)


def _note(archive: Path) -> Path:
    return archive.with_name("archive.json")


def _size(archive: Path) -> int:
    return archive.stat().st_size if archive.exists() else 0
