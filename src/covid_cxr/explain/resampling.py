"""Resampling: a map on the model's input grid, a mask at the radiograph's resolution."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import scipy
from PIL import Image

from covid_cxr.errors import InputError
from covid_cxr.imaging.crop import spans
from covid_cxr.types import WHOLE, BoolArray, Box, Explanation, FloatArray, IntArray

_Grid = TypeVar("_Grid", BoolArray, IntArray)
SMOOTHING = 1 / 14  # standard deviation, as a share of the map's edge


def enlarge(grid: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return a map (h, w) brought to float32 `shape` (H, W) bilinearly, pixel centres aligned."""
    image = Image.fromarray(np.ascontiguousarray(grid, dtype=np.float32))
    return np.array(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def from_cells(cells: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return a network's map (h, w) enlarged to `shape` (H, W) and smoothed.

    A cell's receptive field is larger than its own square, and the strongest cell of a diseased
    region is often one at its rim. Smoothing by a fourteenth of the edge moves the maximum to the
    middle of the region; the map is 0 outside the image.
    """
    sigma = SMOOTHING * shape[0]
    smooth: FloatArray = scipy.ndimage.gaussian_filter(
        enlarge(cells, shape), sigma, mode="constant"
    )
    return smooth


def on_radiograph(explanation: Explanation, box: Box) -> Explanation:
    """Return an explanation of a part of a radiograph on a grid (S, S) that spans all of it.

    Outside the model's input the map is 0. Regions keep their numbers and weights; what
    lies outside is one more region, of weight 0.

    Args:
        explanation: on the model's input grid.
        box: the part of the radiograph that is the model's input.
    """
    if box == WHOLE:
        return explanation
    shape = explanation.attribution.shape
    rows, columns = spans(box, shape)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    whole = np.zeros(shape, dtype=np.float32)
    whole[rows, columns] = enlarge(explanation.attribution, size)
    if explanation.segments is None:
        return replace(explanation, attribution=whole)
    outside = int(explanation.segments.max()) + 1
    regions = np.full(shape, outside, dtype=np.int32)
    regions[rows, columns] = _nearest(explanation.segments, size)
    weights = (*explanation.weights, 0.0) if explanation.weights else ()
    return replace(explanation, attribution=whole, segments=regions, weights=weights)


def mask_on_grid(mask: BoolArray, shape: tuple[int, ...]) -> BoolArray:
    """Return a mask (H, W) brought to `shape` (h, w) by its nearest pixels.

    Raises:
        InputError: `mask` is no bool (H, W).
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(f"mask is {mask.dtype} {mask.shape}, expected bool (H, W)")
    return _nearest(mask, shape)


def _nearest(grid: _Grid, shape: tuple[int, ...]) -> _Grid:
    rows = (np.arange(shape[0]) + 0.5) * grid.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * grid.shape[1] / shape[1]
    return grid[np.ix_(rows.astype(int), columns.astype(int))]
