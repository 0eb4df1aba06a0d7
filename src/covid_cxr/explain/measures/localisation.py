"""Where on the image an explanation points, measured against masks of lungs and opacities.

Masks come at any resolution and are sampled on the explanation's grid.
"""

from __future__ import annotations

import numpy as np

from covid_cxr.errors import InputError
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.metrics import average_precision
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
    attribution = explanation.attribution
    return _peak_in(attribution, mask_on_grid(opacities, attribution.shape))


def inside_lungs(explanation: Explanation, lungs: BoolArray) -> float | None:
    """Return the share of absolute attribution inside the lungs; None for a map of zeros.

    Raises:
        InputError: `lungs` is no (H, W) mask.
    """
    strength = np.abs(explanation.attribution)
    mask = mask_on_grid(lungs, strength.shape)
    return mass(strength, mask) if strength.any() else None


def agreement(
    attribution: FloatArray, opacities: BoolArray, lungs: BoolArray | None = None
) -> dict[str, float]:
    """Return how well a map (S, S) agrees with what a radiologist drew.

    A map without any support for the class points nowhere: its peak is a miss and its mass 0, so
    that an empty map scores worst.

    Args:
        attribution: signed, positive where the image supports the class.
        opacities: (H, W), True where an opacity was drawn.
        lungs: (H, W), both lungs; without them the measures that need them are not in the answer.

    Returns:
        `peak_hit` (1 or 0), `mass_opacities`, `iou`, `auprc`, and with lungs `peak_lungs`,
        `mass_lungs` and, where an opacity lies in them, `auprc_lungs`; all in [0, 1].

    Raises:
        InputError: a mask is no bool (H, W), or no opacity is left on the map's grid.
    """
    mask = mask_on_grid(opacities, attribution.shape)
    if not mask.any():
        raise InputError("no opacity is drawn on this image, so no map can be compared with one")
    scores = {
        "peak_hit": float(_peak_in(attribution, mask)),
        "mass_opacities": mass(attribution, mask),
        "iou": overlap(attribution, mask),
        "auprc": average_precision(mask.ravel(), attribution.ravel()),
    }
    if lungs is not None:
        inside = mask_on_grid(lungs, attribution.shape)
        scores["peak_lungs"] = float(_peak_in(attribution, inside))
        scores["mass_lungs"] = mass(attribution, inside)
        if mask[inside].any():
            scores["auprc_lungs"] = average_precision(mask[inside], attribution[inside])
    return scores


def mass(attribution: FloatArray, inside: BoolArray) -> float:
    """Return the share of positive attribution inside a mask (S, S); 0 where there is none."""
    support = np.maximum(attribution, 0).astype(np.float64)
    total = float(support.sum())
    return float(support[inside].sum()) / total if total > 0 else 0.0


def overlap(attribution: FloatArray, mask: BoolArray) -> float:
    """Return intersection over union of a mask (S, S) and as many of the strongest pixels.

    Taking the mask's own area leaves no threshold to choose. Where pixels tie for the last
    places, as those of one superpixel do, each gets an equal share of them: the intersection is
    the mean over all ways to break the tie.
    """
    area = int(mask.sum())
    weakest = np.partition(attribution.ravel(), -area)[-area]
    above, tied = attribution > weakest, attribution == weakest
    share = (area - int(above.sum())) / int(tied.sum())
    common = float(mask[above].sum()) + share * float(mask[tied].sum())
    return common / (2 * area - common)


def _peak_in(attribution: FloatArray, inside: BoolArray) -> bool:
    pixel = peak(attribution)
    return pixel is not None and bool(inside[pixel])
