"""Occlusion: hide one region of the image, and measure how far the model's confidence falls.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, slide a grey
window over the image; `explain_regions` hides one superpixel at a time instead. Both need only the
model's probabilities. The fall is that of the log-odds margin, not of the probability, which hardly
moves where the model is certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from covid_cxr.explain.base import AGAINST, Attribution, Model, by_region, margin
from covid_cxr.explain.settings import FillSettings, RegionSettings
from covid_cxr.explain.superpixels import answers, constants, filled, superpixels
from covid_cxr.types import FloatArray, IntArray

WINDOW = 1 / 8  # edge of the window, as a share of the image's: about a third of a lung's width
# A probability of 0 has no logarithm; softmax in float32 distinguishes values smaller than this.
_LEAST = 1e-12

Window = tuple[slice, slice]


def explain(image: FloatArray, model: Model, index: int, settings: FillSettings) -> Attribution:
    """Explain a class by a sliding window.

    A pixel's attribution is the mean fall of the log-odds margin over the windows that cover it,
    in nats. The window is an eighth of the edge wide and moves by half its width; the last one of a
    row ends with the image. It is filled as `settings.fill` says, "mean" with its own mean.
    """
    regions, edge = windows(image.shape[1])
    drops = falls(image[0], _hide_windows(image[0], regions, settings), model, index, settings)
    total, times = np.zeros(image.shape[1:]), np.zeros(image.shape[1:])
    for region, drop in zip(regions, drops, strict=True):
        total[region] += drop
        times[region] += 1
    parameters = {"window": edge, "windows": len(regions), "against": AGAINST}
    return Attribution((total / times).astype(np.float32), parameters)


def explain_regions(
    image: FloatArray, model: Model, index: int, settings: RegionSettings
) -> Attribution:
    """Explain a class by hiding each superpixel alone.

    A region's weight is the fall of the log-odds margin, in nats. For a model that is linear in the
    log-odds that is its exact effect; where regions can replace one another (one of two opacities
    is enough), each alone counts for little.
    """
    segments = superpixels(image[0], settings)
    weights = region_weights(image[0], segments, model, index, settings)
    return by_region(segments, weights, {**constants(settings), "against": AGAINST})


def region_weights(
    pixels: FloatArray, segments: IntArray, model: Model, index: int, settings: FillSettings
) -> NDArray[np.float64]:
    """Return how far hiding each region alone lowers class `index`'s margin, float64 (n,).

    Args:
        pixels: preprocessed, float32 (S, S).
        segments: int32 (S, S), regions 0..n-1.
        model: the model.
        index: the class's output column.
        settings: what replaces a region, and images per batch.
    """
    cover = filled(pixels, segments, settings.fill)
    regions = range(int(segments.max()) + 1)
    occluded = (np.where(segments == region, cover, pixels) for region in regions)
    return falls(pixels, occluded, model, index, settings)


def falls(
    pixels: FloatArray,
    occluded: Iterable[FloatArray],
    model: Model,
    index: int,
    settings: FillSettings,
) -> NDArray[np.float64]:
    """Return how much lower class `index`'s margin is on each image (S, S) of `occluded`."""
    (whole,) = answers(model.probabilities, [pixels], 1)
    others = np.concatenate([*answers(model.probabilities, occluded, settings.batch_size)])
    return log_odds(whole, index) - log_odds(others, index)


def log_odds(probabilities: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return each row's margin: class `index`'s logit less the mean of the other logits.

    A softmax loses only what all logits have in common, so the logarithms of its probabilities
    (N, C) give the same difference. With two classes it is the log-odds.
    """
    return margin(np.log(np.maximum(probabilities, _LEAST)).T, index)


def windows(size: int) -> tuple[list[Window], int]:
    """Return the windows over an image of `size` pixels a side, row by row, and their edge.

    >>> regions, edge = windows(224)
    >>> len(regions), edge, regions[-1]
    (225, 28, (slice(196, 224, None), slice(196, 224, None)))
    """
    edge = min(size, max(2, round(WINDOW * size)))
    starts = [*range(0, size - edge, edge // 2 or 1), size - edge]
    spans = [slice(start, start + edge) for start in starts]
    return list(product(spans, spans)), edge


def _hide_windows(
    pixels: FloatArray, regions: Iterable[Window], settings: FillSettings
) -> Iterator[FloatArray]:
    """Yield the pixels with each window hidden; "mean" is the mean of the window itself."""
    cover = filled(pixels, np.zeros(pixels.shape, np.int32), settings.fill)
    for window in regions:
        image = pixels.copy()
        is_mean = settings.fill == "mean"
        image[window] = pixels[window].mean(dtype=np.float64) if is_mean else cover[window]
        yield image
