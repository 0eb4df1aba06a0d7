"""Lookup tables of DICOM objects (PS3.3 C.11.1.1, C.11.2.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covid_cxr.imaging.dicom.numbers import (
    BROKEN,
    Counts,
    Flags,
    Interval,
    Values,
    most_met,
    signed,
    unsigned,
)

_LEAST_BITS = 8  # "shall be 8 or 16" or, of a VOI LUT, between them


@dataclass(frozen=True)
class Lut:
    """A lookup table.

    Attributes:
        entries: unsigned integers.
        first: the value that the first entry is for.
        bits: that the entries have by LUTDescriptor.
        implicit: no VR states the sign of `first`.
    """

    entries: NDArray[Any]
    first: int
    bits: int
    implicit: bool

    @property
    def used_bits(self) -> int:
        """The stated bits where the largest entry needs them, else what it needs, 8 or more."""
        needed = max(_LEAST_BITS, int(self.entries.max()).bit_length())
        fits = int(self.entries.max()) < 1 << self.bits
        return min(self.bits, needed) if fits else needed

    def interval(self, first: int) -> Interval:
        """Return the values that have an entry of their own if the first is for `first`."""
        return Interval(first, first + len(self.entries) - 1)


def parse(item: Any, dataset: Any, prefix: str = "LUT") -> Lut | None:
    """Return the table of a sequence item of `dataset`, or of itself; None if malformed.

    pydicom's index has the type of its output, so that 8-bit tables of 4096 entries wrap around.

    Args:
        item: holds the table.
        dataset: states byte order and VR.
        prefix: what the keywords of the descriptor and the entries start with.
    """
    implicit, little = dataset.original_encoding
    word = "<u2" if little else ">u2"
    try:
        count, first, bits = (int(value) for value in item[f"{prefix}Descriptor"].value)
        count = unsigned(count) or 2**16
        data = item[f"{prefix}Data"].value
        raw = data if isinstance(data, bytes) else np.asarray(data).astype(word).tobytes()
        # 8-bit entries may be packed two to a word, or have a word each.
        exact = len(raw) == count + count % 2
        packed = len(raw) < 2 * count and (bits <= _LEAST_BITS or exact)
        entries = np.frombuffer(raw, "u1" if packed else word, count)
    except BROKEN:
        return None
    return Lut(entries, first, bits, bool(implicit)) if 1 <= bits <= 16 else None


def look_up(lut: Lut, values: Values, counts: Counts) -> tuple[Values, Flags]:
    """Return the entries for `values`, which occur `counts` times, and flags.

    Of the two readings of the first value mapped, the one whose table holds most pixels is used,
    and flagged where explicit VR states the other. Outside the table its ends hold (C.11.1.1.1).
    """
    readings = [lut.first, unsigned(lut.first), signed(lut.first)]
    first = readings[most_met([lut.interval(start) for start in readings], values, counts)]
    index = np.clip(np.rint(values) - first, 0, len(lut.entries) - 1).astype(np.int64)
    agrees = lut.implicit or first == lut.first
    flag = f"LUT from {lut.first} read as from {first}, which meets the pixels"
    return np.asarray(lut.entries[index], np.float64), () if agrees else (flag,)


def scale(lut: Lut, output: Values) -> tuple[Values, Flags]:
    """Scale the output of a VOI LUT to [0, 1] by the bits that its entries use, and flags.

    Some CR units state 16 bits for entries of 12.
    """
    bits = lut.used_bits
    flag = f"VOI LUT of {lut.bits} bits stated, its entries use {bits}: those used"
    return output / (2.0**bits - 1), () if bits == lut.bits else (flag,)
