"""Where the support for a class lies, zone by zone, and the same in one sentence.

The six zones are those of the Brixia score (Borghesi and Maroldi, "COVID-19 outbreak in Italy:
experimental chest X-ray scoring system", Radiol Med 2020). It cuts at the aortic arch and the lower
pulmonary veins; here each lung is cut in thirds of its own height, as no landmark is looked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from covid_cxr.explain.measures.localisation import inside_lungs
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.explain.rendering.sentence import BANDS, SIDES, sentence
from covid_cxr.types import Explanation, IntArray, Lungs, LungZones

# The patient's sides: the right lung lies on the left of the image.
ZONES: tuple[str, ...] = tuple(f"{band} {side}" for side in SIDES for band in BANDS)


def zone_map(lungs: Lungs, shape: tuple[int, ...]) -> IntArray:
    """Return the zone of every pixel of a grid (h, w) that spans the radiograph.

    Returns:
        int32 (h, w): 0 outside the lungs, else 1 + the zone's place in `ZONES`.

    Raises:
        InputError: a lung is no (H, W) mask.
    """
    zones = np.zeros(shape, dtype=np.int32)
    for first, lung in ((1, lungs.right), (1 + len(BANDS), lungs.left)):
        mask = mask_on_grid(lung, shape)
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size:
            height = rows[-1] + 1 - rows[0]
            band = np.clip((np.arange(shape[0]) - rows[0]) * len(BANDS) // height, 0, 2)
            zones = np.where(mask, first + band[:, None], zones).astype(np.int32)
    return zones


def with_lungs(explanation: Explanation, lungs: Lungs | None) -> Explanation:
    """Return the explanation with `lungs`, `inside_lungs` and `zones` filled in.

    Args:
        explanation: the map.
        lungs: of the same radiograph, at any resolution; None, or masks without a single pixel, set
            all three to None.

    Raises:
        InputError: a lung is no (H, W) mask.
    """
    if lungs is None or not lungs.both.any():
        return replace(explanation, lungs=None, inside_lungs=None, zones=None)
    share = inside_lungs(explanation, lungs.both)
    zones = _lung_zones(explanation, lungs)
    return replace(explanation, lungs=lungs, inside_lungs=share, zones=zones)


def _lung_zones(explanation: Explanation, lungs: Lungs) -> LungZones | None:
    support = np.clip(explanation.attribution, 0, None).astype(np.float64)
    total = float(support.sum())
    if total <= 0:
        return None
    zone = zone_map(lungs, support.shape)
    mass = np.bincount(zone.ravel(), weights=support.ravel(), minlength=1 + len(ZONES))
    shares = {name: float(mass[number] / total) for number, name in enumerate(ZONES, start=1)}
    inside = min(1.0, sum(shares.values()))
    return LungZones(inside, shares, sentence(inside, shares, explanation.fidelity))
