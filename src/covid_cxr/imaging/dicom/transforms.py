"""Grayscale transformations of DICOM (PS3.3 C.11): modality LUT, VOI LUT or window, polarity.

All of them are pointwise, so they are computed once for every stored value that occurs and then
looked up: exact in float64, and an image of 10 megapixels takes tens of milliseconds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import greyscale
from covid_cxr.imaging.dicom import luts, padding, voi
from covid_cxr.imaging.dicom.numbers import Counts, Flags, Values, code, number
from covid_cxr.types import FloatArray

_CHANNELS = ("Red", "Green", "Blue")


def render(stored: NDArray[Any], dataset: Any) -> tuple[FloatArray, Flags]:
    """Transform the stored samples of a monochrome object to display values.

    Modality LUT or rescale (C.11.1), then the first VOI LUT, else window, that shows the image
    (C.11.2), else the 0.5 and 99.5 percentiles; last the polarity. That depends on
    PhotometricInterpretation alone (C.7.6.3.1.2): in an image PresentationLUTShape only restates it
    (INVERSE "shall be used" with MONOCHROME1), so the two never invert twice, and a contradiction
    is flagged. Padding (C.7.5.1.1.2) is background: black in either polarity, and excluded from the
    percentiles.

    Args:
        stored: integers (H, W); overwritten.
        dataset: the object they come from.

    Returns:
        Pixels float32 (H, W) in [0, 1], larger is brighter; flags.

    Raises:
        UnreadableImage: an unusable modality LUT.
    """
    values, indices = _unique(stored)
    counts = _counts(indices, len(values))
    background, flags = padding.find(values, counts, dataset)
    counts[background] = 0
    rescaled, more = apply_modality_lut(values.astype(np.float64), counts, dataset)
    display, last = voi.apply(rescaled, counts, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        display = 1 - display
    display[background] = 0
    table = np.clip(display, 0, 1).astype(np.float32)
    return _take(table, indices), flags + more + last + _polarity_flags(dataset)


def apply_palette(stored: NDArray[Any], dataset: Any) -> tuple[FloatArray, Flags]:
    """Transform the stored samples of a PALETTE COLOR object to luma (C.7.6.3.1.5, C.7.6.3.1.6).

    The three tables are scaled by the bits that the largest of all their entries uses.

    Args:
        stored: integers (H, W); overwritten.
        dataset: the object they come from.

    Returns:
        Pixels float32 (H, W) in [0, 1]; flags.

    Raises:
        UnreadableImage: a table is missing, malformed or segmented.
    """
    values, indices = _unique(stored)
    counts = _counts(indices, len(values))
    tables = [luts.parse(dataset, dataset, f"{name}PaletteColorLookupTable") for name in _CHANNELS]
    present = [table for table in tables if table is not None]
    if len(present) < len(tables):
        raise UnreadableImage("is DICOM in PALETTE COLOR without tables that can be used")
    outputs = [luts.look_up(table, values.astype(np.float64), counts) for table in present]
    bits = max(table.used_bits for table in present)
    channels = [_take((out / (2.0**bits - 1)).astype(np.float32), indices) for out, _ in outputs]
    grey, coloured = greyscale.to_grey(np.clip(np.stack(channels, axis=-1), 0, 1))
    return grey, tuple(dict.fromkeys(flag for _, flags in outputs for flag in flags)) + coloured


def reach(dataset: Any) -> float:
    """Return the largest stored value that the LUTs or windows of an object are for; 0 if none."""
    item = next(iter(dataset.get("ModalityLUTSequence") or ()), None)
    lut = None if item is None else luts.parse(item, dataset)
    if lut is not None:
        return float(lut.interval(lut.first).last)
    slope, intercept = number(dataset, "RescaleSlope") or 1.0, number(dataset, "RescaleIntercept")
    ends = [(end - (intercept or 0.0)) / slope for end in voi.ends(dataset)]
    return max(filter(math.isfinite, ends), default=0.0)


def _unique(stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all values that occur and, for every pixel, the index of its value among them.

    Overwrites `stored`.
    """
    low, high = int(stored.min()), int(stored.max())
    if high - low < 2**16:
        # Modulo 2**16 the difference is exact; in place, as images take hundreds of megabytes.
        indices = stored.view(np.uint16) if stored.itemsize == 2 else stored.astype(np.uint16)
        indices -= np.uint16(low % 2**16)
        return np.arange(low, high + 1), indices
    values, inverse = np.unique(stored, return_inverse=True)
    return values, inverse.reshape(stored.shape)


def _take(table: FloatArray, indices: NDArray[Any]) -> FloatArray:
    """Look up every pixel, row by row: NumPy widens the indices to 64 bits."""
    pixels = np.empty(indices.shape, np.float32)
    for row, line in zip(pixels, indices, strict=True):
        table.take(line, out=row, mode="clip")
    return pixels


def _counts(indices: NDArray[Any], values: int) -> Counts:
    """Return how many pixels have each value."""
    counts = np.zeros(values, np.int64)
    for block in np.array_split(indices.ravel(), 1 + indices.size // 2**20):
        counts += np.bincount(block, minlength=values)
    return counts


def apply_modality_lut(stored: Values, counts: Counts, dataset: Any) -> tuple[Values, Flags]:
    """Apply the modality LUT, else RescaleSlope and RescaleIntercept (C.11.1); return flags too.

    Raises:
        UnreadableImage: an unusable modality LUT.
    """
    if dataset.get("ModalityLUTSequence"):
        lut = luts.parse(dataset.ModalityLUTSequence[0], dataset)
        if lut is None:
            raise UnreadableImage("is DICOM with a modality LUT that cannot be used")
        return luts.look_up(lut, stored, counts)
    slope = number(dataset, "RescaleSlope")
    intercept = number(dataset, "RescaleIntercept")
    with np.errstate(over="ignore", invalid="ignore"):
        rescaled = stored * (1.0 if slope is None else slope) + (intercept or 0.0)
    if slope == 0 or not np.isfinite(rescaled).all():
        return stored, ("rescale unusable: ignored",)
    return rescaled, ()


def _polarity_flags(dataset: Any) -> Flags:
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    expected = "INVERSE" if inverted else "IDENTITY"
    if code(dataset, "PresentationLUTShape") in ("", expected):
        return ()
    return (f"PresentationLUTShape contradicts {dataset.PhotometricInterpretation}: ignored",)
