"""Where on the film an explanation points, measured against masks of lungs and opacities.

Masks come at any resolution and are brought to the explanation's grid by nearest neighbour.
"""

from __future__ import annotations

import numpy as np

from covid_cxr.explain.grid import mask_on_grid
from covid_cxr.types import BoolArray, Explanation, FloatArray


def peak(attribution: FloatArray) -> tuple[int, int] | None:
    """Return (row, column) of the strongest support for the class; None if nothing supports it.

    A map of regions is highest on a whole superpixel, and an enlarged coarse map may be flat
    around its top: the answer is then that area's own pixel nearest to its centroid.
    """
    top = float(attribution.max())
    if top <= 0:
        return None
    rows, columns = np.nonzero(attribution >= top * (1 - 1e-6))
    distance = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    nearest = int(distance.argmin())
    return int(rows[nearest]), int(columns[nearest])


def hits(explanation: Explanation, opacities: BoolArray) -> bool:
    """Tell whether the explanation's peak falls on a true opacity: the pointing game.

    Zhang et al., "Top-down neural attention by excitation backprop", IJCV 2018, without their
    tolerance of 15 pixels: one pixel beside the opacity is a miss, and so is a map in which
    nothing supports the class.

    Raises:
        InputError: `opacities` is no (H, W) mask.
    """
    mask = mask_on_grid(opacities, explanation.attribution.shape)
    place = peak(explanation.attribution)
    return place is not None and bool(mask[place])


def inside_lungs(explanation: Explanation, lungs: BoolArray) -> float | None:
    """Return the share of absolute attribution inside the lungs; None for a map of zeros.

    Raises:
        InputError: `lungs` is no (H, W) mask.
    """
    strength = np.abs(explanation.attribution).astype(np.float64)
    mask = mask_on_grid(lungs, explanation.attribution.shape)
    total = float(strength.sum())
    return float(strength[mask].sum()) / total if total > 0 else None
