"""The input check: is this an upright frontal chest radiograph, and if not, why not?

It works on the features that the lung network's encoder computes of the whole image, so that it
costs next to nothing more. Pooling, principal components, a linear head and a Mahalanobis distance
are nodes of the network's graph (`research/input_check/graph.py`), whose outputs `reason_logits`
and `distance` are compared with the limits here. The head knows turned, upside-down and inverted
radiographs and images of other things; the distance to upright radiographs catches the rest (Lee
et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import model_validator
from scipy.special import logsumexp

from covid_cxr.config import Strict
from covid_cxr.types import BoolArray, FloatArray, Lungs

TURNED, UPSIDE_DOWN, INVERTED = "turned by 90 degrees", "upside down", "grey levels inverted"
NO_CHEST = "no frontal chest radiograph"
OUT_OF_DISTRIBUTION = "out of distribution"
UPRIGHT = ""  # the reason of a class that is answered
# Warnings. Of 500 radiographs of training fewer than one in a hundred has any one of them.
LOW_CONTRAST, SATURATED = "hardly any contrast", "much of it black or white"
CUT_OFF = "lungs cut off"
_PERCENTILES = (1, 99)  # of grey levels
_LEAST_SPREAD = 0.3  # between them
_MOST_EXTREME = 0.3  # share of the image within 1 % of black or white
_SAMPLED = 512  # pixels of the longest side that are looked at: to sort all of them takes 90 ms
_AT_EDGE = 0.4  # share of an image's edge that lungs touch


class Limits(Strict):
    """What an image must keep to be answered."""

    least_log_odds: float  # of an upright frontal chest radiograph
    farthest_distance: float  # from those that the check was fitted to


class InputCheck(Strict):
    """Reasons and limits, as `lungs.json` holds them.

    Attributes:
        reasons: of the M columns of `reason_logits`: why a class is rejected, "" where it is not.
        lungs_found: limits where the lungs were found.
        lungs_not_found: stricter ones.
    """

    reasons: tuple[str, ...]
    lungs_found: Limits
    lungs_not_found: Limits

    @model_validator(mode="after")
    def _has_both_kinds(self) -> InputCheck:
        if len({reason == UPRIGHT for reason in self.reasons}) < 2:
            raise ValueError("reasons must hold an empty one, which is answered, and another")
        return self

    def rejections(
        self, reason_logits: FloatArray, distances: FloatArray, lungs_found: Sequence[bool]
    ) -> list[str | None]:
        """Return why each of N images is rejected, None where it is not.

        Args:
            reason_logits: (N, M), of the lung network's graph.
            distances: (N,), of the same.
            lungs_found: (N,).
        """
        images = zip(reason_logits, distances, lungs_found, strict=True)
        return [self._rejection(logits, float(far), has_lungs) for logits, far, has_lungs in images]

    def log_odds(self, reason_logits: FloatArray) -> FloatArray:
        """Return the log-odds (...) of an upright radiograph from logits (..., M)."""
        upright, other = reason_logits[..., self._is_upright], reason_logits[..., ~self._is_upright]
        odds: FloatArray = logsumexp(upright, axis=-1) - logsumexp(other, axis=-1)
        return odds

    def _rejection(self, logits: FloatArray, distance: float, lungs_found: bool) -> str | None:
        limits = self.lungs_found if lungs_found else self.lungs_not_found
        # Not `<`: NaN is rejected too.
        if not self.log_odds(logits) >= limits.least_log_odds:
            likeliest = np.where(self._is_upright, -np.inf, logits).argmax()
            return self.reasons[int(likeliest)]
        return None if distance <= limits.farthest_distance else OUT_OF_DISTRIBUTION

    @property
    def _is_upright(self) -> BoolArray:
        return np.array([reason == UPRIGHT for reason in self.reasons])


def warnings_of(pixels: FloatArray, lungs: Lungs | None) -> tuple[str, ...]:
    """Return the warnings for a radiograph (H, W) that is answered all the same."""
    sample = sample_of(pixels)
    extreme = np.count_nonzero(sample <= 0.01) + np.count_nonzero(sample >= 0.99)
    applies = {
        LOW_CONTRAST: _is_flat(sample),
        SATURATED: extreme / sample.size > _MOST_EXTREME,
        CUT_OFF: lungs is not None and _share_at_edge(lungs) > _AT_EDGE,
    }
    return tuple(name for name, does_apply in applies.items() if does_apply)


def sample_of(pixels: FloatArray) -> FloatArray:
    """Return the greys of a radiograph (H, W) that `warnings_of` looks at; of a sample, all."""
    step = max(1, max(pixels.shape) // _SAMPLED)
    return pixels[::step, ::step]


def _is_flat(sample: FloatArray) -> bool:
    """Tell whether the 99th percentile of some greys lies too little above the first.

    Both percentiles take ten times as long as counting the greys below and above two levels that
    lie a little more than the least spread apart: where more than a hundredth lies outside on
    either side, so do the percentiles.
    """
    low, high = np.percentile(sample[::8, ::8], _PERCENTILES)  # greys lie around their middle
    middle, half, many = float(low + high) / 2, 0.51 * _LEAST_SPREAD, 2 + sample.size // 100
    outside = (sample < middle - half, sample > middle + half)
    if all(np.count_nonzero(side) >= many for side in outside):
        return False
    first, last = np.percentile(sample, _PERCENTILES)
    return bool(last - first < _LEAST_SPREAD)


def _share_at_edge(lungs: Lungs) -> float:
    """Return the largest share of the image's four edges that the lungs touch."""
    both = lungs.both
    return float(max(edge.mean() for edge in (both[0], both[-1], both[:, 0], both[:, -1])))
