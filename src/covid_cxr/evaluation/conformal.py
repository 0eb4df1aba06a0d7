"""How often sets of classes that cannot be ruled out hold the truth, out of fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.splits.grouped import components, grouped_folds
from covid_cxr.evaluation.operating_points import as_json, rounded
from covid_cxr.evaluation.predictions import Cases, cases
from covid_cxr.evaluation.subgroups import FEW
from covid_cxr.metrics import Bootstrap, class_quantiles, prediction_sets, set_scores
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.types import Task

LEVELS = (0.9, 0.8)
_SHARES = ("none", "one", "several")


def conformal_coverage(
    table: pd.DataFrame, cohort: pd.DataFrame, task: Task, *, parts: int, bootstrap: Bootstrap
) -> dict[str, Any] | None:
    """Return the coverage of class-conditional conformal sets; None without answered films.

    For each part of the patients, drawn anew, the quantiles come from the other parts and coverage
    is counted on it: no patient, and no copy of a film, is on both sides. The scores come from
    several models, one a fold, that each saw most of the other films, so that the theorem holds
    for them in good approximation only (Barber et al., "Predictive inference with the
    jackknife+", 2021).

    Args:
        table: what `join` returned for out-of-fold predictions.
        cohort: all of it: rows left out connect patients too.
        task: binary or multiclass.
        parts: of patients, 2 or more.
        bootstrap: over patients; its seed also draws the parts.

    Returns:
        `parts` and `levels`: for each of `LEVELS` the `level`, `cuts` (class -> the probability
        from which a set names it, all films calibrating; 0 where it always does), `pooled`,
        `per_source` and `left_out`: what the other sources' films alone cover in a source. Each is
        n, patients, `classes` (those present: n, `coverage`), `mean_size` and the shares of sets
        that name `none`, `one` or `several`; in `left_out` also `calibrated_on` (films) and `cuts`.
        Intervals take the cuts as given. `least` is the lowest coverage of `left_out` among those
        of `groups.FEW` films or more: source, class and value.
    """
    ok = table[table["status"] == "ok"]
    if ok.empty:
        return None
    # Not the folds of the training: each part then holds films of every fold's model.
    part = grouped_folds(cohort, parts, bootstrap.seed + 1)
    origin = cohort.loc[part.index, ["path"]].assign(part=part, component=components(cohort))
    drawn = origin.set_index("path").loc[ok["path"]]
    bench = _Bench(
        cases(table, task), drawn["part"].to_numpy(), drawn["component"].to_numpy(), bootstrap
    )
    return {"parts": parts, "levels": [bench.at(level) for level in LEVELS]}


@dataclass(frozen=True)
class _Bench:
    """Answered films (N), the part and the component of each."""

    cases: Cases
    part: NDArray[np.int64]
    component: NDArray[np.int64]
    bootstrap: Bootstrap

    def at(self, level: float) -> dict[str, Any]:
        """Return the account of one level."""
        sources = sorted(set(self.cases.sources))
        sets = self._cross(level)
        everyone = np.ones(self.part.size, dtype=np.bool_)
        left_out = {str(name): self._left_out(name, level) for name in sources}
        left_out = {name: found for name, found in left_out.items() if found["calibrated_on"]}
        return {
            "level": level,
            "cuts": self._cuts(self._quantiles(everyone, level)),
            "pooled": self._block(everyone, sets),
            "per_source": {
                str(name): self._block(self.cases.sources == name, sets) for name in sources
            },
            "left_out": left_out,
            "least": _least(left_out),
        }

    def _cross(self, level: float) -> NDArray[np.bool_]:
        """Return the sets (N, C), each film's by the quantiles of the other parts."""
        quantiles = np.empty(self.cases.probabilities.shape)
        for part in np.unique(self.part):
            own = self.part == part
            quantiles[own] = self._quantiles(~own, level)
        return prediction_sets(self.cases.probabilities, quantiles)

    def _left_out(self, source: str, level: float) -> dict[str, Any]:
        own = self.cases.sources == source
        others = ~np.isin(self.component, self.component[own])
        quantiles = self._quantiles(others, level)
        sets = prediction_sets(self.cases.probabilities, quantiles)
        found = self._block(own, sets)
        return found | {"calibrated_on": int(others.sum()), "cuts": self._cuts(quantiles)}

    def _quantiles(self, chosen: NDArray[np.bool_], level: float) -> Array:
        found = self.cases.where(chosen)
        return class_quantiles(found.labels, found.probabilities, level)

    def _cuts(self, quantiles: Array) -> dict[str, float | None]:
        return {
            name: rounded(max(0.0, 1 - quantile))
            for name, quantile in zip(self.cases.classes, quantiles, strict=True)
        }

    def _block(self, chosen: NDArray[np.bool_], sets: NDArray[np.bool_]) -> dict[str, Any]:
        found, named = self.cases.where(chosen), sets[chosen]
        classes = self.cases.classes

        def statistic(weights: Array | None) -> Scores:
            coverage, shapes = set_scores(found.labels, named, weights)
            return shapes | dict(zip(classes, coverage.T, strict=True))

        films = {name: found.labels == number for number, name in enumerate(classes)}
        support = {name: len(set(found.patients[rows])) for name, rows in films.items()}
        support |= dict.fromkeys(_SHARES, len(set(found.patients)))
        ends = self.bootstrap.intervals(statistic, found.patients, support=support)
        return {
            "n": int(found.labels.size),
            "patients": len(set(found.patients)),
            "classes": {
                name: {"n": int(rows.sum()), "coverage": as_json(ends[name])}
                for name, rows in films.items()
                if rows.any()
            },
            **{name: as_json(ends[name]) for name in ("mean_size", *_SHARES)},
        }


def _least(left_out: dict[str, Any]) -> dict[str, Any] | None:
    found = [
        {"source": source, "class": name, "value": each["coverage"]["value"]}
        for source, block in left_out.items()
        for name, each in block["classes"].items()
        if each["n"] >= FEW
    ]
    return min(found, key=lambda each: each["value"], default=None)
