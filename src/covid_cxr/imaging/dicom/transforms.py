"""Stored samples -> what a viewer would show (PS3.3 C.11): modality, VOI, polarity, padding.

The steps treat each sample by itself, so they are worked out once for every value that occurs
and then looked up: exact in float64, and a 10-megapixel film takes tens of milliseconds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.errors import BytesLengthException
from scipy.special import expit

from covid_cxr.errors import UnreadableImage
from covid_cxr.types import BoolArray, FloatArray

Values = NDArray[np.float64]
Flags = tuple[str, ...]

_BROKEN = (BytesLengthException, ValueError, TypeError, AttributeError, LookupError, OverflowError)
_NO_WINDOW = ("no window: percentiles used",)
_BAD_WINDOW = ("window unusable: percentiles used",)


def render(stored: NDArray[Any], dataset: Any) -> tuple[FloatArray, Flags]:
    """Turn the stored samples of a monochrome object into what is shown.

    Modality LUT or rescale (C.11.1), then the first VOI LUT, else the first window (C.11.2), else
    the 0.5 and 99.5 percentiles; last the polarity. That is PhotometricInterpretation's alone
    (C.7.6.3.1.2): in an image PresentationLUTShape only restates it (INVERSE "shall be used" with
    MONOCHROME1), so the two never invert twice, and a contradiction is flagged. Padding
    (C.7.5.1.1.2) is background: black in either polarity, and left out of the percentiles.

    Args:
        stored: integers (H, W).
        dataset: the object they come from.

    Returns:
        Pixels float32 (H, W) in [0, 1], larger is brighter; flags.

    Raises:
        UnreadableImage: a modality LUT that cannot be used.
    """
    values, places = _occurring(stored)
    padding = _padding(values, dataset)
    modality, flags = _modality(values.astype(np.float64), dataset)
    shown, more = _voi(modality, dataset)
    if shown is None:
        shown = _by_percentiles(modality, np.where(padding, 0, _counts(places, len(values))))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    shown[padding] = 0
    table = np.clip(shown, 0, 1).astype(np.float32)
    return _painted(table, places), flags + more + _polarity_flags(dataset)


def _occurring(stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return values and, for every pixel, the index of its value among them."""
    low, high = int(stored.min()), int(stored.max())
    if high - low < 2**16:
        wide = np.subtract(stored, low, dtype=np.int32 if stored.itemsize <= 2 else np.int64)
        return np.arange(low, high + 1), wide.astype(np.uint16)
    values, places = np.unique(stored, return_inverse=True)
    return values, places.reshape(stored.shape)


def _painted(table: FloatArray, places: NDArray[Any]) -> FloatArray:
    """Look every pixel up, row by row: indices are widened to 64 bits, which a film feels."""
    pixels = np.empty(places.shape, np.float32)
    for row, line in zip(pixels, places, strict=True):
        table.take(line, out=row, mode="clip")
    return pixels


def _counts(places: NDArray[Any], values: int) -> NDArray[np.int64]:
    """Return how many pixels have each value."""
    counts = np.zeros(values, np.int64)
    for block in np.array_split(places.ravel(), 1 + places.size // 2**22):
        counts += np.bincount(block, minlength=values)
    return counts


def _padding(values: NDArray[Any], dataset: Any) -> BoolArray:
    """Tell which values pad: PixelPaddingValue, or all from it to PixelPaddingRangeLimit."""
    first = _number(dataset, "PixelPaddingValue")
    last = _number(dataset, "PixelPaddingRangeLimit")
    ends = [_signed(end, dataset) for end in (first, last) if end is not None]
    if first is None or not all(map(math.isfinite, ends)):
        return np.zeros(values.shape, bool)
    return np.asarray((values >= min(ends)) & (values <= max(ends)))


def _signed(value: float, dataset: Any) -> float:
    """Undo a padding value written as US where the pixels are signed (63536 for -2000)."""
    return value - 2**16 if dataset.PixelRepresentation == 1 and value >= 2**15 else value


def _modality(stored: Values, dataset: Any) -> tuple[Values, Flags]:
    if dataset.get("ModalityLUTSequence"):
        table = _table(dataset.ModalityLUTSequence[0], dataset)
        if table is None:
            raise UnreadableImage("is DICOM with a modality LUT that cannot be used")
        return _look_up(stored, *table[:2]), ()
    slope = _number(dataset, "RescaleSlope")
    intercept = _number(dataset, "RescaleIntercept")
    with np.errstate(over="ignore", invalid="ignore"):
        rescaled = stored * (1.0 if slope is None else slope) + (intercept or 0.0)
    if slope == 0 or not np.isfinite(rescaled).all():
        return stored, ("rescale unusable: ignored",)
    return rescaled, ()


def _voi(values: Values, dataset: Any) -> tuple[Values | None, Flags]:
    """Return what the table or window makes of `values`, about [0, 1]; None where neither can."""
    flags: Flags = ()
    if dataset.get("VOILUTSequence"):
        table = _table(dataset.VOILUTSequence[0], dataset)
        if table is not None:
            return _look_up(values, *table[:2]) / table[2], ()
        flags = ("VOI LUT unusable: ignored",)
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if center is None or width is None:
        return None, flags + _NO_WINDOW
    function = _text(dataset, "VOILUTFunction") or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function, flags = "LINEAR", (*flags, "VOI LUT function unknown: LINEAR used")
    # NaN, from a broken number, fails both comparisons.
    if not (width >= 1 if function == "LINEAR" else width > 0) or not math.isfinite(center + width):
        return None, flags + _BAD_WINDOW
    return _window(values, center, width, function), flags


def _window(values: Values, center: float, width: float, function: str) -> Values:
    """Apply a window with output [0, 1] (C.11.2.1.2.1, C.11.2.1.3)."""
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = (values - center) / width
        return np.asarray(expit(4 * scaled)) if function == "SIGMOID" else scaled + 0.5


def _by_percentiles(values: Values, counts: NDArray[np.int64]) -> Values:
    """Scale `values`, each found `counts` times, from the 0.5 to the 99.5 percentile."""
    if not counts.any():
        return np.zeros(values.shape)
    order = np.argsort(values)
    ranks = np.cumsum(counts[order])
    at = np.array([0.005, 0.995]) * (ranks[-1] - 1)
    below = values[order[np.searchsorted(ranks, np.floor(at), side="right")]]
    above = values[order[np.searchsorted(ranks, np.ceil(at), side="right")]]
    low, high = (below + (above - below) * (at - np.floor(at))).tolist()
    if not high > low:
        return np.zeros(values.shape)
    return np.asarray((values - low) / (high - low))


def _look_up(values: Values, entries: NDArray[Any], first: int) -> Values:
    """Apply a LUT; outside its domain the first and last entries hold (C.11.1.1.1)."""
    index = np.clip(np.rint(values) - first, 0, len(entries) - 1).astype(np.int64)
    return np.asarray(entries[index], np.float64)


def _table(item: Any, dataset: Any) -> tuple[NDArray[Any], int, float] | None:
    """Return entries, first value mapped and the highest output of a LUT item; None if broken.

    Not pydicom's: its index has the output's type, so 8-bit tables of 4096 entries wrap around.
    """
    _, little = dataset.original_encoding
    word = "<u2" if little else ">u2"
    try:
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        count = count % 2**16 or 2**16
        data = item.LUTData
        raw = data if isinstance(data, bytes) else np.asarray(data).astype(word).tobytes()
        # Eight-bit entries may stand two to a word, or in a word each.
        packed = bits <= 8 and len(raw) < 2 * count
        entries = np.frombuffer(raw, "u1" if packed else word, count)
    except _BROKEN:
        return None
    return (entries, first, 2.0**bits - 1) if 1 <= bits <= 16 else None


def _number(dataset: Any, keyword: str) -> float | None:
    """Return the first value; None where there is none, NaN where it is no number."""
    try:
        value = dataset.get(keyword)
        value = value if value is None or isinstance(value, int | float | str) else value[0]
        return None if value is None or value == "" else float(value)
    except _BROKEN:
        return math.nan


def _text(dataset: Any, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip().upper()


def _polarity_flags(dataset: Any) -> Flags:
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    expected = "INVERSE" if inverted else "IDENTITY"
    if _text(dataset, "PresentationLUTShape") in ("", expected):
        return ()
    return (f"PresentationLUTShape contradicts {dataset.PhotometricInterpretation}: ignored",)
