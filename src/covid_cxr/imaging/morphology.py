"""Sliding minimum and maximum filters, and the connected regions of a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import numpy as np
import scipy
from numpy.typing import NDArray

from covid_cxr.types import BoolArray

Slices = tuple[slice, slice]  # rows, columns
_Grid = TypeVar("_Grid", bound=NDArray[Any])
_PART = 1 << 18  # bytes of an image processed at a time: two parts fit a core's cache


def sliding(of: np.ufunc, grid: _Grid, window: int) -> _Grid:
    """Return the minimum or maximum (`of`) of a square window around each pixel.

    The same as `scipy.ndimage.minimum_filter` and `maximum_filter` (mode "reflect" or "nearest")
    in less than half the time: a window doubles at each step, over a strip of columns and
    then over one of rows that stay in the cache, where whole images would ask for new memory.

    Args:
        of: `np.minimum` or `np.maximum`.
        grid: (H, W).
        window: an odd number of pixels.
    """
    result: _Grid = np.empty_like(grid, order="C")
    for columns in _strips(grid.shape[1], (grid.shape[0] + window) * grid.itemsize):
        result[:, columns] = _slide_down(of, grid[:, columns], window)
    for rows in _strips(grid.shape[0], (grid.shape[1] + window) * grid.itemsize):
        result[rows] = _slide_down(of, result[rows].T, window).T
    return result


def _strips(length: int, size: int) -> Iterator[slice]:
    """Yield the parts into which to split `length` lines of `size` bytes each."""
    count = max(1, _PART // size)
    return (slice(start, start + count) for start in range(0, length, count))


def _slide_down(of: np.ufunc, strip: NDArray[Any], window: int) -> NDArray[Any]:
    """Return the minimum or maximum of a window that slides down a strip (H, W)."""
    half, (tall, wide) = window // 2, strip.shape
    # Laid out as the strip is, so that a step is one run through memory either way.
    order: Literal["C", "F"] = "C" if strip.strides[0] > strip.strides[1] else "F"
    padded = np.empty((tall + 2 * half, wide), strip.dtype, order)
    padded[:half], padded[half : half + tall], padded[half + tall :] = strip[0], strip, strip[-1]
    by = wide if order == "C" else 1
    here = padded.ravel(order="K")
    there, left = np.empty_like(here), here.size
    for step in _steps(window):
        left -= step * by
        # Where rows follow each other, what runs into the next one lies beyond what is returned.
        of(here[:left], here[step * by :][:left], out=there[:left])
        here, there = there, here
    result: NDArray[Any] = here.reshape(padded.shape, order=order)[:tall]
    return result


def _steps(window: int) -> list[int]:
    """Return by how much to shift each time, so that all of a window is covered."""
    steps, width = [], 1
    while width < window:
        steps.append(min(width, window - width))
        width += steps[-1]
    return steps


def regions(
    mask: BoolArray, *, holding: BoolArray | None = None, within: Slices | None = None
) -> Iterator[tuple[Slices, BoolArray]]:
    """Yield the box and the mask of each connected region, diagonal contact included.

    Args:
        mask: (H, W).
        holding: part of `mask`; skip the regions that contain nothing of it.
        within: where to search; None for all that is set.
    """
    part = bounds(mask) if within is None else within  # labelling the empty rest takes time
    labels, count = scipy.ndimage.label(mask[part], structure=np.ones((3, 3)))
    boxes = scipy.ndimage.find_objects(labels, count)
    numbers = range(1, count + 1) if holding is None else np.unique(labels[holding[part]])
    top, left = (side.start for side in part)
    for number in numbers:
        inner = boxes[number - 1]
        yield moved(inner, top, left), labels[inner] == number


def moved(box: Slices, down: int, right: int) -> Slices:
    """Return a box shifted by so many pixels."""
    rows, columns = (
        slice(side.start + by, side.stop + by) for side, by in zip(box, (down, right), strict=True)
    )
    return rows, columns


def bounds(mask: BoolArray) -> Slices:
    """Return the smallest box around all that is set; the first pixel where nothing is."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def grown(box: Slices, rows: int, columns: int | None = None) -> Slices:
    """Return a box with so many pixels more on each side; it may end beyond the image."""
    by = rows, rows if columns is None else columns
    above, beside = (
        slice(max(0, s.start - more), s.stop + more) for s, more in zip(box, by, strict=True)
    )
    return above, beside
