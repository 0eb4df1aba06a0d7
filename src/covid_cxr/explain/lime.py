"""LIME for radiographs: hide superpixels at random, fit a weighted linear model to the answers.

Ribeiro, Singh and Guestrin, "Why should I trust you?", KDD 2016. Needs nothing of the model but
a function from images to probabilities. Segmentation, hidden colour, kernel and ridge are those
of the authors' `lime` package, so that the same masks and answers give the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve
from skimage.segmentation import quickshift

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Hidden, Model, Options, check_image, class_index
from covid_cxr.types import BoolArray, Explanation, FloatArray, IntArray

QUICKSHIFT: dict[str, float] = {
    "kernel_size": 2.25,
    "max_dist": 50,
    "ratio": 0.1,
    "sigma": 0.15,
}
KERNEL_WIDTH = 1.75
RIDGE_ALPHA = 1.0
# Clear lung on a standardised film: one and a half deviations below the mean.
_LUNG = 0.2
# Answers that differ by less than float32 rounding leave no variance for R2 to explain.
_CONSTANT = 1e-6


@dataclass(frozen=True)
class LocalModel:
    """The linear stand-in for the model around one image.

    Attributes:
        weights: float64 (regions,); change of the probability when a region is shown.
        intercept: its answer with every region hidden.
        fidelity: weighted R2 on the samples, in (-inf, 1]; None where the model gave every
            sample the same answer, so that there was nothing to explain.
    """

    weights: NDArray[np.float64]
    intercept: float
    fidelity: float | None


def explain(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain the probability of `label` for one preprocessed image (1, S, S).

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the image is no float32 (1, S, S).
    """
    index = class_index(model, label)
    segments, local = lime(image, model.probabilities, index, options)
    return Explanation(
        method="lime",
        label=label,
        attribution=local.weights.astype(np.float32)[segments],
        segments=segments,
        weights=tuple(local.weights.tolist()),
        fidelity=local.fidelity,
        parameters=_parameters(local, options),
        seed=options.seed,
        bundle=model.bundle_id,
    )


def lime(
    image: FloatArray,
    predict_proba: Callable[[FloatArray], FloatArray],
    label_index: int,
    options: Options,
) -> tuple[IntArray, LocalModel]:
    """Explain column `label_index` of any `predict_proba`.

    Args:
        image: float32 (1, S, S) in [0, 1].
        predict_proba: (N, 1, S, S) -> (N, C); its argument is overwritten by the next batch.
        label_index: the explained class.
        options: samples, seed and batch size.

    Returns:
        Region numbers 0..n-1, int32 (S, S), and the local model with one weight a region.

    Raises:
        InputError: `image` or the answer of `predict_proba` has the wrong shape.
    """
    check_image(image)
    segments = superpixels(image[0], options.seed)
    masks = sample_masks(int(segments.max()) + 1, options.samples, options.seed)
    answers = [
        _column(predict_proba(batch), len(batch), label_index)
        for batch in perturbed(image[0], segments, masks, options.batch_size, options.hidden)
    ]
    return segments, fit(masks, np.concatenate(answers))


def superpixels(image: FloatArray, seed: int = 0) -> IntArray:
    """Return the quickshift regions of a grey image (S, S), numbered 0..n-1, as int32 (S, S).

    A radiograph of 224 x 224 has about 100 of them. The seed only breaks ties of density.
    """
    colour = np.repeat(image[..., None], 3, axis=2)
    regions = quickshift(colour, rng=seed, **QUICKSHIFT)  # type: ignore[no-untyped-call]
    _, numbers = np.unique(regions, return_inverse=True)
    return numbers.reshape(image.shape).astype(np.int32)


def sample_masks(regions: int, samples: int, seed: int) -> BoolArray:
    """Return (samples, regions) fair coin flips, True where shown; row 0 shows everything."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 2, size=(samples, regions), dtype=np.bool_)
    masks[0] = True
    return masks


def perturbed(
    image: FloatArray,
    segments: IntArray,
    masks: BoolArray,
    batch_size: int,
    hidden: Hidden = "mean",
) -> Iterator[FloatArray]:
    """Yield (N, 1, S, S) batches in which hidden regions are their mean grey, or lung-dark.

    Every batch is a view of one buffer that the next one overwrites.
    """
    covered = np.full_like(image, _LUNG)
    if hidden == "mean":
        covered = _region_means(image, segments)[segments]
    buffer = np.empty((min(batch_size, len(masks)), 1, *image.shape), dtype=np.float32)
    for start in range(0, len(masks), batch_size):
        rows = masks[start : start + batch_size]
        batch = buffer[: len(rows)]
        batch[:] = covered
        np.copyto(batch[:, 0], image, where=np.take(rows, segments, axis=1))
        yield batch


def kernel(masks: BoolArray) -> NDArray[np.float64]:
    """Return each sample's weight, sqrt(exp(-d^2 / width^2)), d its cosine distance to row 0.

    Row 0 is all ones, so a sample that shows k of n regions has the cosine sqrt(k / n).
    """
    distance: NDArray[np.float64] = 1.0 - np.sqrt(masks.mean(axis=1))
    return np.sqrt(np.exp(-(distance**2) / KERNEL_WIDTH**2))


def fit(masks: BoolArray, probabilities: ArrayLike) -> LocalModel:
    """Fit the weighted ridge regression (alpha 1, free intercept) by one Cholesky solution.

    Args:
        masks: (samples, regions), True where a region was shown; row 0 all True.
        probabilities: (samples,) answers of the model.
    """
    weight = kernel(masks)
    shown = masks.astype(np.float64)
    answer = np.asarray(probabilities, dtype=np.float64)
    mean_shown = weight @ shown / weight.sum()
    mean_answer = float(weight @ answer / weight.sum())
    centred = shown - mean_shown
    gram = (centred * weight[:, None]).T @ centred
    gram[np.diag_indices_from(gram)] += RIDGE_ALPHA
    weights = cho_solve(cho_factor(gram), (centred * weight[:, None]).T @ (answer - mean_answer))
    residual = answer - mean_answer - centred @ weights
    fidelity = None
    if np.ptp(answer) > _CONSTANT:
        fidelity = float(1.0 - weight @ residual**2 / (weight @ (answer - mean_answer) ** 2))
    return LocalModel(weights, mean_answer - float(mean_shown @ weights), fidelity)


def _region_means(image: FloatArray, segments: IntArray) -> FloatArray:
    flat = segments.ravel()
    sums = np.bincount(flat, weights=image.ravel())
    return (sums / np.bincount(flat)).astype(np.float32)


def _column(probabilities: FloatArray, expected: int, index: int) -> FloatArray:
    """Take one class out of an answer, as a copy: the model may reuse its output too."""
    answer = np.asarray(probabilities)
    if answer.ndim != 2 or len(answer) != expected or answer.shape[1] <= index:
        raise InputError(
            f"predict_proba answered {expected} images with shape {answer.shape}, "
            f"expected ({expected}, classes)"
        )
    return answer[:, index].copy()


def _parameters(local: LocalModel, options: Options) -> dict[str, Any]:
    return {
        "samples": options.samples,
        "segmentation": {"method": "quickshift", **QUICKSHIFT},
        "hidden": options.hidden,
        "distance": "cosine",
        "kernel_width": KERNEL_WIDTH,
        "ridge_alpha": RIDGE_ALPHA,
        "intercept": local.intercept,
    }
