"""Does an explanation stay the same when nothing that matters has changed?

Robustness: under noise and shifts that no reader would notice (Alvarez-Melis and Jaakkola, "On
the robustness of interpretability methods", 2018). Repeatability: under another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covid_cxr.metrics.ranks import spearman
from covid_cxr.types import Explanation, FloatArray, IntArray

NOISE = 0.01  # standard deviation, of grey levels in [0, 1]
NEAREST, FARTHEST = 2, 4  # pixels that a film is moved in both directions
TOP = 5

Value = TypeVar("Value", bound=np.generic)
Move = tuple[int, int]  # rows down, columns right
# From the film (1, S, S), and how far it was moved so that its lungs can move along, to a map.
Explain = Callable[[FloatArray, Move], FloatArray]
# From a number of samples and a seed to an explanation.
Repeat = Callable[[int, int], Explanation]


def robustness(
    image: FloatArray, attribution: FloatArray, explain: Explain, *, times: int = 2, seed: int = 0
) -> dict[str, float]:
    """Return the Spearman correlation of a map with the maps of the film slightly changed.

    Args:
        image: float32 (1, S, S) in [0, 1].
        attribution: its map (S, S).
        explain: makes the map of another film.
        times: changes of each kind; their mean is returned.
        seed: of noise and moves.

    Returns:
        `noise` (standard deviation 0.01) and `shift` (2 to 4 pixels both ways, the map moved
        back and compared where both films have something to show), in [-1, 1].
    """
    rng = np.random.default_rng(seed)
    noise, shift = [], []
    for _ in range(times):
        grain = rng.normal(0, NOISE, image.shape).astype(np.float32)
        noise.append(map_correlation(attribution, explain(np.clip(image + grain, 0, 1), (0, 0))))
        down, right = rng.integers(NEAREST, FARTHEST + 1, 2) * rng.choice((-1, 1), 2)
        move = (int(down), int(right))
        after = explain(moved(image, move), move)
        shift.append(map_correlation(*_common(attribution, after, move)))
    return {"noise": float(np.mean(noise)), "shift": float(np.mean(shift))}


def repeatability(
    repeat: Repeat, samples: Sequence[int], seeds: Sequence[int] = (0, 1)
) -> dict[str, float]:
    """Return how alike the answers of different seeds are, for each number of samples.

    Region weights are compared on the regions of the first seed. Where the segmentation itself
    depends on the seed (quickshift breaks its ties by lot), the other map's mean over each of
    those regions takes the place of its weight.

    Args:
        repeat: makes an explanation by regions.
        samples: numbers of samples to try.
        seeds: at least two; the mean over their pairs is returned.

    Returns:
        `seeds_<samples>`, Spearman's correlation in [-1, 1], and `top5_<samples>`, the Jaccard
        index of the five strongest regions in [0, 1].
    """
    found: dict[str, float] = {}
    for count in samples:
        made = [repeat(count, seed) for seed in seeds]
        weights = [region_means(each.attribution, _regions(made[0])) for each in made]
        pairs = list(combinations(weights, 2))
        found[f"seeds_{count}"] = float(np.mean([map_correlation(a, b) for a, b in pairs]))
        found[f"top{TOP}_{count}"] = float(np.mean([jaccard(a, b) for a, b in pairs]))
    return found


def map_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation of two maps or weight vectors, in [-1, 1].

    Two equal maps give 1 even where they are constant; else a constant map gives 0.
    """
    return 1.0 if np.array_equal(first, second) else spearman(first, second)


def jaccard(first: ArrayLike, second: ArrayLike, top: int = TOP) -> float:
    """Return the Jaccard index of the `top` strongest entries, by magnitude; earlier wins a tie."""
    chosen = [
        set(np.argsort(-np.abs(np.asarray(each, np.float64)), kind="stable")[:top].tolist())
        for each in (first, second)
    ]
    return len(chosen[0] & chosen[1]) / len(chosen[0] | chosen[1])


def moved(picture: NDArray[Value], move: Move) -> NDArray[Value]:
    """Return a picture (..., S, S) moved, its edge repeated where nothing came in."""
    rows, columns = (np.arange(size) for size in picture.shape[-2:])
    rows = np.clip(rows - move[0], 0, len(rows) - 1)
    columns = np.clip(columns - move[1], 0, len(columns) - 1)
    return picture[..., rows[:, None], columns[None]]


def region_means(attribution: FloatArray, regions: IntArray) -> NDArray[np.float64]:
    """Return the mean (n,) of a map (S, S) over regions numbered 0..n-1."""
    flat = regions.ravel()
    return np.asarray(np.bincount(flat, weights=attribution.ravel()) / np.bincount(flat))


def _regions(explanation: Explanation) -> IntArray:
    """Its regions; every pixel is one where the method has none."""
    if explanation.segments is not None:
        return explanation.segments
    shape = explanation.attribution.shape
    return np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)


def _common(before: FloatArray, after: FloatArray, move: Move) -> tuple[FloatArray, FloatArray]:
    """Return the parts of both maps that show the same anatomy."""
    height, width = before.shape
    down, right = move
    kept = before[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    seen = after[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    return kept, seen
