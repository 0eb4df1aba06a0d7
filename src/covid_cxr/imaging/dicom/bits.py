"""The bits of stored samples that are the value (PS3.5 8.1.1), for all transfer syntaxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covid_cxr.imaging.dicom import padding

Samples = NDArray[np.integer[Any]]
Flags = tuple[str, ...]

_HIGH_BIT = "HighBit {} stated, the values are in the {} bits"

# Every pixel of an overlay adds to the differences; a value that wraps once in a row doubles them.
_SMOOTHER = 1.1
# Real radiographs of 10 to 15 bits are 6 to 56 times as rough with their bytes swapped.
_SWAPPED = 3


def in_byte_order(samples: Samples) -> tuple[Samples, Flags]:
    """Swap the bytes of 16-bit samples (H, W) that are in the other order than stated; flag it.

    In the wrong order the low bits, which change from pixel to pixel, are the high ones.
    """
    if samples.dtype.itemsize != 2 or samples.ndim != 2:
        return samples, ()
    rows = samples[:: max(1, len(samples) // 256)]
    if _SWAPPED * _relative_roughness(rows.byteswap()) >= _relative_roughness(rows):
        return samples, ()
    return samples.byteswap(), ("bytes of the pixels in the other order: swapped",)


def _relative_roughness(rows: Samples) -> float:
    """Return the mean difference between adjacent pixels of a row, as a share of the range."""
    values = rows.astype(np.int64)
    return float(np.abs(np.diff(values, axis=1)).mean() / max(1, np.ptp(values)))


def significant(samples: Samples, dataset: Any, width: int) -> tuple[Samples, Flags]:
    """Extract the BitsStored bits that end at HighBit, sign extended; return a flag too.

    Padding that they cannot hold keeps all its bits: it would become one of the values. Where the
    values need more than BitsStored, so that without the bits above they wrap from white to black,
    all bits are kept, BitsStored is corrected and flagged: an overlay makes a picture rougher, and
    the high bits of a value make it smoother. A HighBit that contradicts the samples is corrected:
    values in the high bits leave the low ones 0, and values in the low bits the high ones.

    Args:
        samples: integers, as decoded.
        dataset: the object they come from.
        width: the bits of a sample in the file.
    """
    signed, stored = dataset.PixelRepresentation, dataset.BitsStored
    cells = extract(samples, dataset.HighBit, stored, signed)
    if dataset.HighBit != stored - 1:
        return _in_low_bits(samples, dataset, cells)
    if width <= stored or _are_whole(cells, samples, width):
        return cells, ()
    whole = extract(samples, width - 1, width, signed)
    outside = padding.outside_stored_bits(dataset)
    if outside is not None:
        np.copyto(cells, whole, where=(whole >= outside.first) & (whole <= outside.last))
    if not is_smoother(whole, cells):
        return cells, ()
    if not (whole & ((1 << (width - stored)) - 1)).any():
        return whole >> (width - stored), (_HIGH_BIT.format(dataset.HighBit, "high"),)
    dataset.BitsStored, dataset.HighBit = width, width - 1
    return whole, (f"{stored} bits stated, the values need more: all {width} used",)


def _in_low_bits(samples: Samples, dataset: Any, cells: Samples) -> tuple[Samples, Flags]:
    """Return the low bits if the samples use no others, though HighBit says so; else `cells`."""
    stored = dataset.BitsStored
    low = extract(samples, stored - 1, stored, dataset.PixelRepresentation)
    below = dataset.HighBit + 1 - stored
    if not _are_whole(low, samples, dataset.HighBit + 1) or not (low & ((1 << below) - 1)).any():
        return cells, ()
    return low, (_HIGH_BIT.format(dataset.HighBit, "low"),)


def _are_whole(cells: Samples, samples: Samples, width: int) -> bool:
    """Tell whether the cells are the samples with all their bits; by rows, to spare memory."""
    signed = int(cells.dtype.kind == "i")
    rows = zip(cells, samples, strict=True)
    return all(np.array_equal(cell, extract(row, width - 1, width, signed)) for cell, row in rows)


def is_smoother(one: Samples, other: Samples) -> bool:
    """Tell whether one reading of an image (H, W) is clearly smoother than the other."""
    return _SMOOTHER * _roughness(one) < _roughness(other)


def _roughness(cells: Samples) -> int:
    """Return the sum of differences between adjacent pixels, of some 256 rows and columns."""
    rows = cells[:: max(1, cells.shape[0] // 256)].astype(np.int64)
    columns = cells[:, :: max(1, cells.shape[1] // 256)].astype(np.int64)
    return int(np.abs(np.diff(rows, axis=1)).sum() + np.abs(np.diff(columns, axis=0)).sum())


def extract(samples: Samples, high: int, count: int, signed: int) -> Samples:
    """Extract `count` bits that end at bit `high`; sign extended if `signed`."""
    size = 8 * samples.dtype.itemsize
    kind = "i" if signed else "u"
    cells = samples.astype(samples.dtype.newbyteorder("=")).view(f"{kind}{samples.dtype.itemsize}")
    cells <<= size - 1 - high
    cells >>= size - count
    return cells


def clip(samples: Samples, dataset: Any) -> Samples:
    """Clip what lossy coding left a sixteenth or less outside BitsStored: its bits would wrap."""
    low = -(1 << (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
    high, margin = low + (1 << dataset.BitsStored) - 1, (1 << dataset.BitsStored) >> 4
    wide = samples.astype(np.int32)
    wide[(wide > high) & (wide <= high + margin)] = high
    wide[(wide < low) & (wide >= low - margin)] = low
    return wide.astype(samples.dtype)
