"""A path or bytes of any supported container -> one `Radiograph`."""

from __future__ import annotations

import ctypes
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

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import raster
from covid_cxr.imaging.dicom import file, reading
from covid_cxr.types import Radiograph

MAX_BYTES = 1 << 30


def read(
    source: str | os.PathLike[str] | bytes, *, max_pixels: int = raster.MAX_PIXELS
) -> Radiograph:
    """Decode one radiograph: PNG, JPEG, WEBP, BMP, TIFF, GIF, JPEG 2000, PPM or DICOM.

    The container is told from the bytes, never from the name. Of several frames the first is
    taken and flagged (DICOM multi-frame objects are refused). Colour becomes Rec. 601 luma,
    transparency lies on black, EXIF orientation is applied, 16-bit grey keeps its 16 bits.

    Args:
        source: a path, or the content of a file.
        max_pixels: a larger film is refused before it is decoded.

    Returns:
        The radiograph, pixels float32 (H, W) in [0, 1], larger is brighter.

    Raises:
        UnreadableImage: no such file, no regular file, no permission, no image, damaged, smaller
            than 32 pixels a side, larger than `max_pixels` or 1 GiB. One line that says which.
    """
    origin = "<bytes>" if isinstance(source, bytes) else _printable(os.fspath(source))
    try:
        data = source if isinstance(source, bytes) else _load(Path(source))
        return _decode(data, origin, max_pixels)
    except UnreadableImage as error:
        said = _printable(" ".join(str(error).split()))  # it may quote what a file holds
        raise UnreadableImage(f"'{origin}' {said}") from error


def _printable(text: str) -> str:
    """Text with line breaks or broken characters is shown escaped, so that it stays one line."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _load(path: Path) -> bytes:
    """Return the content; a FIFO or device is refused before an open could hang on it."""
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


def _decode(data: bytes, origin: str, max_pixels: int) -> Radiograph:
    if not data:
        raise UnreadableImage("is empty (0 bytes)")
    with _SILENCE:
        if file.is_dicom(data):
            return reading.decode(data, origin, max_pixels)
        return raster.decode(raster.open_picture(data, max_pixels), data, origin)


class _Silence:
    """Keep the libraries' remarks on odd headers from the caller; what matters is a flag.

    Warnings, log levels and libtiff's handlers belong to the whole process, and threads that
    overlap would put back each other's: here the first to enter swaps them and the last to leave
    puts them back. GDCM's JPEG decoders write on damaged streams to file descriptor 2, which is
    left alone: to close it would lose what other threads write.
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
    """Return libtiff's functions that set where it writes; none where Pillow hides its libtiff."""
    try:
        library = ctypes.CDLL(_imaging.__file__)
        setters = (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler)
    except (AttributeError, OSError):
        return ()
    for each in setters:
        each.argtypes, each.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setters


_SILENCE = _Silence()
