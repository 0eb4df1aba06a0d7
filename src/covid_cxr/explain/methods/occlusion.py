"""Occlusion: hide one place of the film, and see how far the model's confidence falls.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, slide a grey
window over the picture; `explain_regions` hides one superpixel at a time instead. Both need only
the model's probabilities. The fall is that of the log-odds margin, not of the probability, which
hardly moves where the model is sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from covid_cxr.explain.base import Model, Options, check_image, class_index
from covid_cxr.explain.superpixels import covered, description, superpixels
from covid_cxr.types import BoolArray, Explanation, FloatArray, IntArray

WINDOW = 1 / 8  # edge of the window, as a share of the film's: about a third of a lung's width
# A probability of 0 has no logarithm; softmax in float32 keeps smaller ones than this apart.
_LEAST = 1e-12

Place = tuple[slice, slice] | BoolArray  # what is hidden of a film (S, S): it indexes the film
Filling = Callable[[Place], FloatArray]  # what is put there


def explain(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain the class `label` for one preprocessed image (1, S, S) by a sliding window.

    A pixel's attribution is the mean fall of the log-odds margin over the windows that cover it,
    in nats. The window is an eighth of the edge wide and moves by half its width; the last one
    of a row ends with the film. It is filled as `options.fill` says, "mean" with its own mean.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the image is no float32 (1, S, S).
    """
    check_image(image)
    index = class_index(model, label)
    places, edge = windows(image.shape[1])
    filling = _window_filling(image[0], options)
    fall = falls(image[0], places, filling, model, index=index, options=options)
    return Explanation(
        method="occlusion",
        label=label,
        attribution=_mean_over_windows(places, fall, image.shape[1]),
        parameters={"window": edge, "windows": len(places), **_common(options)},
        seed=options.seed,
        bundle=model.bundle_id,
    )


def explain_regions(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain the class `label` for one preprocessed image (1, S, S) by hiding each superpixel.

    A region's weight is the fall of the log-odds margin, in nats, when it alone is hidden. For a
    model that is linear in the log-odds that is its exact effect; where regions stand in for one
    another (one of two opacities is enough), each alone counts for little.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the image is no float32 (1, S, S).
    """
    check_image(image)
    index = class_index(model, label)
    segments = superpixels(image[0], options)
    weights = region_weights(image[0], segments, model, index, options)
    return Explanation(
        method="occlusion-regions",
        label=label,
        attribution=weights.astype(np.float32)[segments],
        segments=segments,
        weights=tuple(weights.tolist()),
        parameters={"segmentation": description(options), **_common(options)},
        seed=options.seed,
        bundle=model.bundle_id,
    )


def region_weights(
    film: FloatArray, segments: IntArray, model: Model, index: int, options: Options
) -> NDArray[np.float64]:
    """Return how far hiding each region alone lowers class `index`'s margin, float64 (n,).

    Args:
        film: preprocessed, float32 (S, S).
        segments: int32 (S, S), regions 0..n-1.
        model: the model.
        index: the class's output column.
        options: what is put in place of a region, and how many films make a batch.
    """
    places = [np.equal(segments, region) for region in range(int(segments.max()) + 1)]
    cover = covered(film, segments, options)
    return falls(film, places, cover.__getitem__, model, index=index, options=options)


def falls(
    film: FloatArray,
    places: Sequence[Place],
    filling: Filling,
    model: Model,
    *,
    index: int,
    options: Options,
) -> NDArray[np.float64]:
    """Return how far hiding each place alone lowers class `index`'s margin, float64 (n,)."""
    nothing = np.zeros(film.shape, dtype=np.bool_)
    shown = np.concatenate([*answers(film, [nothing], film.__getitem__, model, 1)])
    hidden = np.concatenate([*answers(film, places, filling, model, options.batch_size)])
    return log_odds(shown, index) - log_odds(hidden, index)


def answers(
    film: FloatArray,
    places: Iterable[Place],
    filling: Filling,
    model: Model,
    batch_size: int,
) -> Iterator[NDArray[np.float64]]:
    """Yield the model's probabilities, float64 (N, C), of the film with each place hidden.

    One batch at a time, so that a caller who has seen enough can stop; the images lie in one
    buffer that the next batch overwrites.
    """
    buffer = np.empty((batch_size, 1, *film.shape), dtype=np.float32)
    remaining = iter(places)
    while batch := list(islice(remaining, batch_size)):
        for picture, place in zip(buffer[:, 0], batch, strict=False):
            picture[:] = film
            picture[place] = filling(place)
        yield np.array(model.probabilities(buffer[: len(batch)]), dtype=np.float64)


def log_odds(probabilities: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Return each row's margin: class `index`'s logit less the mean of the other logits.

    A softmax loses only what all logits have in common, so the logarithms of its probabilities
    (N, C) give the same difference. With two classes it is the log-odds.
    """
    logits = np.log(np.maximum(probabilities, _LEAST))
    others = np.delete(logits, index, axis=1)
    margin: NDArray[np.float64] = logits[:, index] - others.mean(axis=1)
    return margin


def windows(size: int) -> tuple[list[Place], int]:
    """Return the windows over a film of `size` pixels a side, row by row, and their edge.

    >>> places, edge = windows(224)
    >>> len(places), edge, places[-1]
    (225, 28, (slice(196, 224, None), slice(196, 224, None)))
    """
    edge = min(size, max(2, round(WINDOW * size)))
    starts = [*range(0, size - edge, edge // 2 or 1), size - edge]
    spans = [slice(start, start + edge) for start in starts]
    return list(product(spans, spans)), edge


def _window_filling(film: FloatArray, options: Options) -> Filling:
    if options.fill == "mean":
        return lambda place: np.asarray(film[place].mean(dtype=np.float64), np.float32)
    # Nothing but the mean depends on how the film is cut.
    whole = np.zeros(film.shape, dtype=np.int32)
    return covered(film, whole, options).__getitem__


def _mean_over_windows(places: Sequence[Place], fall: NDArray[np.float64], size: int) -> FloatArray:
    total, times = np.zeros((size, size)), np.zeros((size, size))
    for place, drop in zip(places, fall, strict=True):
        total[place] += drop
        times[place] += 1
    return (total / times).astype(np.float32)


def _common(options: Options) -> dict[str, object]:
    return {"fill": options.fill, "against": "mean of the other classes"}
