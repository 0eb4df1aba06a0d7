"""Does the model itself depend on what an explanation points at?

Deletion and insertion (Petsiuk, Das and Saenko, "RISE", BMVC 2018): the image is removed, or
revealed, in the order of the map, and the score of the class is recorded. The order is by square
patches, a fourteenth of the edge: single pixels would make an adversarial pattern, not an image
with something hidden. The result depends strongly on the fill, so two are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from covid_cxr.explain.settings import Fill
from covid_cxr.explain.superpixels import filled, region_means, square_grid
from covid_cxr.types import FloatArray, IntArray

Score = Callable[[FloatArray], FloatArray]  # (N, 1, S, S) -> (N,), the score of one class

FILLS: tuple[Fill, ...] = ("blur", "dataset")
SIDE = 14  # patches along the edge
STEPS = 20  # of 5 % of the image each


def areas(
    image: FloatArray, attribution: FloatArray, score: Score, *, steps: int = STEPS, seed: int = 0
) -> dict[str, float]:
    """Return the area under the deletion and the insertion curve for each fill.

    Args:
        image: preprocessed, float32 (1, S, S).
        attribution: (S, S); the patch with the largest sum goes first. Ties are broken at random.
        score: the model's score of the explained class.
        steps: of the curves.
        seed: random seed.

    Returns:
        `deletion_blur`, `deletion_dataset` (small is good), `insertion_blur` and
        `insertion_dataset` (large is good), in units of the score.
    """
    ranks, pixels = patch_ranks(attribution, seed), image[0]
    values = {}
    for fill in FILLS:
        empty = filled(pixels, np.zeros(pixels.shape, np.int32), fill)
        values[f"deletion_{fill}"] = area(curve(pixels, empty, ranks, score, steps))
        values[f"insertion_{fill}"] = area(curve(empty, pixels, ranks, score, steps))
    return values


def random_areas(
    image: FloatArray, score: Score, *, repeats: int = 5, steps: int = STEPS, seed: int = 0
) -> dict[str, float]:
    """Return what `areas` gives for a random order of the patches, as the mean of `repeats`."""
    constant = np.zeros(image.shape[-2:], np.float32)  # all patches tie, so the order is random
    runs = [areas(image, constant, score, steps=steps, seed=seed + 1 + i) for i in range(repeats)]
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def gains(values: Mapping[str, float], random: Mapping[str, float]) -> dict[str, float]:
    """Return how much better than a random order: `gain_<curve>` and their mean, `gain`.

    Larger is better for both curves; an uninformative map has 0 in expectation.
    """
    signs = {"deletion": -1.0, "insertion": 1.0}
    differences = {
        f"gain_{name}": signs[name.split("_")[0]] * (value - random[name])
        for name, value in values.items()
    }
    return {**differences, "gain": float(np.mean(list(differences.values())))}


def patch_ranks(attribution: FloatArray, seed: int = 0) -> IntArray:
    """Return for each pixel (S, S) the rank of its patch in the order, 0 the strongest."""
    edge = len(attribution)
    patch = square_grid(edge, min(SIDE, edge))
    strength = region_means(attribution, patch)
    ties = np.random.default_rng(seed).permutation(len(strength))
    ranks = np.argsort(np.lexsort((ties, -strength)))
    return np.asarray(ranks[patch], np.int32)


def curve(
    start: FloatArray, end: FloatArray, ranks: IntArray, score: Score, steps: int
) -> NDArray[np.float64]:
    """Return the score (steps + 1,) while the pixels `start` (S, S) turn into `end` by `ranks`."""
    patches = int(ranks.max()) + 1
    changed = [round(step * patches / steps) for step in range(steps + 1)]
    images = np.stack([np.where(ranks < count, end, start) for count in changed])
    return np.asarray(score(images[:, None].astype(np.float32)), np.float64)


def area(values: NDArray[np.float64]) -> float:
    """Return the mean height of a curve at equal steps, by the trapezoidal rule."""
    return float(np.trapezoid(values) / (len(values) - 1))
