"""Contrast equalised tile by tile (CLAHE), bit for bit as scikit-image has it.

`skimage.exposure.equalize_adapthist` takes any number of dimensions and kernels; of a square film
and square tiles the same numbers come in a third of the time: one count of grey levels for
all tiles, and no arithmetic on the rim that it pads and throws away. Models were trained on its
numbers, so each rounding is kept; a test compares the two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covid_cxr.types import FloatArray, IntArray

_GREYS, _BINS = 1 << 14, 256  # levels that are worked with; bins of a histogram


def equalise(grid: FloatArray, tile: int, clip: float) -> FloatArray:
    """Return a picture whose tiles all use the range of grey (Pizer et al., CVGIP 1987).

    Args:
        grid: float32 (S, S) in [0, 1], not constant.
        tile: edge of a tile in pixels, smaller than S.
        clip: share of a tile that one bin may hold; the rest is spread over the others, so that
            noise is not blown up in even regions.

    Returns:
        float32 (S, S) in [0, 1], darkest 0 and brightest 1.
    """
    bins = _bins(grid)
    curves = _curves(bins, tile, clip)
    equal = _interpolated(curves, bins, tile).astype(np.uint16).astype(np.float32)
    low, high = float(equal.min()), float(equal.max())
    return (equal - low) / (high - low) if high > low else np.clip(equal, 0, 1)


def _bins(grid: FloatArray) -> IntArray:
    """Return which bin each pixel is in, the picture's own range spread over all of them."""
    levels = np.rint(np.multiply(grid, 65_535, dtype=np.float32)).astype(np.float64)
    low, high = float(levels.min()), float(levels.max())
    if high > low:
        levels -= low
        levels /= high - low
        levels *= _GREYS - 1
    np.rint(np.minimum(levels, _GREYS - 1, out=levels), out=levels)
    return levels.astype(np.int32) // (1 + _GREYS // _BINS)


def _curves(bins: IntArray, tile: int, clip: float) -> NDArray[np.float64]:
    """Return the grey (n, n, 256) that each of n x n tiles gives to each bin."""
    count = -(-len(bins) // tile)
    whole = np.pad(bins, (0, count * tile - len(bins)), mode="reflect")
    place = np.arange(count * tile) // tile
    number = (place[:, None] * count + place) * _BINS
    counts = np.bincount((number + whole).ravel(), minlength=count * count * _BINS)
    limit = int(max(clip * (tile * tile), 1))
    clipped = _clip(counts.reshape(-1, _BINS), limit)
    greys = np.cumsum(clipped, axis=1) * ((_GREYS - 1) / (tile * tile))
    curves: NDArray[np.float64] = np.floor(np.minimum(greys, _GREYS - 1))
    return curves.reshape(count, count, _BINS)


def _clip(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Cut the bins of each tile (T, 256) at `limit` and spread what was cut off over the others."""
    spare = np.maximum(counts - limit, 0).sum(axis=1)
    counts = np.minimum(counts, limit)
    share = (spare // _BINS)[:, None]
    low = counts < limit - share
    counts = counts + low * share
    nearly = (counts >= limit - share) & (counts < limit)
    spare -= low.sum(axis=1) * share[:, 0] + (nearly * (limit - counts)).sum(axis=1)
    counts[nearly] = limit
    for tile, left in zip(counts, spare.tolist(), strict=True):
        _spread(tile, left, limit)
    return counts


def _spread(counts: NDArray[np.int64], left: int, limit: int) -> None:
    """Give what is left to bins at even distances, one each, until nothing is or all are full."""
    while left > 0:
        before = left
        for start in range(_BINS):
            room = counts < limit
            step = max(1, int(np.count_nonzero(room)) // left)
            given = room[start::step]
            counts[start::step] += given
            left -= int(np.count_nonzero(given))
            if left <= 0:
                return
        if left == before:
            return


def _interpolated(curves: NDArray[np.float64], bins: IntArray, tile: int) -> FloatArray:
    """Return the greys (S, S), bilinear between the curves of the four tiles around a pixel.

    Rows that lie between the same tiles are worked on together: they stay in the cache, where the
    whole picture would ask for new memory at each step.
    """
    size, count = len(bins), len(curves)
    at = np.arange(size) + tile // 2
    nearest = [np.clip(at // tile - 1 + further, 0, count - 1) for further in (0, 1)]
    weight = [1 - at % tile / tile, at % tile / tile]
    greys = np.zeros(bins.shape, dtype=np.float32)
    starts = [0, *range(tile - tile // 2, size, tile)]
    for rows in (slice(*ends) for ends in zip(starts, [*starts[1:], size], strict=True)):
        numbers = [beside * _BINS + bins[rows] for beside in nearest]
        for down in (0, 1):
            curve = curves[nearest[down][rows.start]].ravel()
            for right in (0, 1):
                grey = curve.take(numbers[right])
                grey *= weight[down][rows, None] * weight[right]
                greys[rows] += grey.astype(np.float32)
    return greys
