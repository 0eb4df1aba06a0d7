"""AUROC within sources, so that telling the sources apart earns nothing (Janes and Pepe 2009).

Intervals describe sampling of patients, not the variation between trainings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covid_cxr.metrics.bootstrap import Bootstrap, Statistic
from covid_cxr.metrics.intervals import Interval, Paired
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


def auroc_interval(
    events: Events, ranking: Ranking, clusters: Codes, bootstrap: Bootstrap
) -> Interval:
    """Return the AUROC of a ranking.

    Args:
        events: (N,) whether the case is an event.
        ranking: scores and sources of the same cases.
        clusters: (N,) patients, resampled whole.
        bootstrap: over patients.
    """
    support = _auroc_support(events, clusters)
    return bootstrap.intervals(_auroc(events, ranking), clusters, support=support)["auroc"]


def paired_auroc(
    events: Events, first: Ranking, second: Ranking, clusters: Codes, bootstrap: Bootstrap
) -> Paired:
    """Return the AUROCs of two rankings of the same cases and their difference.

    Args:
        events, clusters, bootstrap: as for `auroc_interval`.
        first, second: scores and sources; both are scored on the same resamples.
    """
    statistics = _auroc(events, first), _auroc(events, second)
    support = _auroc_support(events, clusters)
    return bootstrap.paired_intervals(*statistics, clusters, support=support)["auroc"]


def has_both_classes(events: Events, source: Codes) -> NDArray[np.bool_]:
    """Return (K,), for each code 0..K-1 of `source`, whether it has events and non-events."""
    n_sources = int(source.max(initial=-1)) + 1
    n_events = np.bincount(source, weights=events, minlength=n_sources)
    return np.asarray((n_events > 0) & (n_events < np.bincount(source, minlength=n_sources)))


def _auroc(events: Events, ranking: Ranking) -> Statistic:
    return lambda weights: {"auroc": within_source_auroc(events, *ranking, weights)}


def _auroc_support(events: Events, clusters: Codes) -> dict[str, int]:
    rarer = min(np.unique(clusters[events]).size, np.unique(clusters[~events]).size)
    return {"auroc": rarer}
