"""Pixel padding (PS3.3 C.7.5.1.1.2): PixelPaddingValue, or from it to PixelPaddingRangeLimit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from covid_cxr.imaging.dicom.numbers import (
    Counts,
    Flags,
    Interval,
    Values,
    most_met,
    number,
    signed,
    unsigned,
)
from covid_cxr.types import BoolArray

# The least share of the pixels that a padding value read from its low bits must have: by chance
# one value of 12 bits has 1 / 4096.
_LEAST_SHARE = 0.01
# The least share of the pixels that padding must leave to be believed.
_LEAST_REST = 0.01


def find(values: Values, counts: Counts, dataset: Any) -> tuple[BoolArray, Flags]:
    """Tell which of the stored `values`, that occur `counts` times, are padding; flags.

    Of the readings of the stated numbers (as stated, as US, as SS, their BitsStored low bits) the
    one that meets most pixels is used, and flagged where explicit VR states another. Padding that
    leaves under 1 % of the pixels is ignored and flagged.
    """
    none = np.zeros(values.shape, bool)
    stated = _stated(dataset)
    if stated is None:
        return none, ()
    readings = [_sorted(*stated), *_both(*stated)]
    at = most_met(readings, values, counts)
    padding = _inside(values, readings[at])
    if not counts[padding].any():
        return _by_low_bits(values, counts, dataset, stated)
    if counts[~padding].sum() < _LEAST_REST * counts.sum():
        return none, ("padding covers the whole picture: ignored",)
    implicit, _ = dataset.original_encoding
    return padding, () if implicit or readings[at] == readings[0] else _flag(*stated, readings[at])


def outside_stored_bits(dataset: Any) -> Interval | None:
    """Return the padding as numbers of BitsAllocated where BitsStored cannot hold it, else None.

    Such padding is only told from pixels before the unused bits are removed.
    """
    stated = _stated(dataset)
    if stated is None or dataset.BitsAllocated != 16:
        return None
    readings = dict(zip((0, 1), _both(*stated), strict=True))
    padding = readings[int(dataset.PixelRepresentation)]
    bits, is_signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    low = -(1 << (bits - 1)) if is_signed else 0
    high = low + (1 << bits) - 1
    return padding if padding.last < low or padding.first > high else None


def _stated(dataset: Any) -> tuple[int, int] | None:
    first = number(dataset, "PixelPaddingValue")
    last = number(dataset, "PixelPaddingRangeLimit")
    last = first if last is None else last
    if first is None or last is None or not math.isfinite(first + last):
        return None
    return int(first), int(last)


def _both(first: int, last: int) -> list[Interval]:
    return [_sorted(unsigned(first), unsigned(last)), _sorted(signed(first), signed(last))]


def _sorted(first: int, last: int) -> Interval:
    return Interval(min(first, last), max(first, last))


def _inside(values: Values, interval: Interval) -> BoolArray:
    return np.asarray((values >= interval.first) & (values <= interval.last))


def _by_low_bits(
    values: Values, counts: Counts, dataset: Any, stated: tuple[int, int]
) -> tuple[BoolArray, Flags]:
    """Try the low bits of a padding value that BitsStored cannot hold."""
    bits = min(int(dataset.BitsStored), 16)
    low = [signed(end, bits) if dataset.PixelRepresentation else end % 2**bits for end in stated]
    padding = _inside(values, _sorted(*low))
    share = counts[padding].sum() / counts.sum()
    if stated[0] != stated[1] or not _LEAST_SHARE <= share <= 1 - _LEAST_REST:
        return np.zeros(values.shape, bool), ()
    return padding, _flag(*stated, _sorted(*low))


def _flag(first: int, last: int, used: Interval) -> Flags:
    stated = f"{first}" if first == last else f"{first} to {last}"
    read = f"{used.first}" if used.first == used.last else f"{used.first} to {used.last}"
    return (f"padding {stated} read as {read}, which the pixels have",)
