"""Which images of a cohort a bundle was trained on, as far as can be told."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.splits.grouped import components
from covid_cxr.inference import similar_cases
from covid_cxr.inference.similar_cases import Reference
from covid_cxr.models.bundle import REFERENCE, Bundle
from covid_cxr.types import FloatArray

log = logging.getLogger(__name__)

TRAINED = "in the bundle's training"
SAME_PATIENT = "of a patient in the bundle's training"
# Embeddings are stored in half precision, which moves them by 0.0003 at most where measured; an
# image nearer than this is the same whatever the network.
_SAME = 5e-4
_BATCH = 256
_SAMPLED = 1000


def find(cohort: pd.DataFrame, embeddings: FloatArray, bundle: Bundle) -> pd.DataFrame:
    """Return which rows of a cohort a bundle was trained on.

    A row is taken for a training image if its embedding lies nearer to it than different training
    images lie to each other (`max_distance`), and with it all other images of its patient and its
    near-duplicates. Near-duplicates that were cropped or changed more lie farther and are not
    recognised; `cohort build` over both collections finds those.

    Args:
        cohort: as `covid_cxr.cohort.schema.load` returns it.
        embeddings: float32 (N, E) of its rows, NaN where there is none.
        bundle: with or without `reference.npz`.

    Returns:
        A row an image: `reason`, "" for a new image, the `training_image` it is taken for ("" for
        none) and their `distance` (1 - cosine).
    """
    empty = {"reason": "", "training_image": "", "distance": np.nan}
    overlap = pd.DataFrame(empty, index=cohort.index)
    if not bundle.has_reference:
        log.warning(
            "bundle %s does not list its training images: whether these are among them is unknown",
            bundle.id,
        )
        return overlap
    reference = similar_cases.load(bundle.folder / REFERENCE)
    nearest, distance = _nearest(reference, embeddings)
    same = distance <= max_distance(reference)
    overlap.loc[same, "reason"] = TRAINED
    overlap.loc[same, "training_image"] = reference.image_ids[nearest[same]]
    overlap.loc[same, "distance"] = distance[same].round(6)
    linked = components(cohort)
    overlap.loc[linked.isin(set(linked[same])) & ~same, "reason"] = SAME_PATIENT
    return overlap


def max_distance(reference: Reference) -> float:
    """Return the distance up to which an image is taken for a training image.

    Half of the distance below which one training image in a hundred has its nearest other one: 0.08
    for the bundle that ships. For 45 of its training images the same file lay at 0.0003 at most,
    60 % of the size, JPEG of quality 80 and another contrast at 0.03, 0.06 and 0.02 in the median;
    the nearest of 110 images that were not trained on lay at 0.18.
    """
    if len(reference.embeddings) < 2:
        return _SAME
    chosen = np.arange(0, len(reference.embeddings), max(1, len(reference.embeddings) // _SAMPLED))
    _, distance = _nearest(reference, reference.embeddings[chosen], itself=chosen)
    return max(_SAME, float(np.quantile(distance, 0.01)) / 2)


def _nearest(
    reference: Reference, embeddings: FloatArray, itself: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the reference image (N,) nearest to each embedding, and its distance (N,) or inf."""
    nearest = np.zeros(len(embeddings), dtype=np.intp)
    distance = np.full(len(embeddings), np.inf)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = np.divide(embeddings, length, out=np.full_like(embeddings, np.nan), where=length > 0)
    for start in range(0, len(unit), _BATCH):
        part = slice(start, start + _BATCH)
        apart = np.nan_to_num(1 - unit[part] @ reference.embeddings.T, nan=np.inf)
        if itself is not None:
            apart[np.arange(len(apart)), itself[part]] = np.inf
        nearest[part] = apart.argmin(axis=1)
        distance[part] = apart.min(axis=1)
    return nearest, distance
