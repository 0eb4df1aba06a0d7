"""Images in memory -> one `Radiograph`: NumPy arrays, Pillow images and pydicom data sets.

Samples mean what they mean in a file: an array of uint16 is read as a 16-bit PNG is. Pillow images
and data sets are written to memory and read back, so that what files are checked for they are too.
"""

from __future__ import annotations

import os
from copy import copy, deepcopy
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from covid_cxr.errors import InputError, UnreadableImage
from covid_cxr.imaging import greyscale, raster, sixteen_bit
from covid_cxr.imaging.dicom.file import MALFORMED
from covid_cxr.imaging.read import read
from covid_cxr.types import FloatArray, Radiograph

if TYPE_CHECKING:
    from pydicom import Dataset

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | NDArray[Any] | Image.Image | Dataset | Radiograph"
)

_SOURCES = "a path, bytes, a NumPy array, a Pillow image or a pydicom Dataset"
_DTYPES = "bool, uint8, uint16, or floats from 0 to 1"
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}  # others are written as TIFF
_TOLERANCE = 1e-6  # of floats beyond 0 and 1, for rounding


def read_image(
    source: ImageSource, *, max_pixels: int = raster.MAX_PIXELS, sha256: str | None = None
) -> Radiograph:
    """Read one radiograph from a file, from its content or from memory.

    Args:
        source: one of

            - a path, or the content of a file as bytes: PNG, JPEG, WEBP, BMP, TIFF, GIF,
              JPEG 2000, PPM or DICOM; recognised by content, not by name;
            - a NumPy array, (H, W) grey or (H, W, 3) colour, larger is brighter: uint8 (0 to 255),
              uint16 (scaled by the bits used, as 12 of 16), bool, or floats from 0 to 1;
            - a Pillow image of any mode, or a pydicom Dataset with its pixel data;
            - a Radiograph, which is returned as it is.
        max_pixels: a larger image raises an error before it is decoded.
        sha256: that a path or bytes must have, as a cohort states it; None takes what is there.

    Returns:
        The radiograph: pixels float32 (H, W) in [0, 1], larger is brighter.

    Raises:
        UnreadableImage: no such file, no image, damaged, smaller than 32 pixels a side, another
            shape or type of array, or values that are not finite. One line, with the reason.
        InputError: the source is something else.

    >>> import numpy as np
    >>> radiograph = read_image(np.full((64, 48), 51, dtype=np.uint8))
    >>> radiograph.height, radiograph.width, float(radiograph.pixels.max())
    (64, 48, 0.20000000298023224)
    """
    check_source(source)
    if isinstance(source, Radiograph):
        return source
    if isinstance(source, str | os.PathLike | bytes):
        return read(source, max_pixels=max_pixels, sha256=sha256)
    origin = name_of(source)
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source, origin, max_pixels)
        if isinstance(source, Image.Image):
            raster.check_size(source.width, source.height, max_pixels)
            data, stated = _encoded(source), source.format or source.mode
        else:
            data, stated = _encoded_dataset(source), "DICOM"
    except UnreadableImage as error:
        raise UnreadableImage(f"'{origin}' {error}") from error
    return replace(read(data, max_pixels=max_pixels, origin=origin), format=stated)


def check_source(source: object) -> None:
    """Check that `source` is of a kind that `read_image` reads; nothing is read yet.

    Raises:
        InputError: it is of another type, or an empty path.
    """
    is_kind = isinstance(source, str | os.PathLike | bytes | np.ndarray | Image.Image | Radiograph)
    if not is_kind and not _is_dataset(source):
        raise InputError(
            f"cannot read a radiograph from {type(source).__name__}; expected {_SOURCES}"
        )
    if isinstance(source, str) and not source:
        raise InputError(f"the path of the radiograph is empty; expected {_SOURCES}")


def name_of(source: object) -> str:
    """Return what stands for the file name of a source in memory.

    >>> name_of(np.zeros((64, 64)))
    '<array>'
    """
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, np.ndarray):
        return "<array>"
    return "<Pillow image>" if isinstance(source, Image.Image) else "<DICOM data set>"


def _is_dataset(source: object) -> bool:
    from pydicom import Dataset

    return isinstance(source, Dataset)


def _from_array(array: NDArray[Any], origin: str, max_pixels: int) -> Radiograph:
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] == 3):
        raise UnreadableImage(f"has shape {array.shape}, expected (H, W) or (H, W, 3)")
    raster.check_size(array.shape[1], array.shape[0], max_pixels)
    pixels, flags = _scaled(array)
    if pixels.ndim == 3:
        pixels, more = greyscale.to_grey(pixels)
        flags += more
    bits = 1 if array.dtype == bool else 8 * array.dtype.itemsize
    return Radiograph(pixels, origin, "array", bits, flags=flags)


def _scaled(array: NDArray[Any]) -> tuple[FloatArray, tuple[str, ...]]:
    """Return samples as float32 in [0, 1], a copy, and flags."""
    flags: tuple[str, ...] = ()
    top = 1
    if array.dtype == np.uint8:
        top = 255
    elif array.dtype == np.uint16:
        top, flags = sixteen_bit.used_range(int(array.max()))
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not np.isfinite([low, high]).all():
            raise UnreadableImage("holds values that are not finite numbers")
        if low < -_TOLERANCE or high > 1 + _TOLERANCE:
            raise UnreadableImage(
                f"holds floats from {low:g} to {high:g}, expected 0 to 1; scale them first"
            )
    elif array.dtype != bool:
        raise UnreadableImage(f"has samples of type {array.dtype}, expected {_DTYPES}")
    scaled = array.astype(np.float32) / np.float32(top)
    return np.clip(scaled, 0, 1, out=scaled), flags


def _encoded(image: Image.Image) -> bytes:
    """Return a Pillow image, turned upright as its EXIF orientation says, as a lossless file."""
    buffer = BytesIO()
    container = "PNG" if image.mode in _PNG_MODES else "TIFF"
    try:
        upright = ImageOps.exif_transpose(image)
        upright.save(buffer, container, **({"compress_level": 1} if container == "PNG" else {}))
    except raster.DECODER_ERRORS as error:
        raise UnreadableImage(f"cannot be decoded: {error or type(error).__name__}") from error
    return buffer.getvalue()


def _encoded_dataset(dataset: Dataset) -> bytes:
    """Return a data set, which is left as it is, as a DICOM file."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    whole: Any = copy(dataset)
    whole.file_meta = deepcopy(getattr(dataset, "file_meta", None) or FileMetaDataset())
    if "TransferSyntaxUID" not in whole.file_meta:
        whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.preamble = bytes(128)
    buffer = BytesIO()
    try:
        dcmwrite(buffer, whole, enforce_file_format=False)
    except MALFORMED as error:
        raise UnreadableImage(f"is a data set that cannot be written: {error}") from error
    return buffer.getvalue()
