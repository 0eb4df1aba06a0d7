"""95 % intervals by a bootstrap that resamples whole patients (Field and Welsh 2007).

Images of one patient resemble each other, so resampling images would give intervals that are too
narrow. A resample takes as many patients as there are, with replacement; it reaches the scores as
one row of case weights, so thousands of resamples are scored together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covid_cxr.metrics.intervals import (
    TAILS,
    Interval,
    Paired,
    clopper_pearson,
    cluster_numbers,
    logit_interval,
)
from covid_cxr.metrics.scores import Array, ratio

Statistic = Callable[[Array | None], Mapping[str, Array]]

# Weights in memory at once (8 bytes each): small enough for the cache, and about ten such arrays
# live together, so the bootstrap stays far under 300 MB however many cases there are.
_WEIGHTS_AT_ONCE = 500_000
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Bootstrap:
    """How clusters of cases (patients) are resampled.

    Attributes:
        n_resamples: number of bootstrap resamples.
        seed: random seed; the same seed gives the same resamples and the same intervals.
    """

    n_resamples: int = 2000
    seed: int = 0

    def weights(self, index: NDArray[np.intp]) -> Iterator[Array]:
        """Yield case weights (d, N), `n_resamples` rows in all, of resampled clusters.

        Args:
            index: (N,) cluster number 0..M-1 of each case.
        """
        n_clusters = int(index.max(initial=-1)) + 1
        if n_clusters == 0:
            return
        rng = np.random.default_rng(self.seed)
        step = max(1, _WEIGHTS_AT_ONCE // index.size)
        for start in range(0, self.n_resamples, step):
            d = min(step, self.n_resamples - start)
            picked = rng.integers(n_clusters, size=(d, n_clusters))
            picked += np.arange(d)[:, None] * n_clusters  # each resample counts in its own row
            times = np.bincount(picked.ravel(), minlength=d * n_clusters).reshape(d, n_clusters)
            yield times.astype(np.float64)[:, index]

    def intervals(
        self,
        statistic: Statistic,
        clusters: ArrayLike,
        *,
        support: Mapping[str, int] | None = None,
    ) -> dict[str, Interval]:
        """Return each score with its interval over resamples of whole clusters.

        Resamples in which a score is undefined are left out of its interval; if fewer than half
        of the resamples define it, the interval is NaN.

        A score not in `support` gets the percentile interval. A score in `support`, which lies in
        [0, 1], gets the standard error of the resamples on the logit scale, with Student's t for
        one degree of freedom fewer than its trials (`logit_interval`). The percentile interval of
        an AUROC is too narrow from above where patients are few: simulated with one to three
        similar images a patient and a true AUROC of 0.97 it covered the truth in 92 % of runs with
        40 patients of the rarer class and in 85 % with 20, this one in 95 % and 93 %.

        Where all resamples agree there is no standard error: with no error among 12 patients it
        would claim a sensitivity of exactly 1. A score in `support` then gets the Clopper-Pearson
        interval for that many independent trials. For sensitivity and the like the trials are the
        clusters that can contribute. For AUROC and AUPRC they are the clusters of the rarer class,
        as if each were one trial "ranked right or not": with 12 of them and a perfect ranking the
        lower end is 0.025 ** (1 / 12) = 0.735 (a two-sided rule of three). A score not in
        `support` keeps its point, which is right for a constant forecast, unless there are fewer
        than two clusters, which show no variation at all: then the interval is NaN.

        Args:
            statistic: from case weights (D, N), or None for once each, to (D,) arrays by name.
            clusters: (N,) patient of each case, any hashable kind.
            support: score name -> number of independent trials behind it (`binary_support`).
        """
        index = cluster_numbers(clusters)
        values = {name: float(array[0]) for name, array in statistic(None).items()}
        parts = [statistic(weights) for weights in self.weights(index)]
        trials, n_clusters, intervals = support or {}, int(index.max(initial=-1)) + 1, {}
        for name, value in values.items():
            resampled = np.concatenate([np.empty(0), *(part[name] for part in parts)])
            ends = _ends(value, resampled, trials.get(name), n_clusters)
            intervals[name] = Interval(value, *ends)
        return intervals

    def paired_intervals(
        self,
        first: Statistic,
        second: Statistic,
        clusters: ArrayLike,
        *,
        support: Mapping[str, int] | None = None,
    ) -> dict[str, Paired]:
        """Return the scores of two forecasts of the same cases, and their differences.

        Both are scored on the same resamples, so that what is hard about a patient is hard for
        both and cancels. The difference is the first less the second, with a percentile interval
        over the resamples that define both.

        Args:
            first: as for `intervals`.
            second: likewise, of the same cases in the same order; shared names are compared.
            clusters: (N,) patient of each case, any hashable kind.
            support: as for `intervals`, for both.
        """

        def statistic(weights: Array | None) -> dict[str, Array]:
            a, b = first(weights), second(weights)
            return {
                f"{side} {name}": array
                for name in a.keys() & b.keys()
                for side, array in zip(sides, (a[name], b[name], a[name] - b[name]), strict=True)
            }

        sides, trials = Paired._fields, support or {}
        both = {f"{side} {name}": n for side in sides[:2] for name, n in trials.items()}
        intervals = self.intervals(statistic, clusters, support=both)
        names = {key.split(" ", 1)[1]: None for key in intervals}
        return {name: Paired(*(intervals[f"{side} {name}"] for side in sides)) for name in names}

    def means(
        self, values: Array, clusters: ArrayLike, *, proportions: Sequence[int] = ()
    ) -> list[Interval]:
        """Return the mean of each column with its interval over resamples of whole clusters.

        Args:
            values: (N, M); NaN where a case has no such value.
            clusters: (N,) patient of each case.
            proportions: columns of hits and misses: where no patient differs, no resample does,
                and the interval is that of as many independent trials as there are patients.
        """
        stated = (~np.isnan(values)).astype(np.float64)
        filled = np.nan_to_num(values)

        def statistic(weights: Array | None) -> dict[str, Array]:
            times = np.ones((1, len(values))) if weights is None else weights
            column_means = ratio(times @ filled, times @ stated)
            return {str(column): column_means[:, column] for column in range(values.shape[1])}

        index = cluster_numbers(clusters)
        support = {
            str(column): int(np.unique(index[stated[:, column] > 0]).size) for column in proportions
        }
        intervals = self.intervals(statistic, index, support=support)
        return [intervals[str(column)] for column in range(values.shape[1])]

    def quantiles(
        self, values: Array, clusters: ArrayLike, shares: Mapping[str, float]
    ) -> dict[str, Interval]:
        """Return quantiles of values (N,) with intervals over resamples of whole clusters.

        Args:
            values: (N,).
            clusters: (N,) patient of each case.
            shares: name -> share in [0, 1], such as {"median": 0.5}.
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

        return self.intervals(statistic, clusters)


def _ends(
    value: float, resampled: Array, trials: int | None, n_clusters: int
) -> tuple[float, float]:
    defined = resampled[~np.isnan(resampled)]
    if np.isnan(value) or defined.size == 0 or defined.size < resampled.size / 2:
        return np.nan, np.nan
    # Different sums of the same losses differ in the last bits, so "all agree" needs a tolerance.
    varied = np.ptp(defined) > _TOLERANCE
    if trials is not None:
        if varied and trials > 1 and _TOLERANCE < value < 1 - _TOLERANCE:
            return logit_interval(value, float(defined.std()), trials)
        return clopper_pearson(value * trials, trials)
    if varied:
        low, high = np.quantile(defined, TAILS)
        return float(low), float(high)
    return (value, value) if n_clusters > 1 else (np.nan, np.nan)
