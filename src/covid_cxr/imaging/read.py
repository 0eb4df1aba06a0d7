"""A path or bytes of any supported container -> one `Radiograph`."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import stat
import threading
import warnings
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from PIL import _imaging

from covid_cxr.errors import AlteredImage, UnreadableImage
from covid_cxr.imaging import raster, tiff
from covid_cxr.imaging.dicom import file, reading
from covid_cxr.types import Radiograph

MAX_BYTES = 1 << 30


def read(
    source: str | os.PathLike[str] | bytes,
    *,
    max_pixels: int = raster.MAX_PIXELS,
    sha256: str | None = None,
    origin: str | None = None,
) -> Radiograph:
    """Decode one radiograph: PNG, JPEG, WEBP, BMP, TIFF, GIF, JPEG 2000, PPM or DICOM.

    The container is detected from the bytes, never from the name. Of several frames the first is
    used and flagged (DICOM multi-frame objects raise an error). Colour becomes Rec. 601 luma,
    transparency is composited on black, EXIF orientation is applied, 16-bit samples keep all the
    bits that they use. docs/reading.md says what is read and flagged where files contradict
    themselves.

    Args:
        source: a path, or the content of a file.
        max_pixels: a larger image raises an error before it is decoded.
        sha256: of the bytes, as a cohort states it; None decodes whatever is there.
        origin: what the radiograph and messages call it; None for its path, or "<bytes>".

    Returns:
        The radiograph, pixels float32 (H, W) in [0, 1], larger is brighter.

    Raises:
        UnreadableImage: no such file, no regular file, no permission, no image, damaged, smaller
            than 32 pixels a side, larger than `max_pixels` or 1 GiB. One line, with the reason.
        AlteredImage: the bytes have another SHA-256 than `sha256`.
    """
    if origin is None:
        origin = "<bytes>" if isinstance(source, bytes) else _printable(os.fspath(source))
    try:
        data = source if isinstance(source, bytes) else _load(Path(source))
        _verify(data, origin, sha256)
        return _decode(data, origin, max_pixels)
    except UnreadableImage as error:
        reason = _printable(" ".join(str(error).split()))  # it may quote the file's content
        raise UnreadableImage(f"'{origin}' {reason}") from error


def _printable(text: str) -> str:
    """Escape text with line breaks or broken characters, so that it stays one line."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _load(path: Path) -> bytes:
    """Return the content; a FIFO or device raises an error, as opening it could block."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableImage("is a folder, expected an image file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage("is a pipe, socket or device, expected an image file")
        if status.st_size > MAX_BYTES:
            raise UnreadableImage(f"has {status.st_size} bytes, the limit is {MAX_BYTES}")
        return path.read_bytes()
    except FileNotFoundError as error:
        reason = "is a link to nowhere" if path.is_symlink() else "does not exist"
        raise UnreadableImage(reason) from error
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {error.strerror}") from error
    except MemoryError as error:
        raise UnreadableImage("does not fit into memory") from error
    except ValueError as error:
        raise UnreadableImage(f"is no path: {error}") from error


def _verify(data: bytes, origin: str, sha256: str | None) -> None:
    # Hashed here and not by the caller, so that the bytes compared are the bytes decoded.
    if sha256 is not None and (present := hashlib.sha256(data).hexdigest()) != sha256:
        raise AlteredImage(
            f"'{origin}' is not the file that the cohort was built on (sha256 {present:.12}, "
            f"expected {sha256:.12}): its label may not fit; restore the file or build the cohort "
            "again"
        )


def _decode(data: bytes, origin: str, max_pixels: int) -> Radiograph:
    if not data:
        raise UnreadableImage("is empty (0 bytes)")
    with _SILENCE:
        if file.is_dicom(data):
            return reading.decode(data, origin, max_pixels)
        strips = tiff.parse(data)
        if strips is not None:
            return tiff.decode(strips, data, origin, max_pixels)
        return raster.decode(raster.open_image(data, max_pixels), data, origin)


class _Silence:
    """Suppress the libraries' warnings about unusual headers; `Radiograph.flags` has those needed.

    Warning filters, log levels and libtiff's handlers belong to the whole process, and threads
    that overlap would restore each other's: here the first to enter replaces them and the last to
    leave restores them. GDCM's JPEG decoders report damaged streams on file descriptor 2, which
    stays open: other threads write to it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._swap()

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore.close()

    def _swap(self) -> None:
        self._restore.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for library in map(logging.getLogger, ("PIL", "pydicom")):
            self._restore.callback(library.setLevel, library.level)
            library.setLevel(logging.CRITICAL)
        for set_handler in _libtiff_handlers():
            self._restore.callback(set_handler, set_handler(None))


@cache
def _libtiff_handlers() -> tuple[Any, ...]:
    """Return libtiff's functions that set its handlers; none where Pillow hides its libtiff."""
    try:
        library = ctypes.CDLL(_imaging.__file__)
        setters = (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler)
    except (AttributeError, OSError):
        return ()
    for setter in setters:
        setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setters


_SILENCE = _Silence()
