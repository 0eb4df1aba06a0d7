"""Occlusion: hide one region of the image, and measure how far the model's confidence falls.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, slide a grey
window over the image; `explain_regions` hides one superpixel at a time instead. Both need only the
model's probabilities. The fall is that of the log-odds margin, not of the probability, which hardly
moves where the model is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from covid_cxr.explain.base import (
    AGAINST,
    Attribution,
    Model,
    Options,
    by_region,
    explainer,
    margin,
)
from covid_cxr.explain.superpixels import description, filled, superpixels
from covid_cxr.types import BoolArray, FloatArray, IntArray

WINDOW = 1 / 8  # edge of the window, as a share of the image's: about a third of a lung's width
# A probability of 0 has no logarithm; softmax in float32 distinguishes values smaller than this.
_LEAST = 1e-12

Region = tuple[slice, slice] | BoolArray  # what is hidden: it indexes the pixels (S, S)
Filling = Callable[[Region], FloatArray]  # what replaces a region


@explainer("occlusion")
def explain(image: FloatArray, model: Model, index: int, options: Options) -> Attribution:
    """Explain a class by a sliding window; see `Explainer`.

    A pixel's attribution is the mean fall of the log-odds margin over the windows that cover it,
    in nats. The window is an eighth of the edge wide and moves by half its width; the last one of a
    row ends with the image. It is filled as `options.fill` says, "mean" with its own mean.
    """
    regions, edge = windows(image.shape[1])
    filling = _window_filling(image[0], options)
    drops = falls(image[0], regions, filling, model, index=index, options=options)
    total, times = np.zeros(image.shape[1:]), np.zeros(image.shape[1:])
    for region, drop in zip(regions, drops, strict=True):
        total[region] += drop
        times[region] += 1
    parameters = {"window": edge, "windows": len(regions), "fill": options.fill, "against": AGAINST}
    return Attribution((total / times).astype(np.float32), parameters)


@explainer("occlusion-regions")
def explain_regions(image: FloatArray, model: Model, index: int, options: Options) -> Attribution:
    """Explain a class by hiding each superpixel alone; see `Explainer`.

    A region's weight is the fall of the log-odds margin, in nats. For a model that is linear in the
    log-odds that is its exact effect; where regions can replace one another (one of two opacities
    is enough), each alone counts for little.
    """
    segments = superpixels(image[0], options)
    weights = region_weights(image[0], segments, model, index, options)
    segmentation = description(options)
    parameters = {"segmentation": segmentation, "fill": options.fill, "against": AGAINST}
    return by_region(segments, weights, parameters)


def region_weights(
    pixels: FloatArray, segments: IntArray, model: Model, index: int, options: Options
) -> NDArray[np.float64]:
    """Return how far hiding each region alone lowers class `index`'s margin, float64 (n,).

    Args:
        pixels: preprocessed, float32 (S, S).
        segments: int32 (S, S), regions 0..n-1.
        model: the model.
        index: the class's output column.
        options: what replaces a region, and images per batch.
    """
    regions = [np.equal(segments, number) for number in range(int(segments.max()) + 1)]
    cover = filled(pixels, segments, options)
    return falls(pixels, regions, cover.__getitem__, model, index=index, options=options)


def falls(
    pixels: FloatArray,
    regions: Sequence[Region],
    filling: Filling,
    model: Model,
    *,
    index: int,
    options: Options,
) -> NDArray[np.float64]:
    """Return how far hiding each region alone lowers class `index`'s margin, float64 (n,)."""
    nothing = np.zeros(pixels.shape, dtype=np.bool_)
    whole = np.concatenate([*answers(pixels, [nothing], pixels.__getitem__, model, 1)])
    hidden = np.concatenate([*answers(pixels, regions, filling, model, options.batch_size)])
    return log_odds(whole, index) - log_odds(hidden, index)


def answers(
    pixels: FloatArray,
    regions: Iterable[Region],
    filling: Filling,
    model: Model,
    batch_size: int,
) -> Iterator[NDArray[np.float64]]:
    """Yield the model's probabilities, float64 (N, C), of the pixels with each region hidden.

    One batch at a time, so that a caller can stop early; the images lie in one buffer that the next
    batch overwrites.
    """
    buffer = np.empty((batch_size, 1, *pixels.shape), dtype=np.float32)
    remaining = iter(regions)
    while batch := list(islice(remaining, batch_size)):
        for perturbed, region in zip(buffer[:, 0], batch, strict=False):
            perturbed[:] = pixels
            perturbed[region] = filling(region)
        yield np.array(model.probabilities(buffer[: len(batch)]), dtype=np.float64)


def log_odds(probabilities: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return each row's margin: class `index`'s logit less the mean of the other logits.

    A softmax loses only what all logits have in common, so the logarithms of its probabilities
    (N, C) give the same difference. With two classes it is the log-odds.
    """
    return margin(np.log(np.maximum(probabilities, _LEAST)).T, index)


def windows(size: int) -> tuple[list[Region], int]:
    """Return the windows over an image of `size` pixels a side, row by row, and their edge.

    >>> regions, edge = windows(224)
    >>> len(regions), edge, regions[-1]
    (225, 28, (slice(196, 224, None), slice(196, 224, None)))
    """
    edge = min(size, max(2, round(WINDOW * size)))
    starts = [*range(0, size - edge, edge // 2 or 1), size - edge]
    spans = [slice(start, start + edge) for start in starts]
    return list(product(spans, spans)), edge


def _window_filling(pixels: FloatArray, options: Options) -> Filling:
    if options.fill == "mean":
        return lambda region: np.asarray(pixels[region].mean(dtype=np.float64), np.float32)
    # Only the mean depends on the regions.
    return filled(pixels, np.zeros(pixels.shape, np.int32), options).__getitem__
