"""Numbers of DICOM elements, and 16-bit numbers whose sign only the pixels tell.

LUTDescriptor, PixelPaddingValue and PixelPaddingRangeLimit are "US or SS" (PS3.6). Which one is
tied to the values that they are compared with (PS3.3 C.11.1.1, C.11.2.1.1, C.7.5.1.1.2); implicit
VR does not state it, and writers of explicit VR get it wrong. So both readings are tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = tuple[str, ...]

BROKEN = (BytesLengthException, ValueError, TypeError, AttributeError, LookupError, OverflowError)


class Interval(NamedTuple):
    """Whole numbers from `first` to `last`, both included."""

    first: int
    last: int


def number(dataset: Any, keyword: str) -> float | None:
    """Return the first value of an element; None where missing, NaN where no number."""
    values = numbers(dataset, keyword)
    return values[0] if values else None


def numbers(dataset: Any, keyword: str) -> list[float]:
    """Return all values of an element; [] where missing, NaN for what is no number."""
    try:
        value = dataset.get(keyword)
    except BROKEN:
        return [math.nan]
    values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    return [_float(value) for value in values if value is not None and value != ""]


def code(dataset: Any, keyword: str) -> str:
    """Return a code string in capitals; "" where missing."""
    return str(dataset.get(keyword) or "").strip().upper()


def unsigned(value: int) -> int:
    """Return the US reading of 16 bits.

    >>> unsigned(-2048)
    63488
    """
    return value % 2**16


def signed(value: int, bits: int = 16) -> int:
    """Return the reading of the low `bits` of a number in two's complement.

    >>> signed(63488), signed(0x0C00, bits=12)
    (-2048, -1024)
    """
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def most_met(intervals: Sequence[Interval], values: Values, counts: Counts) -> int:
    """Return the index of the interval that holds most pixels; the earliest of equals.

    Where none holds any, that is the interval nearest to the pixels.

    Args:
        intervals: one for each reading, the stated one first.
        values: that occur, ascending or descending.
        counts: how many pixels have each value.
    """
    present = values[counts > 0]
    if not len(present):
        return 0
    low, high = float(present.min()), float(present.max())

    def rank(index: int) -> tuple[int, float]:
        first, last = intervals[index]
        pixels = int(counts[(values >= first) & (values <= last)].sum())
        return pixels, -max(first - high, low - last, 0.0)

    return max(range(len(intervals)), key=rank)


def _float(value: Any) -> float:
    """Return a number, also with the decimal comma of some languages, which DS has not."""
    try:
        return float(value.replace(",", ".") if isinstance(value, str) else value)
    except BROKEN:
        return math.nan
