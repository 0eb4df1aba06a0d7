"""Does an explanation stay the same when nothing that matters has changed?

Robustness: under noise and shifts that no reader would notice (Alvarez-Melis and Jaakkola, "On the
robustness of interpretability methods", 2018). Repeatability: under another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covid_cxr.explain.superpixels import region_means
from covid_cxr.metrics.association import spearman
from covid_cxr.types import Explanation, FloatArray

NOISE = 0.01  # standard deviation, of grey levels in [0, 1]
NEAREST, FARTHEST = 2, 4  # pixels that an image is moved in both directions
TOP = 5

Value = TypeVar("Value", bound=np.generic)
Move = tuple[int, int]  # rows down, columns right
# From an image (1, S, S), and how far it was moved so that its lungs can move along, to a map.
Explain = Callable[[FloatArray, Move], FloatArray]
# From a number of samples and a seed to an explanation.
Repeat = Callable[[int, int], Explanation]


def robustness(
    image: FloatArray, attribution: FloatArray, explain: Explain, *, times: int = 2, seed: int = 0
) -> dict[str, float]:
    """Return the Spearman correlation of a map with the maps of the image slightly changed.

    Args:
        image: float32 (1, S, S) in [0, 1].
        attribution: its map (S, S).
        explain: makes the map of a changed image.
        times: changes of each kind; their mean is returned.
        seed: of noise and moves.

    Returns:
        `noise` (standard deviation 0.01) and `shift` (2 to 4 pixels both ways, the map moved back
        and compared where the two images overlap), in [-1, 1].
    """
    rng = np.random.default_rng(seed)
    noise, shift = [], []
    for _ in range(times):
        grain = rng.normal(0, NOISE, image.shape).astype(np.float32)
        noise.append(map_correlation(attribution, explain(np.clip(image + grain, 0, 1), (0, 0))))
        down, right = rng.integers(NEAREST, FARTHEST + 1, 2) * rng.choice((-1, 1), 2)
        move = (int(down), int(right))
        after = explain(moved(image, move), move)
        shift.append(map_correlation(*_overlap(attribution, after, move)))
    return {"noise": float(np.mean(noise)), "shift": float(np.mean(shift))}


def repeatability(
    repeat: Repeat, samples: Sequence[int], seeds: Sequence[int] = (0, 1)
) -> dict[str, float]:
    """Return how alike the maps of different seeds are, for each number of samples.

    Region weights are compared on the regions of the first seed. Where the segmentation itself
    depends on the seed (quickshift breaks its ties at random), the other map's mean over each of
    those regions replaces its weight. A method without regions is compared by pixels.

    Args:
        repeat: makes an explanation.
        samples: numbers of samples to try.
        seeds: at least two; the mean over their pairs is returned.

    Returns:
        `seeds_<samples>`, Spearman's correlation in [-1, 1], and `top5_<samples>`, the Jaccard
        index of the five strongest regions in [0, 1].
    """
    scores: dict[str, float] = {}
    for count in samples:
        explanations = [repeat(count, seed) for seed in seeds]
        segments, maps = explanations[0].segments, [one.attribution for one in explanations]
        weights = [one if segments is None else region_means(one, segments) for one in maps]
        pairs = list(combinations([one.ravel() for one in weights], 2))
        scores[f"seeds_{count}"] = float(np.mean([map_correlation(a, b) for a, b in pairs]))
        scores[f"top{TOP}_{count}"] = float(np.mean([jaccard(a, b) for a, b in pairs]))
    return scores


def map_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation of two maps or weight vectors, in [-1, 1].

    Two equal maps give 1 even where they are constant; else a constant map gives 0.
    """
    return 1.0 if np.array_equal(first, second) else spearman(first, second)


def jaccard(first: ArrayLike, second: ArrayLike, top: int = TOP) -> float:
    """Return the Jaccard index of the `top` strongest entries, by magnitude; earlier wins a tie."""
    magnitudes = (np.abs(np.asarray(weights, np.float64)) for weights in (first, second))
    one, other = (set(np.argsort(-m, kind="stable")[:top].tolist()) for m in magnitudes)
    return len(one & other) / len(one | other)


def moved(pixels: NDArray[Value], move: Move) -> NDArray[Value]:
    """Return an array (..., S, S) moved, its edge repeated where nothing came in."""
    rows, columns = (np.arange(size) for size in pixels.shape[-2:])
    rows = np.clip(rows - move[0], 0, len(rows) - 1)
    columns = np.clip(columns - move[1], 0, len(columns) - 1)
    return pixels[..., rows[:, None], columns[None]]


def _overlap(before: FloatArray, after: FloatArray, move: Move) -> tuple[FloatArray, FloatArray]:
    """Return the parts of both maps that show the same anatomy."""
    (height, width), (down, right) = before.shape, move
    first = before[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    second = after[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    return first, second
