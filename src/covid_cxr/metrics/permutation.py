"""Permutation of labels among patients, for permutation tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import Events


def permute_labels(
    events: Events, clusters: Codes, source: Codes | None, times: int, seed: int
) -> NDArray[np.bool_]:
    """Return labels (N, times) permuted among the patients of each source.

    A patient is an event if any of its cases is, and all its cases share the permuted label.

    Args:
        events: (N,) whether the case is an event.
        clusters: (N,) integer from 0, the patient of each case.
        source: (N,) integer from 0; None permutes among all patients.
        times: number of permutations.
        seed: random seed.
    """
    n_patients = int(clusters.max(initial=-1)) + 1
    label, stratum = np.zeros(n_patients, bool), np.zeros(n_patients, np.intp)
    np.logical_or.at(label, clusters, events)
    if source is not None:
        stratum[clusters] = source
    rng = np.random.default_rng((seed, 9))
    permuted = np.repeat(label[:, None], times, axis=1)
    for code in np.unique(stratum):
        rows = np.flatnonzero(stratum == code)
        permuted[rows] = rng.permuted(permuted[rows], axis=0)
    return permuted[clusters]


def permutation_p_value(value: float, permuted: Array) -> float:
    """Return the share of permuted values (P,) at least as large as the true one, itself counted.

    (1 + b) / (1 + P), after Phipson and Smyth ("Permutation p-values should never be zero", 2010).
    NaN where the true value is; permuted values of NaN are left out.
    """
    defined = permuted[~np.isnan(permuted)]
    if np.isnan(value):
        return np.nan
    return (1 + int((defined >= value).sum())) / (1 + defined.size)
