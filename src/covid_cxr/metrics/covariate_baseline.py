"""Covariate-only baselines: the AUROC of one covariate (source, site, view) without the image.

A covariate can predict the outcome without the image, as the view position does: patients who are
too ill to stand are imaged lying down (AP), others stand (PA).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covid_cxr.metrics.delong import clustered_auroc
from covid_cxr.metrics.intervals import Interval
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import within_source_auroc

AP_VIEWS = ("AP", "AP Supine")
PA_VIEWS = ("PA",)
_HALVINGS = 20


def projections(views: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which images (N,) are AP, supine or erect, and which are PA; the rest state neither.

    Args:
        views: (N,) view positions as a cohort states them.
    """
    stated = np.asarray(views, dtype=object)
    ap, pa = (np.isin(stated.astype(str), names) for names in (AP_VIEWS, PA_VIEWS))
    return ap, pa


def view_alone(labels: ArrayLike, views: ArrayLike, clusters: ArrayLike) -> Interval:
    """Return the AUROC of "is AP" as the only predictor, over the images of known view.

    It is below 0.5 where the images without the event are the ones taken AP; NaN unless both
    classes are present.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        views: (N,) view positions.
        clusters: (N,) patient of each case.
    """
    ap, pa = projections(views)
    stated = ap | pa
    event, patients = np.asarray(labels, dtype=bool), np.asarray(clusters)
    return clustered_auroc(event[stated], ap[stated].astype(np.float64), patients[stated])


def out_of_fold_prevalence(level: Codes, events: NDArray[np.bool_], folds: Codes) -> Array:
    """Return scores (N,): the prevalence among the cases of the same level in the other folds.

    Args:
        level: (N,) integer from 0, the level of the covariate.
        events: (N,) whether the case is an event.
        folds: (N,) fold number.
    """
    scores, size = np.empty(level.size), 2 * (int(level.max(initial=-1)) + 1)
    for fold in np.unique(folds):
        training = folds != fold
        counts = np.bincount(2 * level[training] + events[training], minlength=size)
        scores[~training] = _smoothed_prevalence(counts.reshape(-1, 2))[level[~training]]
    return scores


def half_split_auroc(level: Codes, events: NDArray[np.bool_], patient: Codes, seed: int) -> float:
    """Return the AUROC of a covariate as the only predictor, on patients it was not fitted to.

    The patients are split into random halves, and each image of one half is scored with the
    prevalence of its level in the other half. The mean over both halves and 20 splits is not
    optimistic: an uninformative covariate has 0.5, however many levels it has.

    Args:
        level, patient: (N,) integers from 0; a patient stays in one half.
        events: (N,) whether the case is an event.
        seed: random seed of the splits.

    Returns:
        In [0, 1]; NaN where no half holds both classes.
    """
    patients, cells = int(patient.max(initial=-1)) + 1, 2 * (int(level.max(initial=-1)) + 1)
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(_HALVINGS):
        half = rng.permutation(patients) % 2
        cell = half[patient] * cells + 2 * level + events
        halves = np.bincount(cell, minlength=2 * cells).reshape(2, -1, 2)
        areas += [_auroc_of_levels(*pair) for pair in (halves, halves[::-1])]
    defined = [area for area in areas if not math.isnan(area)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def _smoothed_prevalence(counts: NDArray[np.int64]) -> Array:
    """Return the prevalence (L,) of each level from its counts (L, 2) of non-events and events.

    (k + p) / (n + 1) for k events of n cases and an overall prevalence p, so that an unseen level
    gets p.
    """
    events, cases = counts[:, 1], counts.sum(axis=1)
    overall = events.sum() / cases.sum() if cases.any() else 0.5
    return np.asarray((events + overall) / (cases + 1))


def _auroc_of_levels(scored: NDArray[np.int64], training: NDArray[np.int64]) -> float:
    """Return the AUROC of counts (L, 2) by level, scored with the prevalence in the others."""
    labels = np.tile([False, True], len(scored))
    scores = np.repeat(_smoothed_prevalence(training), 2)
    weights = scored.reshape(1, -1).astype(np.float64)
    return float(within_source_auroc(labels, scores, weights=weights)[0])
