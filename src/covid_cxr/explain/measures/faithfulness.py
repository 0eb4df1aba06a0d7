"""Does the model itself care about what an explanation points at?

Deletion and insertion (Petsiuk, Das and Saenko, "RISE", BMVC 2018): the film is taken away, or
given back, in the order of the map, and the score of the class is watched. The order goes by
square patches, a fourteenth of the edge: single pixels would make an adversarial pattern, not a
film with something hidden. What a patch is hidden with decides much, so there are two fillings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from covid_cxr.explain.base import Fill, Options
from covid_cxr.explain.superpixels import filled
from covid_cxr.types import FloatArray, IntArray

Score = Callable[[FloatArray], FloatArray]  # (N, 1, S, S) -> (N,), the score of one class

FILLINGS: tuple[Fill, ...] = ("blur", "dataset")
SIDE = 14  # patches along the edge
STEPS = 20  # of 5 % of the film each


def areas(
    image: FloatArray, attribution: FloatArray, score: Score, *, steps: int = STEPS, seed: int = 0
) -> dict[str, float]:
    """Return the area under the deletion and the insertion curve for each filling.

    Args:
        image: preprocessed, float32 (1, S, S).
        attribution: (S, S); the patch with the largest sum goes first. Ties are broken by lot.
        score: the model's score of the explained class.
        steps: of the curves.
        seed: of the lots.

    Returns:
        `deletion_blur`, `deletion_dataset` (small is good), `insertion_blur` and
        `insertion_dataset` (large is good), in units of the score.
    """
    ranks = patch_ranks(attribution, seed)
    found = {}
    for filling in FILLINGS:
        empty = _filled(image[0], filling)
        found[f"deletion_{filling}"] = area(curve(image[0], empty, ranks, score, steps))
        found[f"insertion_{filling}"] = area(curve(empty, image[0], ranks, score, steps))
    return found


def random_areas(
    image: FloatArray, score: Score, *, draws: int = 5, steps: int = STEPS, seed: int = 0
) -> dict[str, float]:
    """Return what `areas` gives for a random order of the patches, as the mean of `draws`."""
    nothing = np.zeros(image.shape[-2:], np.float32)  # all tied: the lots decide
    drawn = [areas(image, nothing, score, steps=steps, seed=seed + 1 + i) for i in range(draws)]
    return {name: float(np.mean([each[name] for each in drawn])) for name in drawn[0]}


def gains(found: Mapping[str, float], random: Mapping[str, float]) -> dict[str, float]:
    """Return how much better than a random order: `gain_<curve>` and their mean, `gain`.

    Larger is better for both curves, and 0 is what knowing nothing gives.
    """
    signs = {"deletion": -1.0, "insertion": 1.0}
    each = {
        f"gain_{name}": signs[name.split("_")[0]] * (value - random[name])
        for name, value in found.items()
    }
    return {**each, "gain": float(np.mean(list(each.values())))}


def patch_ranks(attribution: FloatArray, seed: int = 0) -> IntArray:
    """Return for each pixel (S, S) the place of its patch in the order, 0 the strongest."""
    edge = len(attribution)
    side = min(SIDE, edge)
    cell = np.arange(edge) * side // edge
    patch = cell[:, None] * side + cell[None]
    pixels = np.bincount(patch.ravel())
    strength = np.bincount(patch.ravel(), weights=attribution.ravel()) / pixels
    lots = np.random.default_rng(seed).permutation(len(pixels))
    places = np.empty(len(pixels), np.int32)
    places[np.lexsort((lots, -strength))] = np.arange(len(pixels))
    return np.asarray(places[patch], np.int32)


def curve(
    start: FloatArray, end: FloatArray, ranks: IntArray, score: Score, steps: int
) -> NDArray[np.float64]:
    """Return the score (steps + 1,) while the film `start` (S, S) turns into `end` by `ranks`."""
    patches = int(ranks.max()) + 1
    changed = [round(step * patches / steps) for step in range(steps + 1)]
    films = np.stack([np.where(ranks < count, end, start) for count in changed])
    return np.asarray(score(films[:, None].astype(np.float32)), np.float64)


def area(values: NDArray[np.float64]) -> float:
    """Return the mean height of a curve at equal steps, by the trapezoidal rule."""
    return float(np.trapezoid(values) / (len(values) - 1))


def _filled(image: FloatArray, filling: Fill) -> FloatArray:
    return filled(image, np.zeros(image.shape, np.int32), Options(fill=filling))
