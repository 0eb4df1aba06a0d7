"""Grayscale transformations of DICOM (PS3.3 C.11): modality LUT, VOI LUT or window, polarity.

All of them are pointwise, so they are computed once for every stored value that occurs and then
looked up: exact in float64, and an image of 10 megapixels takes tens of milliseconds.
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
    """Transform the stored samples of a monochrome object to display values.

    Modality LUT or rescale (C.11.1), then the first VOI LUT, else the first window (C.11.2), else
    the 0.5 and 99.5 percentiles; last the polarity. That depends on PhotometricInterpretation alone
    (C.7.6.3.1.2): in an image PresentationLUTShape only restates it (INVERSE "shall be used" with
    MONOCHROME1), so the two never invert twice, and a contradiction is flagged. Padding
    (C.7.5.1.1.2) is background: black in either polarity, and excluded from the percentiles.

    Args:
        stored: integers (H, W).
        dataset: the object they come from.

    Returns:
        Pixels float32 (H, W) in [0, 1], larger is brighter; flags.

    Raises:
        UnreadableImage: an unusable modality LUT.
    """
    values, indices = _unique(stored)
    padding = _is_padding(values, dataset)
    rescaled, flags = apply_modality_lut(values.astype(np.float64), dataset)
    display, more = apply_voi_lut(rescaled, dataset)
    if display is None:
        counts = np.where(padding, 0, _counts(indices, len(values)))
        display = scale_by_percentiles(rescaled, counts)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        display = 1 - display
    display[padding] = 0
    table = np.clip(display, 0, 1).astype(np.float32)
    return _take(table, indices), flags + more + _polarity_flags(dataset)


def _unique(stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all values that occur and, for every pixel, the index of its value among them."""
    low, high = int(stored.min()), int(stored.max())
    if high - low < 2**16:
        wide = np.subtract(stored, low, dtype=np.int32 if stored.itemsize <= 2 else np.int64)
        return np.arange(low, high + 1), wide.astype(np.uint16)
    values, indices = np.unique(stored, return_inverse=True)
    return values, indices.reshape(stored.shape)


def _take(table: FloatArray, indices: NDArray[Any]) -> FloatArray:
    """Look up every pixel, row by row: NumPy widens the indices to 64 bits."""
    pixels = np.empty(indices.shape, np.float32)
    for row, line in zip(pixels, indices, strict=True):
        table.take(line, out=row, mode="clip")
    return pixels


def _counts(indices: NDArray[Any], values: int) -> NDArray[np.int64]:
    """Return how many pixels have each value."""
    counts = np.zeros(values, np.int64)
    for block in np.array_split(indices.ravel(), 1 + indices.size // 2**22):
        counts += np.bincount(block, minlength=values)
    return counts


def _is_padding(values: NDArray[Any], dataset: Any) -> BoolArray:
    """Tell which values are padding: PixelPaddingValue, or from it to PixelPaddingRangeLimit."""
    first = _number(dataset, "PixelPaddingValue")
    last = _number(dataset, "PixelPaddingRangeLimit")
    ends = [_signed(end, dataset) for end in (first, last) if end is not None]
    if first is None or not all(map(math.isfinite, ends)):
        return np.zeros(values.shape, bool)
    return np.asarray((values >= min(ends)) & (values <= max(ends)))


def _signed(value: float, dataset: Any) -> float:
    """Correct a padding value written as US where the pixels are signed (63536 for -2000)."""
    return value - 2**16 if dataset.PixelRepresentation == 1 and value >= 2**15 else value


def apply_modality_lut(stored: Values, dataset: Any) -> tuple[Values, Flags]:
    """Apply the modality LUT, else RescaleSlope and RescaleIntercept (C.11.1); return flags too."""
    if dataset.get("ModalityLUTSequence"):
        lut = _read_lut(dataset.ModalityLUTSequence[0], dataset)
        if lut is None:
            raise UnreadableImage("is DICOM with a modality LUT that cannot be used")
        return _look_up(stored, *lut[:2]), ()
    slope = _number(dataset, "RescaleSlope")
    intercept = _number(dataset, "RescaleIntercept")
    with np.errstate(over="ignore", invalid="ignore"):
        rescaled = stored * (1.0 if slope is None else slope) + (intercept or 0.0)
    if slope == 0 or not np.isfinite(rescaled).all():
        return stored, ("rescale unusable: ignored",)
    return rescaled, ()


def apply_voi_lut(values: Values, dataset: Any) -> tuple[Values | None, Flags]:
    """Apply the first VOI LUT, else the first window (C.11.2); return flags too.

    The result is about [0, 1]; None where the object has neither, or neither is usable.
    """
    flags: Flags = ()
    if dataset.get("VOILUTSequence"):
        lut = _read_lut(dataset.VOILUTSequence[0], dataset)
        if lut is not None:
            return _look_up(values, *lut[:2]) / lut[2], ()
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
    return apply_window(values, center, width, function), flags


def apply_window(values: Values, center: float, width: float, function: str) -> Values:
    """Apply a window, output 0 to 1 (LINEAR, LINEAR_EXACT, SIGMOID: C.11.2.1.2.1, C.11.2.1.3)."""
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = (values - center) / width
        return np.asarray(expit(4 * scaled)) if function == "SIGMOID" else scaled + 0.5


def scale_by_percentiles(values: Values, counts: NDArray[np.int64]) -> Values:
    """Scale `values`, which occur `counts` times, from the 0.5 to the 99.5 percentile."""
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


def _read_lut(item: Any, dataset: Any) -> tuple[NDArray[Any], int, float] | None:
    """Return entries, first value mapped and highest output of a LUT item; None if malformed.

    pydicom's index has the type of its output, so that 8-bit tables of 4096 entries wrap around.
    """
    _, little = dataset.original_encoding
    word = "<u2" if little else ">u2"
    try:
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        count = count % 2**16 or 2**16
        data = item.LUTData
        raw = data if isinstance(data, bytes) else np.asarray(data).astype(word).tobytes()
        # 8-bit entries may be packed two to a word, or have a word each.
        packed = bits <= 8 and len(raw) < 2 * count
        entries = np.frombuffer(raw, "u1" if packed else word, count)
    except _BROKEN:
        return None
    return (entries, first, 2.0**bits - 1) if 1 <= bits <= 16 else None


def _number(dataset: Any, keyword: str) -> float | None:
    """Return the first value of an element; None where missing, NaN where no number."""
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
