"""Head, distance and limits from looks of the lung network.

Scores of a film by a head that was fitted to others of its source say little of a film from
elsewhere. The limits are therefore set on scores of films whose whole source was left out.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from covid_cxr.errors import CohortError
from covid_cxr.inference.input_check import UPRIGHT, Gate
from covid_cxr.types import FloatArray
from research.input_check.samples import OTHERS, PHANTOMS, PICTURES, Samples

COMPONENTS = 128
_RIDGE = 1e-6  # of the largest variance, below which a component is not blown up
_PENALTY = 0.1  # C of the head
_SHRINK = 0.1  # share of the covariance that is taken as round
_FEW, _UNSEEN_FEW = (
    0.005,
    0.05,
)  # of upright films that a limit leaves out; where no lungs are found
_FOLDS = 5


class Scores(NamedTuple):
    """Of N looks: the log-odds of an upright film, and the distance from those known."""

    odds: FloatArray
    distance: FloatArray


def fit(samples: Samples) -> Gate:
    """Return a gate: its head from the train rows, its limits from train and val.

    Raises:
        CohortError: there are no upright films.
    """
    rows = samples.rows
    if not (rows["reason"].eq(UPRIGHT) & rows["split"].eq("train")).any():
        raise CohortError("the cohort has no films of train; the gate is fitted to those")
    least, farthest = _limits(left_out(samples))
    return replace(head(samples), least=least, farthest=farthest)


def head(samples: Samples) -> Gate:
    """Return a gate without limits, from the train rows."""
    train = samples.where(samples.rows["split"].eq("train"))
    features = train.features.astype(np.float32)
    mean, components = _principal(features)
    known = np.asarray((features - mean) @ components, np.float32)
    model = LogisticRegression(C=_PENALTY, max_iter=300)
    with warnings.catch_warnings():  # 300 steps are enough; the last digits decide nothing
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(known, train.rows["reason"].to_numpy(dtype=np.str_))
    centre, whitening = _spread(known[train.rows["reason"].eq(UPRIGHT).to_numpy()])
    return Gate(
        mean=mean,
        components=components,
        weights=model.coef_.T.astype(np.float32),
        bias=model.intercept_.astype(np.float32),
        reasons=model.classes_.astype(np.str_),
        centre=centre,
        whitening=whitening,
        least=np.zeros(2, np.float32),
        farthest=np.full(2, np.inf, np.float32),
    )


def scores(gate: Gate, samples: Samples) -> Scores:
    """Return what a gate says of looks."""
    known = gate.project_pooled(samples.features.astype(np.float32))
    return Scores(gate.head(known)[0], gate.distance(known))


def reasons(gate: Gate, samples: Samples) -> NDArray[np.str_]:
    """Return for each look why it is refused, "" where it is not."""
    known = gate.project_pooled(samples.features.astype(np.float32))
    return gate.decide(known, samples.unseen)


def left_out(samples: Samples) -> Scores:
    """Return the scores of upright films, each from a head that has seen none of its source."""
    blocks = _blocks(samples)
    found = []
    for block in sorted(set(blocks) - {""}):
        rest = head(samples.where(blocks != block))
        is_tried = (blocks == block) & samples.rows["reason"].eq(UPRIGHT).to_numpy()
        found.append(scores(rest, samples.where(is_tried)))
    odds, distance = zip(*found, strict=True)
    return Scores(np.concatenate(odds), np.concatenate(distance))


def _blocks(samples: Samples) -> NDArray[np.str_]:
    """Return what is left out together: a source; of one source alone, a fifth of its patients."""
    rows = samples.rows
    is_film = ~rows["source"].isin((PHANTOMS, PICTURES, OTHERS))
    blocks = rows["source"].where(is_film, "")
    if blocks[is_film].nunique() == 1:
        patients = {name: i for i, name in enumerate(sorted(set(rows.loc[is_film, "patient_id"])))}
        fold = rows["patient_id"].map(patients).fillna(0).astype(int) % _FOLDS
        blocks = fold.astype(str).where(is_film, "")
    return np.array(blocks.tolist(), dtype=np.str_)


def _limits(tried: Scores) -> tuple[FloatArray, FloatArray]:
    """Return limits that nearly all upright films keep; stricter ones where no lungs are found."""
    few = np.array([_FEW, _UNSEEN_FEW])
    least = np.maximum(np.quantile(tried.odds, few), 0)
    farthest = np.quantile(tried.distance, 1 - few)
    return least.astype(np.float32), farthest.astype(np.float32)


def _principal(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean (D,) and the components (D, K) that make the spread of (N, D) round."""
    mean = features.mean(axis=0)
    axes, variances = _axes(features - mean, min(COMPONENTS, len(features) - 1))
    # An axis' sign is the library's choice; a fixed one gives the same file everywhere.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    scaled = axes / np.sqrt(variances + _RIDGE * variances.max())
    return mean, scaled.astype(np.float16).astype(np.float32)  # as the file keeps them


def _axes(centred: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return unit axes (D, K) of the largest spread, and the variance (K,) along each."""
    many, wide = centred.shape
    if many > wide:
        variances, axes = eigh(centred.T @ centred / many, subset_by_index=[wide - count, wide - 1])
        return axes, np.maximum(variances, 0)
    # Fewer looks than features: the same axes from the smaller matrix.
    variances, shares = eigh(centred @ centred.T / many, subset_by_index=[many - count, many - 1])
    variances = np.maximum(variances, _RIDGE * variances.max())
    return centred.T @ shares / np.sqrt(many * variances), variances


def _spread(upright: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the centre (K,) of upright films (N, K), and what makes their spread round (K, K)."""
    centre = upright.mean(axis=0)
    away = upright - centre
    spread = away.T @ away / len(away)
    count = len(spread)
    even = np.trace(spread) / count * np.eye(count)
    precision = np.linalg.inv((1 - _SHRINK) * spread + _SHRINK * even)
    return centre, np.linalg.cholesky(precision).astype(np.float32)
