"""Numbers in words: how far a map can be trusted, and where the support for a class lies."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

BANDS = ("upper", "middle", "lower")
SIDES = ("right", "left")
GOOD, FAIR = 0.8, 0.5  # fidelity from which a map is called so
_QUARTER = 0.25
_SLACK = 1e-9  # sums of floats


def fidelity_in_words(fidelity: float | None) -> str:
    """Say how far a map can be trusted: "good" from 0.8, "fair" from 0.5, else "low".

    >>> fidelity_in_words(0.71)
    'fidelity 0.71, fair'
    """
    if fidelity is None:
        return "fidelity not defined"
    shown = round(fidelity, 2)  # judged as it is printed
    words = "good" if shown >= GOOD else "fair" if shown >= FAIR else "low: do not rely on it"
    return f"fidelity {shown:.2f}, {words}"


def is_doubtful(fidelity: float | None) -> bool:
    """Tell whether a map is low in fidelity, as it is printed; one that has none is not judged."""
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
    2. A place is named when its part of what lies inside the lungs is at least half of the way
       from an even spread over the six zones to all of it: 58 % for one zone, 67 % for two, 75 %
       for a lung, 83 % for two bands of both lungs. Its part of its own lung, over the three bands,
       and of its own bands, over the two lungs, must be so too; and of two bands or two lungs that
       are named, each must hold a quarter of the place. The smallest place that qualifies is
       taken; of two as small, the one with more.
    3. Where that place holds no more than half of *all* support, "within the lungs" says so.
    4. Else the support is spread over the zones.

    >>> zones = {"lower right": 0.45, "lower left": 0.30, "middle right": 0.08}
    >>> sentence(0.83, zones, 0.71)
    'The score rests mostly on the lower zones of both lungs; 83 % of the supporting evidence lies \
inside the lungs; fidelity 0.71, fair.'
    """
    percent = f"{100 * inside:.0f} %"
    trust = fidelity_in_words(fidelity)
    if mostly_outside(inside):
        return (
            "Warning: the score rests mostly on places outside the lungs; only "
            f"{percent} of the supporting evidence lies inside them; {trust}."
        )
    place = _place(inside, zones)
    where = "is spread over the zones of both lungs"
    if place:
        where = f"rests mostly on {place.words}"
    start = "The score" if not place or place.held(zones) > 0.5 else "Within the lungs, the score"
    return f"{start} {where}; {percent} of the supporting evidence lies inside the lungs; {trust}."


class _Place(NamedTuple):
    bands: tuple[str, ...]
    sides: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.bands) * len(self.sides)

    @property
    def words(self) -> str:
        lung = "both lungs" if len(self.sides) == len(SIDES) else f"the {self.sides[0]} lung"
        if self.bands == BANDS:
            return lung
        plural = "s" if self.size > 1 else ""
        return f"the {' and '.join(self.bands)} zone{plural} of {lung}"

    def held(self, zones: Mapping[str, float]) -> float:
        """Return the support inside this place."""
        named = product(self.bands, self.sides)
        return sum(zones.get(f"{band} {side}", 0.0) for band, side in named)

    def qualifies(self, inside: float, zones: Mapping[str, float]) -> bool:
        """Tell whether the place holds enough, and whatever is named of it enough of that."""
        held = self.held(zones)
        lung = _Place(BANDS, self.sides).held(zones)
        level = _Place(self.bands, SIDES).held(zones)
        parts = [_Place(self.bands, (side,)) for side in self.sides]
        if self.bands != BANDS:
            parts += [_Place((band,), self.sides) for band in self.bands]
        return (
            _mostly(held, inside, self.size / (len(BANDS) * len(SIDES)))
            and _mostly(held, lung, len(self.bands) / len(BANDS))
            and _mostly(held, level, len(self.sides) / len(SIDES))
            and min(part.held(zones) for part in parts) >= _QUARTER * held - _SLACK
        )


def _mostly(part: float, whole: float, even: float) -> bool:
    """Tell whether `part` is half of the way from its `even` share of `whole` to all of it."""
    return part >= whole * (1 + even) / 2 - _SLACK


def _place(inside: float, zones: Mapping[str, float]) -> _Place | None:
    """Return the smallest place that qualifies, of two as small the one that holds more."""
    found = [place for place in _PLACES if place.qualifies(inside, zones)]
    return min(found, key=lambda place: (place.size, -place.held(zones)), default=None)


_PLACES = tuple(
    place
    for bands in (*((band,) for band in BANDS), BANDS[:2], BANDS[1:], BANDS)
    for sides in (*((side,) for side in SIDES), SIDES)
    if (place := _Place(bands, sides)).size < len(BANDS) * len(SIDES)
)
