"""VOI LUTs and windows (PS3.3 C.11.2): the first that shows the image, else percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from covid_cxr.imaging.dicom import luts
from covid_cxr.imaging.dicom.numbers import Counts, Flags, Values, code, numbers

# A display of which 99 % lie at two adjacent grey levels of 256, or at the 17 darkest and brightest
# (as 12 of 16 bits do), shows nothing. An image of under 32 values has nothing to show.
_GREYS, _END, _MOST, _LEAST_VALUES = 256, 17, 0.99, 32
# LINEAR is for whole numbers: it moves a window by half of one, and narrows it by one. Of a window
# as narrow as this that is more than 1 %.
_NARROW = 100


class View(NamedTuple):
    """One way to display the values.

    Attributes:
        name: as in flags.
        display: about [0, 1]; None where the VOI LUT or window is unusable.
        flags: of this way alone.
    """

    name: str
    display: Values | None
    flags: Flags = ()


def apply(values: Values, counts: Counts, dataset: Any) -> tuple[Values, Flags]:
    """Display `values`, which occur `counts` times, as the object says; return flags too.

    VOI LUTs precede windows. One that is unusable, or that leaves the image black, white or both
    all over, is passed over and flagged; after the last the percentiles are used.

    Returns:
        Display values, about [0, 1]; flags.
    """
    passed: Flags = ()
    for view in _views(values, counts, dataset):
        if view.display is None:
            passed = (*passed, f"{view.name} unusable")
        elif _shows(view.display, counts):
            return view.display, (*(f"{reason}: ignored" for reason in passed), *view.flags)
        else:
            passed = (*passed, f"{view.name} shows nothing of the image")
    return scale_by_percentiles(values, counts), _without_view(passed, dataset)


def ends(dataset: Any) -> list[float]:
    """Return the least and greatest values that VOI LUTs, else windows, tell apart."""
    parsed = [luts.parse(item, dataset) for item in dataset.get("VOILUTSequence") or ()]
    intervals = [lut.interval(lut.first) for lut in parsed if lut is not None]
    if intervals:
        return [float(end) for interval in intervals for end in interval]
    windows = zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False)
    return [end for c, w in windows for end in (c - w / 2, c + w / 2)]


def _without_view(passed: Flags, dataset: Any) -> Flags:
    if not numbers(dataset, "WindowCenter") or not numbers(dataset, "WindowWidth"):
        return (*(f"{reason}: ignored" for reason in passed), "no window: percentiles used")
    return (*(f"{reason}: ignored" for reason in passed[:-1]), f"{passed[-1]}: percentiles used")


def _views(values: Values, counts: Counts, dataset: Any) -> Iterator[View]:
    """Yield what the object states, in the order of preference."""
    for item in dataset.get("VOILUTSequence") or ():
        lut = luts.parse(item, dataset)
        if lut is None:
            yield View("VOI LUT", None)
            continue
        output, flags = luts.look_up(lut, values, counts)
        display, more = luts.scale(lut, output)
        yield View("VOI LUT", display, flags + more)
    stated, other = _function(dataset)
    whole = np.array_equal(values, np.rint(values))
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    for center, width in zip(centers, widths, strict=False):
        function, flags = stated, other
        if function == "LINEAR" and not whole and width < _NARROW:
            function, flags = "LINEAR_EXACT", (*other, "window of fractions: LINEAR_EXACT used")
        usable = width >= 1 if function == "LINEAR" else width > 0  # NaN is neither
        if usable and math.isfinite(center + width):
            yield View("window", apply_window(values, center, width, function), flags)
        else:
            yield View("window", None)


def _function(dataset: Any) -> tuple[str, Flags]:
    function = code(dataset, "VOILUTFunction") or "LINEAR"
    if function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return function, ()
    return "LINEAR", ("VOI LUT function unknown: LINEAR used",)


def _shows(display: Values, counts: Counts) -> bool:
    """Tell whether a display shows an image that has something to show."""
    if np.count_nonzero(counts) < _LEAST_VALUES:
        return True
    greys = np.rint(np.clip(display, 0, 1) * (_GREYS - 1)).astype(np.int64)
    pixels = np.bincount(greys, counts, _GREYS)
    adjacent = (pixels[:-1] + pixels[1:]).max()
    most = max(adjacent, pixels[:_END].sum() + pixels[-_END:].sum())
    return bool(most < _MOST * counts.sum())


def apply_window(values: Values, center: float, width: float, function: str) -> Values:
    """Apply a window, output 0 to 1 (LINEAR, LINEAR_EXACT, SIGMOID: C.11.2.1.2.1, C.11.2.1.3)."""
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = (values - center) / width
        return np.asarray(expit(4 * scaled)) if function == "SIGMOID" else scaled + 0.5


def scale_by_percentiles(values: Values, counts: Counts) -> Values:
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
