"""Coverage of conformal prediction sets, out of fold and in sources left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.splits.grouped import components, grouped_folds
from covid_cxr.evaluation.predictions import Cases, cases
from covid_cxr.metrics import Bootstrap, class_quantiles, prediction_sets, set_scores
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.results import FEW, Estimate, rounded
from covid_cxr.results.conformal import (
    ClassCoverage,
    ConformalLevel,
    ConformalMetrics,
    Coverage,
    HeldOutCoverage,
    LowestCoverage,
)
from covid_cxr.types import Task

NOMINAL_COVERAGE = (0.9, 0.8)
_SHARES = ("none", "one", "several")


def conformal_coverage(
    table: pd.DataFrame, cohort: pd.DataFrame, task: Task, *, parts: int, bootstrap: Bootstrap
) -> ConformalMetrics | None:
    """Return the coverage of class-conditional conformal sets; None without answered images.

    For each part of the patients, divided anew, the quantiles come from the other parts and
    coverage is counted on it: no patient, and no copy of an image, is on both sides. The scores
    come from several models, one a fold, that were each trained on most of the other images, so
    that the theorem holds for them in good approximation only (Barber et al., "Predictive
    inference with the jackknife+", 2021). Intervals take the cuts as given.

    Args:
        table: what `join` returned for out-of-fold predictions.
        cohort: all of it: excluded rows connect patients too.
        task: binary or multiclass.
        parts: of patients, 2 or more.
        bootstrap: over patients; its seed also divides the patients.
    """
    ok = table[table["status"] == "ok"]
    if ok.empty:
        return None
    # Not the folds of the training: each part then holds images of every fold's model.
    part = grouped_folds(cohort, parts, bootstrap.seed + 1)
    origin = cohort.loc[part.index, ["path"]].assign(part=part, component=components(cohort))
    rows = origin.set_index("path").loc[ok["path"]]
    images = _Images(
        cases(table, task), rows["part"].to_numpy(), rows["component"].to_numpy(), bootstrap
    )
    by_level = tuple(images.at(level) for level in NOMINAL_COVERAGE)
    return ConformalMetrics(parts=parts, by_level=by_level)


@dataclass(frozen=True)
class _Images:
    """Answered images (N), the part and the component of each."""

    cases: Cases
    part: NDArray[np.int64]
    component: NDArray[np.int64]
    bootstrap: Bootstrap

    def at(self, level: float) -> ConformalLevel:
        """Return the coverage at one nominal level."""
        sources = sorted(set(self.cases.sources))
        label_sets = self._sets_across_parts(level)
        everyone = np.ones(self.part.size, dtype=np.bool_)
        by_source = {name: self._held_out(name, level) for name in sources}
        left_out = {str(name): coverage for name, coverage in by_source.items() if coverage}
        return ConformalLevel(
            level=level,
            cuts=self._cuts(self._quantiles(everyone, level)),
            pooled=self._coverage(everyone, label_sets),
            per_source={
                str(name): self._coverage(self.cases.sources == name, label_sets)
                for name in sources
            },
            left_out=left_out,
            least=_lowest(left_out),
        )

    def _sets_across_parts(self, level: float) -> NDArray[np.bool_]:
        """Return the sets (N, C), each image's by the quantiles of the other parts."""
        quantiles = np.empty(self.cases.probabilities.shape)
        for part in np.unique(self.part):
            own = self.part == part
            quantiles[own] = self._quantiles(~own, level)
        return prediction_sets(self.cases.probabilities, quantiles)

    def _held_out(self, source: str, level: float) -> HeldOutCoverage | None:
        """Return the coverage in a source by the others' quantiles; None without others."""
        own = self.cases.sources == source
        others = ~np.isin(self.component, self.component[own])
        quantiles = self._quantiles(others, level)
        if not others.any():
            return None
        label_sets = prediction_sets(self.cases.probabilities, quantiles)
        return HeldOutCoverage(
            **dict(self._coverage(own, label_sets)),
            calibrated_on=int(others.sum()),
            cuts=self._cuts(quantiles),
        )

    def _quantiles(self, chosen: NDArray[np.bool_], level: float) -> Array:
        calibrating = self.cases.where(chosen)
        return class_quantiles(calibrating.labels, calibrating.probabilities, level)

    def _cuts(self, quantiles: Array) -> dict[str, float | None]:
        return {
            name: rounded(max(0.0, 1 - quantile))
            for name, quantile in zip(self.cases.classes, quantiles, strict=True)
        }

    def _coverage(self, chosen: NDArray[np.bool_], label_sets: NDArray[np.bool_]) -> Coverage:
        images, own_sets = self.cases.where(chosen), label_sets[chosen]
        classes = self.cases.classes

        def statistic(weights: Array | None) -> Scores:
            coverage, shapes = set_scores(images.labels, own_sets, weights)
            return shapes | dict(zip(classes, coverage.T, strict=True))

        of_class = {name: images.labels == number for number, name in enumerate(classes)}
        support = {name: len(set(images.patients[rows])) for name, rows in of_class.items()}
        support |= dict.fromkeys(_SHARES, len(set(images.patients)))
        intervals = self.bootstrap.intervals(statistic, images.patients, support=support)
        estimates = {name: Estimate.of(*interval) for name, interval in intervals.items()}
        return Coverage(
            n=int(images.labels.size),
            patients=len(set(images.patients)),
            classes={
                name: ClassCoverage(n=int(rows.sum()), coverage=estimates[name])
                for name, rows in of_class.items()
                if rows.any()
            },
            **{name: estimates[name] for name in ("mean_size", *_SHARES)},
        )


def _lowest(left_out: Mapping[str, HeldOutCoverage]) -> LowestCoverage | None:
    """Return the lowest coverage among classes of `FEW` images or more."""
    coverages = [
        LowestCoverage(source=source, label=label, value=measured.coverage.value)
        for source, coverage in left_out.items()
        for label, measured in coverage.classes.items()
        if measured.n >= FEW and measured.coverage.value is not None
    ]
    return min(coverages, key=lambda lowest: lowest.value, default=None)
