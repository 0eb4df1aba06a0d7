"""AUROCs, within origins and against each other, with intervals that respect patients.

Intervals are of scores as they are: how much another training would have changed them is the
question of the check of stability.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covid_cxr.metrics.bootstrap import Bootstrap
from covid_cxr.metrics.intervals import Interval
from covid_cxr.metrics.scores import Array, cumulative_counts

Events = NDArray[np.bool_]
Codes = NDArray[np.intp]


class Ranking(NamedTuple):
    """Scores of N films, and the origin that a film is compared within; None compares all."""

    scores: Array
    origin: Codes | None = None


def aurocs(
    events: Events,
    rankings: Mapping[str, Ranking],
    clusters: Codes,
    *,
    bootstrap: Bootstrap,
    differences: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, Interval]:
    """Return the AUROC of each ranking and their differences, all from the same resamples.

    Args:
        events: (N,) whether it is COVID-19.
        rankings: name -> scores, larger means more likely COVID-19.
        clusters: (N,) patients, resampled whole.
        bootstrap: over patients.
        differences: name -> (first, second), the first AUROC less the second.
    """

    def statistic(weights: Array | None) -> dict[str, Array]:
        found = {name: auroc_within(events, each, weights) for name, each in rankings.items()}
        for name, (first, second) in (differences or {}).items():
            found[name] = found[first] - found[second]
        return found

    rarer = min(np.unique(clusters[events]).size, np.unique(clusters[~events]).size)
    support = dict.fromkeys(rankings, rarer)
    return bootstrap.intervals(statistic, clusters, support=support)


def auroc_within(events: Events, ranking: Ranking, weights: Array | None = None) -> Array:
    """Return the share of pairs of one origin that stand in the right order, ties counting half.

    With one origin for all it is the AUROC; else the covariate-adjusted one (Janes and Pepe,
    "Adjusting for covariate effects on classification accuracy", Biometrika 2009), origins
    weighted by their pairs. NaN where no origin holds both classes.

    Args:
        events: (N,).
        ranking: scores and origins.
        weights: (D, N) case weights; None counts each once.

    Returns:
        (D,).
    """
    origin = np.zeros(events.size, np.intp) if ranking.origin is None else ranking.origin
    n_weightings = 1 if weights is None else len(weights)
    right, all_pairs = np.zeros(n_weightings), np.zeros(n_weightings)
    for code in np.unique(origin):
        chosen = origin == code
        if events[chosen].all() or not events[chosen].any():
            continue
        part = None if weights is None else weights[:, chosen]
        _, true, false = cumulative_counts(events[chosen], ranking.scores[chosen], part)
        right += np.einsum("dk,dk->d", np.diff(false, axis=1), true[:, 1:] + true[:, :-1]) / 2
        all_pairs += true[:, -1] * false[:, -1]
    empty = np.full(n_weightings, np.nan)
    answer: Array = np.divide(right, all_pairs, out=empty, where=all_pairs > 0)
    return answer


def two_classes(events: Events, origin: Codes) -> NDArray[np.bool_]:
    """Return (K,), for each code 0..K-1 of origin, whether it holds both classes."""
    many = int(origin.max(initial=-1)) + 1
    with_covid = np.bincount(origin, weights=events, minlength=many)
    return np.asarray((with_covid > 0) & (with_covid < np.bincount(origin, minlength=many)))


def quantiles(
    values: Array, clusters: Codes, shares: Mapping[str, float], *, bootstrap: Bootstrap
) -> dict[str, Interval]:
    """Return quantiles of values (N,) with intervals over resamples of whole patients.

    Args:
        values: (N,).
        clusters: (N,).
        shares: name -> share in [0, 1], such as {"median": 0.5}.
        bootstrap: over patients.
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]

    def statistic(weights: Array | None) -> dict[str, Array]:
        times = np.ones((1, values.size)) if weights is None else weights
        reached = np.cumsum(times[:, order], axis=1) / times.sum(axis=1, keepdims=True)
        return {
            name: ranked[(reached < share - 1e-12).sum(axis=1).clip(max=values.size - 1)]
            for name, share in shares.items()
        }

    return bootstrap.intervals(statistic, clusters)


def counts(names: NDArray[Any], events: Events) -> dict[str, dict[str, int]]:
    """Return name -> films and, of them, those with COVID-19."""
    return {
        str(name): {
            "films": int((names == name).sum()),
            "with_covid": int(events[names == name].sum()),
        }
        for name in np.unique(names)
    }
