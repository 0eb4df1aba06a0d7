"""Which films of a cohort a bundle was trained on, as far as the bundle can tell."""

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
KIN = "of a patient in the bundle's training"
# Embeddings are kept in half precision and trained on in it, which moves them by 0.0003 at most
# where measured; a film nearer than this is the same whatever the network.
_SAME = 5e-4
_AT_ONCE = 256
_SAMPLED = 1000


def find(cohort: pd.DataFrame, embeddings: FloatArray, made: Bundle) -> pd.DataFrame:
    """Return what a bundle knows of each row of a cohort.

    A film is known where its embedding lies so near to that of a training film that no two
    different training films do (`bound`). With it go the other films of its patient and its copies.
    Copies that were cropped or much changed lie farther and are not found; `cohort build` over
    both collections finds those.

    Args:
        cohort: as `covid_cxr.cohort.schema.load` returns it.
        embeddings: float32 (N, E) of its rows, NaN where there is none.
        made: the bundle, with or without `reference.npz`.

    Returns:
        A row an image: `reason` why it is no new film, "" where it is one, and the training
        `film` it is taken for ("" for none) at which `distance` (1 - cosine).
    """
    found = pd.DataFrame({"reason": "", "film": "", "distance": np.nan}, index=cohort.index)
    if not made.has_reference:
        log.warning(
            "bundle %s lists no films of its training: whether it has seen these cannot be told",
            made.id,
        )
        return found
    known = similar_cases.load(made.folder / REFERENCE)
    nearest, distance = _nearest(known, embeddings)
    copies = distance <= bound(known)
    found.loc[copies, "reason"] = TRAINED
    found.loc[copies, "film"] = known.image_ids[nearest[copies]]
    found.loc[copies, "distance"] = distance[copies].round(6)
    kin = components(cohort)
    found.loc[kin.isin(set(kin[copies])) & ~copies, "reason"] = KIN
    return found


def bound(known: Reference) -> float:
    """Return the distance up to which a film is taken for one of the training.

    Half of that under which one training film in a hundred has its nearest other one: 0.08 for
    the bundle that ships. On 45 of its training films the same file lay at 0.0003 at most, 60 %
    of the size, JPEG of quality 80 and another contrast at 0.03, 0.06 and 0.02 in the median; the
    nearest of 110 films that it had not seen lay at 0.18.
    """
    step = max(1, len(known.embeddings) // _SAMPLED)
    chosen = np.arange(0, len(known.embeddings), step)
    if len(known.embeddings) < 2:
        return _SAME
    _, distance = _nearest(known, known.embeddings[chosen], itself=chosen)
    return max(_SAME, float(np.quantile(distance, 0.01)) / 2)


def _nearest(
    known: Reference, embeddings: FloatArray, itself: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return which known film (N,) is nearest to each embedding, and its distance (N,) or inf."""
    found = np.zeros(len(embeddings), dtype=np.intp)
    distance = np.full(len(embeddings), np.inf)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = np.divide(embeddings, length, out=np.full_like(embeddings, np.nan), where=length > 0)
    for start in range(0, len(unit), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        apart = np.nan_to_num(1 - unit[part] @ known.embeddings.T, nan=np.inf)
        if itself is not None:
            apart[np.arange(len(apart)), itself[part]] = np.inf
        found[part] = apart.argmin(axis=1)
        distance[part] = apart.min(axis=1)
    return found, distance
