"""LIME for radiographs: hide superpixels at random, fit a weighted linear model to the answers.

Ribeiro, Singh and Guestrin, "Why should I trust you?", KDD 2016. Needs nothing of the model but a
function from images to probabilities. With the settings `ORIGINAL`, segmentation, fill, kernel and
ridge are those of the authors' `lime` package as the original system ran it: the same masks and
answers give the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.linalg import cho_factor, cho_solve

from covid_cxr.explain.base import Attribution, Model, by_region, check_image
from covid_cxr.explain.sampling import sample_masks
from covid_cxr.explain.settings import FillSettings, RegionSettings, Sampling
from covid_cxr.explain.superpixels import answers, constants, filled, superpixels
from covid_cxr.metrics.association import spearman
from covid_cxr.types import BoolArray, FloatArray, IntArray

KERNEL_WIDTH = 1.75
RIDGE_ALPHA = 1.0
# Answers that differ by less than float32 rounding leave no variance for R2 to explain.
_CONSTANT = 1e-6
# Fewer samples agree by chance; early stopping is not considered before.
_LEAST = 128

Predict = Callable[[FloatArray], FloatArray]


class LimeSettings(RegionSettings):
    """Settings of LIME.

    The defaults are, on radiographs with opacities drawn by radiologists, the most faithful to the
    model and the most repeatable over seeds (docs/concepts/explanations.md).

    Attributes:
        samples: most perturbed images that are shown to the model.
        kernel_width: of the samples' weights, on cosine distance.
        sampling: how the hidden regions are chosen: each with probability 1/2 ("bernoulli",
            COVID-CXR, 2020), "antithetic" or "balanced" (see `covid_cxr.explain.sampling`).
        stopping_reliability: sampling stops once the weights fitted to the two halves of the
            samples have at least this Spearman correlation, stepped up to the whole
            (Spearman-Brown); None uses all samples.
    """

    samples: int = Field(1000, ge=10, le=20_000, description="most perturbed images")
    kernel_width: float = Field(KERNEL_WIDTH, gt=0, le=1000, description="width of the kernel")
    sampling: Sampling = Field("balanced", description="how hidden regions are chosen")
    stopping_reliability: float | None = Field(
        0.9, gt=0, lt=1, description="stop once the ranking is this reliable; null: never"
    )


# As COVID-CXR (2020) ran it.
ORIGINAL = LimeSettings(
    superpixels="quickshift", regions=64, sampling="bernoulli", stopping_reliability=None
)


@dataclass(frozen=True)
class LocalModel:
    """The linear model that stands in for the model around one image.

    Attributes:
        weights: float64 (regions,); change of the probability when a region is shown.
        intercept: its answer with every region hidden.
        fidelity: weighted R2 on the samples, in (-inf, 1]; None where the model gave every
            sample the same answer, so that there was nothing to explain.
        samples: number of samples it was fitted to.
    """

    weights: NDArray[np.float64]
    intercept: float
    fidelity: float | None
    samples: int


def explain(image: FloatArray, model: Model, index: int, settings: LimeSettings) -> Attribution:
    """Explain the probability of a class by LIME."""
    segments, models = lime(image, model.probabilities, settings)
    fitted = models[index]
    parameters = {
        **constants(settings),
        "samples": fitted.samples,  # no more than the settings say
        "distance": "cosine",
        "ridge_alpha": RIDGE_ALPHA,
        "intercept": fitted.intercept,
    }
    return by_region(segments, fitted.weights, parameters, fitted.fidelity)


def lime(
    image: FloatArray, predict_proba: Predict, settings: LimeSettings
) -> tuple[IntArray, list[LocalModel]]:
    """Explain every column of any `predict_proba`, for the price of one.

    Args:
        image: float32 (1, S, S) in [0, 1].
        predict_proba: (N, 1, S, S) -> (N, C); its argument is overwritten by the next batch.
        settings: regions, samples, seed and batch size.

    Returns:
        Region numbers 0..n-1, int32 (S, S), and C local models with one weight a region.

    Raises:
        InputError: `image` or the answer of `predict_proba` has the wrong shape.
    """
    check_image(image)
    segments = superpixels(image[0], settings)
    masks = sample_masks(
        int(segments.max()) + 1, settings.samples, settings.seed, settings.sampling
    )
    images = perturbed(image[0], segments, masks, settings)
    probabilities = np.empty((0, 0))
    for answer in answers(predict_proba, images, settings.batch_size):
        probabilities = np.concatenate([probabilities, answer]) if probabilities.size else answer
        if _suffices(masks[: len(probabilities)], probabilities, settings):
            break
    return segments, fit(masks[: len(probabilities)], probabilities, settings.kernel_width)


def perturbed(
    pixels: FloatArray, segments: IntArray, masks: BoolArray, settings: FillSettings
) -> Iterator[FloatArray]:
    """Yield for each row of `masks` the pixels (S, S) with the regions filled that it hides."""
    cover = filled(pixels, segments, settings.fill)
    return (np.where(mask[segments], pixels, cover) for mask in masks)


def kernel(masks: BoolArray, width: float = KERNEL_WIDTH) -> NDArray[np.float64]:
    """Return each sample's weight, sqrt(exp(-d^2 / width^2)), d its cosine distance to row 0.

    Row 0 is all ones, so a sample that shows k of n regions has the cosine sqrt(k / n). Bernoulli
    samples show about half, which is d = 0.29 give or take 0.04 for 64 regions: at the original's
    width of 1.75 all samples weigh between 0.983 and 0.990, so LIME as it is used is in effect an
    unweighted regression. A width of 0.25 weighs them between 0.4 and 0.6.
    """
    distance: NDArray[np.float64] = 1.0 - np.sqrt(masks.mean(axis=1))
    return np.sqrt(np.exp(-(distance**2) / width**2))


def fit(
    masks: BoolArray, probabilities: ArrayLike, width: float = KERNEL_WIDTH
) -> list[LocalModel]:
    """Fit a weighted ridge regression (alpha 1, free intercept) per class, by one Cholesky for all.

    Args:
        masks: (samples, regions), True where a region was shown; row 0 all True.
        probabilities: (samples, C) answers of the model.
        width: of the kernel.
    """
    weight = kernel(masks, width)
    features = masks.astype(np.float64)
    answers = np.asarray(probabilities, dtype=np.float64)
    mean_features = weight @ features / weight.sum()
    mean_answer = weight @ answers / weight.sum()
    centred, spread = features - mean_features, answers - mean_answer
    weighted = centred * weight[:, None]
    gram = weighted.T @ centred
    gram[np.diag_indices_from(gram)] += RIDGE_ALPHA
    weights = cho_solve(cho_factor(gram), weighted.T @ spread)  # (regions, C)
    residual = weight @ (spread - centred @ weights) ** 2
    total = weight @ spread**2
    constant = np.ptp(answers, axis=0) <= _CONSTANT
    return [
        LocalModel(
            weights[:, c],
            float(mean_answer[c] - mean_features @ weights[:, c]),
            None if constant[c] else float(1.0 - residual[c] / total[c]),
            len(masks),
        )
        for c in range(answers.shape[1])
    ]


def reliability(
    masks: BoolArray, probabilities: NDArray[np.float64], width: float = KERNEL_WIDTH
) -> float:
    """Return how alike the regions would rank with other samples, in [-1, 1].

    The samples are dealt out in pairs to two halves, each is fitted, and the Spearman correlation
    of the two, the lowest over the classes, is stepped up to the whole (Spearman 1910, Brown 1910).
    Its square root estimates the correlation with the weights of infinitely many samples.

    Args:
        masks: (samples, regions) with row 0 all True.
        probabilities: (samples, C).
    """
    pair = (np.arange(len(masks)) - 1) // 2  # the complement stays with its sample
    halves = [np.flatnonzero((pair % 2 == side) | (pair < 0)) for side in (0, 1)]
    fitted = [fit(masks[rows], probabilities[rows], width) for rows in halves]
    lowest = min(spearman(a.weights, b.weights) for a, b in zip(*fitted, strict=True))
    return 2 * lowest / (1 + lowest) if lowest > 0 else lowest


def _suffices(masks: BoolArray, probabilities: NDArray[np.float64], settings: LimeSettings) -> bool:
    """Tell whether the weights of the samples answered so far are reliable enough to stop."""
    if settings.stopping_reliability is None or len(masks) < max(_LEAST, 2 * masks.shape[1]):
        return False
    reached = reliability(masks, probabilities, settings.kernel_width)
    return reached >= settings.stopping_reliability
