"""The bits of stored samples that are the value (PS3.5 8.1.1), for all transfer syntaxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covid_cxr.imaging.dicom import padding

Samples = NDArray[np.integer[Any]]


def significant(samples: Samples, dataset: Any) -> Samples:
    """Extract the BitsStored bits that end at HighBit, sign extended.

    Padding that they cannot hold keeps all its bits: it would become one of the values.
    """
    outside = padding.outside_stored_bits(dataset)
    cells = extract(samples, dataset.HighBit, dataset.BitsStored, dataset.PixelRepresentation)
    if outside is None or dataset.HighBit != dataset.BitsStored - 1 or samples.itemsize != 2:
        return cells
    whole = extract(samples, 15, 16, dataset.PixelRepresentation)
    np.copyto(cells, whole, where=(whole >= outside.first) & (whole <= outside.last))
    return cells


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
