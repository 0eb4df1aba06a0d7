"""Two or more runs on the same images: paired differences with intervals, pooled and by source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covid_cxr.evaluation import paired_runs
from covid_cxr.evaluation.paired_runs import PredictedSplit, RunPredictions
from covid_cxr.metrics import (
    Bootstrap,
    Interval,
    binary_scores,
    binary_support,
    clustered_auroc,
    clustered_difference,
)
from covid_cxr.metrics.bootstrap import Statistic
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.results import Estimate, RunComparison, rounded
from covid_cxr.results.comparison import (
    SCORES,
    ComparedGroup,
    ComparedRun,
    ComparedScores,
    DelongDifference,
    ScoreDifferences,
)

_AT_THRESHOLD = ("sensitivity", "specificity")


def compare(
    paths: Sequence[Path],
    split: PredictedSplit = "test",
    *,
    seed: int | None = None,
) -> RunComparison:
    """Compare runs on the images of a split that all of them answered, against the first.

    Patients are resampled once for both sides of a pair (`Bootstrap.paired_intervals`); the AUROC
    has DeLong's interval and p value for clustered data beside it. Sensitivity and specificity are
    at each run's own frozen threshold. Predictions alone are read: no split is evaluated anew.

    Args:
        paths: two run folders or more.
        split: test, val, external, or oof (out of fold).
        seed: of the bootstrap; None for that of the first run's configuration.

    Raises:
        InputError: the runs cannot be compared; see `paired_runs.read`.
    """
    runs = paired_runs.read(paths, split)
    first = runs[0]
    seed = first.config.seed if seed is None else seed
    bootstrap = Bootstrap(first.config.evaluation.bootstrap, seed)
    sources = first.table["source"].to_numpy()
    groups = {"pooled": np.full(sources.size, True)}
    if len(set(sources)) > 1:
        groups |= {f"inside {name}": sources == name for name in sorted(set(sources))}
    return RunComparison(
        split=split,
        task=first.config.task,
        n_resamples=bootstrap.n_resamples,
        seed=seed,
        runs=tuple(_describe(run) for run in runs),
        groups={name: _compare_group(runs, rows, bootstrap) for name, rows in groups.items()},
    )


def _describe(run: RunPredictions) -> ComparedRun:
    return ComparedRun(
        name=run.name,
        path=str(run.path),
        model=run.config.model,
        bundles=run.bundles,
        images=run.images,
        compared=len(run.table),
    )


def _compare_group(
    runs: Sequence[RunPredictions], rows: NDArray[np.bool_], bootstrap: Bootstrap
) -> ComparedGroup:
    chosen = [replace(run, table=run.table[rows]) for run in runs]
    first, patients = chosen[0], runs[0].table["patient_id"][rows].to_numpy(dtype=object)
    events = first.events
    scores, differences = {}, {}
    for run in chosen:
        support = binary_support(events, run.called, 0.5, patients)
        intervals = bootstrap.intervals(_statistic(run), patients, support=support)
        delong = Estimate.of(*clustered_auroc(events, run.scores, patients))
        scores[run.name] = ComparedScores(auroc_delong=delong, **_estimates(intervals))
    for run in chosen[1:]:
        pairs = bootstrap.paired_intervals(_statistic(run), _statistic(first), patients)
        *ends, p = clustered_difference(events, run.scores, first.scores, patients)
        differences[run.name] = ScoreDifferences(
            auroc_delong=DelongDifference(**dict(Estimate.of(*ends)), p=rounded(p)),
            **_estimates({name: pair.difference for name, pair in pairs.items()}),
        )
    return ComparedGroup(
        n=int(events.size),
        patients=int(np.unique(patients).size),
        events=int(events.sum()),
        runs=scores,
        differences=differences,
    )


def _estimates(intervals: Mapping[str, Interval]) -> dict[str, Estimate]:
    return {name: Estimate.of(*interval) for name, interval in intervals.items()}


def _statistic(run: RunPredictions) -> Statistic:
    """Return what the bootstrap scores: the forecast, and the answers at the run's threshold."""
    events, scores, called = run.events, run.scores, run.called

    def statistic(weights: Array | None) -> Scores:
        forecast = binary_scores(events, scores, 0.5, weights)
        answer = binary_scores(events, called, 0.5, weights)
        return {name: (answer if name in _AT_THRESHOLD else forecast)[name] for name in SCORES}

    return statistic
