"""Between grids: a map on the model's input grid, a mask at the radiograph's resolution."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from covid_cxr.errors import InputError
from covid_cxr.types import BoolArray, FloatArray

SMOOTHING = 1 / 14  # standard deviation, as a share of the map's edge


def enlarge(grid: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return a map (h, w) brought to float32 `shape` (H, W) bilinearly, pixel centres aligned."""
    image = Image.fromarray(np.ascontiguousarray(grid, dtype=np.float32))
    return np.array(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def from_cells(cells: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return a network's map (h, w) enlarged to `shape` (H, W) and smoothed.

    A cell's evidence comes from all that it sees, which is more than its own square, and the
    strongest cell of a diseased region is often one at its rim. Smoothing by a fourteenth of the
    edge lets the middle of the region speak; outside the film there is no evidence.
    """
    sigma = SMOOTHING * shape[0]
    smooth: FloatArray = gaussian_filter(enlarge(cells, shape), sigma, mode="constant")
    return smooth


def mask_on_grid(mask: BoolArray, shape: tuple[int, ...]) -> BoolArray:
    """Return a mask (H, W) brought to `shape` (h, w) by nearest neighbour.

    Raises:
        InputError: `mask` is no bool (H, W).
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(f"mask is {mask.dtype} {mask.shape}, expected bool (H, W)")
    rows = (np.arange(shape[0]) + 0.5) * mask.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * mask.shape[1] / shape[1]
    return mask[np.ix_(rows.astype(int), columns.astype(int))]
