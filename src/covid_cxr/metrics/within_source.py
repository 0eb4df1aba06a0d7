"""AUROC within sources, so that telling the sources apart earns nothing (Janes and Pepe 2009).

Intervals describe sampling of patients, not the variation between trainings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covid_cxr.metrics.bootstrap import Bootstrap
from covid_cxr.metrics.intervals import Interval
from covid_cxr.metrics.scores import Array, Codes, concordant_pairs, cumulative_counts, ratio

Events = NDArray[np.bool_]


class Ranking(NamedTuple):
    """Scores (N,), and the source within which cases are compared; None compares all cases."""

    scores: Array
    source: Codes | None = None


def within_source_auroc(
    events: Events, scores: Array, source: Codes | None = None, weights: Array | None = None
) -> Array:
    """Return the share of concordant pairs of one source, ties counting half.

    This is the covariate-adjusted AUROC (Janes and Pepe, "Adjusting for covariate effects on
    classification accuracy using the covariate-adjusted ROC curve", Biometrika 2009), each source
    weighted by its number of pairs. With one source for all it is the AUROC.

    Args:
        events: (N,) whether the case is an event.
        scores: (N,) larger means more likely an event.
        source: (N,) integer from 0; None for one source.
        weights: (D, N) case weights >= 0; None: every case counts once (D = 1).

    Returns:
        (D,); NaN where no source holds both classes.
    """
    source = np.zeros(events.size, np.intp) if source is None else source
    n_weightings = 1 if weights is None else len(weights)
    concordant, pairs = np.zeros(n_weightings), np.zeros(n_weightings)
    for code in np.flatnonzero(has_both_classes(events, source)):
        rows = source == code
        part = None if weights is None else weights[:, rows]
        _, true, false = cumulative_counts(events[rows], scores[rows], part)
        concordant += concordant_pairs(true, false)
        pairs += true[:, -1] * false[:, -1]
    return ratio(concordant, pairs)


def auroc_intervals(
    events: Events,
    rankings: Mapping[str, Ranking],
    clusters: Codes,
    bootstrap: Bootstrap,
    *,
    differences: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, Interval]:
    """Return the AUROC of each ranking and their differences, on the same resamples.

    Args:
        events: (N,) whether the case is an event.
        rankings: name -> scores and sources of the same cases.
        clusters: (N,) patients, resampled whole.
        bootstrap: over patients.
        differences: name -> (first, second), the first AUROC less the second.
    """

    def statistic(weights: Array | None) -> dict[str, Array]:
        areas = {
            name: within_source_auroc(events, *ranking, weights)
            for name, ranking in rankings.items()
        }
        for name, (first, second) in (differences or {}).items():
            areas[name] = areas[first] - areas[second]
        return areas

    rarer = min(np.unique(clusters[events]).size, np.unique(clusters[~events]).size)
    return bootstrap.intervals(statistic, clusters, support=dict.fromkeys(rankings, rarer))


def has_both_classes(events: Events, source: Codes) -> NDArray[np.bool_]:
    """Return (K,), for each code 0..K-1 of `source`, whether it has events and non-events."""
    n_sources = int(source.max(initial=-1)) + 1
    n_events = np.bincount(source, weights=events, minlength=n_sources)
    return np.asarray((n_events > 0) & (n_events < np.bincount(source, minlength=n_sources)))
