"""Where the support for a class lies, zone by zone, and the same in one sentence.

The six zones are those of the Brixia score (Borghesi and Maroldi, "COVID-19 outbreak in Italy:
experimental chest X-ray scoring system", Radiol Med 2020). It cuts at the aortic arch and the lower
pulmonary veins; here each lung is cut in thirds of its own height, as no landmark is looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np

from covid_cxr.explain.measures.localisation import inside_lungs
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.explain.settings import FAIR
from covid_cxr.types import Explanation, IntArray, Lungs, LungZones

BANDS = ("upper", "middle", "lower")
SIDES = ("right", "left")  # the patient's: the right lung lies on the left of the image
ZONES: tuple[str, ...] = tuple(f"{band} {side}" for side in SIDES for band in BANDS)
_GOOD = 0.8  # fidelity from which a map is called so
_QUARTER = 0.25
_SLACK = 1e-9  # sums of floats


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


def fidelity_in_words(fidelity: float | None) -> str:
    """Say how far a map can be trusted: "good" from 0.8, "fair" from 0.5, else "low".

    >>> fidelity_in_words(0.71)
    'fidelity 0.71, fair'
    """
    if fidelity is None:
        return "fidelity not defined"
    rounded = round(fidelity, 2)  # graded as it is printed
    words = "good" if rounded >= _GOOD else "fair" if rounded >= FAIR else "low: do not rely on it"
    return f"fidelity {rounded:.2f}, {words}"


def is_doubtful(fidelity: float | None) -> bool:
    """Tell whether a map is low in fidelity, as it is printed; one without is not doubtful."""
    return fidelity is not None and round(fidelity, 2) < FAIR


def mostly_outside(inside: float) -> bool:
    """Tell whether less than half of the support lies inside the lungs, as it is printed."""
    return round(100 * inside) < 50


def sentence(inside: float, zones: Mapping[str, float], fidelity: float | None) -> str:
    """Say in one plain sentence where the support for a class lies.

    Args:
        inside: share of the support inside both lungs.
        zones: share of the support in each zone ("upper right", ...); they add up to `inside`.
        fidelity: of the map, None where it has none.

    The rules, in order:

    1. Less than half lies inside the lungs, as printed: the sentence begins with "Warning".
    2. A location is named if its part of the support inside the lungs is at least half of the way
       from an even spread over the six zones to all of it: 58 % for one zone, 67 % for two, 75 %
       for a lung, 83 % for two bands of both lungs. Its part of its own lung, over the three bands,
       and of its own bands, over the two lungs, must be so too; and of two bands or two lungs that
       are named, each must have a quarter of the location. The smallest location that qualifies is
       taken; of two as small, the one with more.
    3. If that location has no more than half of *all* support, "within the lungs" says so.
    4. Otherwise the support is spread over the zones.

    >>> zones = {"lower right": 0.45, "lower left": 0.30, "middle right": 0.08}
    >>> sentence(0.83, zones, 0.71)
    'The score rests mostly on the lower zones of both lungs; 83 % of the supporting evidence lies \
inside the lungs; fidelity 0.71, fair.'
    """
    percent, trust = f"{100 * inside:.0f} %", fidelity_in_words(fidelity)
    if mostly_outside(inside):
        return (
            "Warning: the score rests mostly on places outside the lungs; only "
            f"{percent} of the supporting evidence lies inside them; {trust}."
        )
    qualifying = [location for location in _LOCATIONS if location.qualifies(inside, zones)]
    start, where = "The score", "is spread over the zones of both lungs"
    if qualifying:
        smallest = min(qualifying, key=lambda location: (location.size, -location.share(zones)))
        where = f"rests mostly on {smallest.words}"
        start = "The score" if smallest.share(zones) > 0.5 else "Within the lungs, the score"
    return f"{start} {where}; {percent} of the supporting evidence lies inside the lungs; {trust}."


class _Location(NamedTuple):
    bands: tuple[str, ...]
    sides: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.bands) * len(self.sides)

    @property
    def words(self) -> str:
        lung = "both lungs" if self.sides == SIDES else f"the {self.sides[0]} lung"
        if self.bands == BANDS:
            return lung
        plural = "s" if self.size > 1 else ""
        return f"the {' and '.join(self.bands)} zone{plural} of {lung}"

    def share(self, zones: Mapping[str, float]) -> float:
        """Return the support inside this location."""
        names = product(self.bands, self.sides)
        return sum(zones.get(f"{band} {side}", 0.0) for band, side in names)

    def qualifies(self, inside: float, zones: Mapping[str, float]) -> bool:
        """Tell whether the location has enough support, and every named part enough of that."""
        share = self.share(zones)
        lung = _Location(BANDS, self.sides).share(zones)
        level = _Location(self.bands, SIDES).share(zones)
        parts = [_Location(self.bands, (side,)) for side in self.sides]
        if self.bands != BANDS:
            parts += [_Location((band,), self.sides) for band in self.bands]
        return (
            _is_most(share, inside, self.size / (len(BANDS) * len(SIDES)))
            and _is_most(share, lung, len(self.bands) / len(BANDS))
            and _is_most(share, level, len(self.sides) / len(SIDES))
            and min(part.share(zones) for part in parts) >= _QUARTER * share - _SLACK
        )


def _is_most(part: float, whole: float, even: float) -> bool:
    """Tell whether `part` is half of the way from its `even` share of `whole` to all of it."""
    return part >= whole * (1 + even) / 2 - _SLACK


_LOCATIONS = tuple(
    _Location(bands, sides)
    for bands in (*((band,) for band in BANDS), BANDS[:2], BANDS[1:], BANDS)
    for sides in (*((side,) for side in SIDES), SIDES)
    if (bands, sides) != (BANDS, SIDES)
)
