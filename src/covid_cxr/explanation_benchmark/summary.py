"""From the measures of single films to means with intervals, and to differences from baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.explanation_benchmark.cases import Case
from covid_cxr.explanation_benchmark.measure import AGREEMENT, Found
from covid_cxr.metrics import Bootstrap, Interval

ALL, COVID_CALLED = "all", "covid-19 called covid-19"
COLUMNS = ("file", "patient", "finding", "called", "bundle", "method", "group", "measure", "value")
# What is compared with baselines, and what a method has to be best at to be recommended.
COMPARED = (
    *("peak_hit", "mass_opacities", "iou", "auprc", "auprc_lungs", "peak_lungs", "mass_lungs"),
    "gain",
)
PROPORTIONS = ("peak_hit", "peak_lungs")  # of films that are right or wrong
SECONDS = "seconds"
_NOTHING: dict[str, Any] = {
    "films": 0,
    "patients": 0,
    "methods": {},
    "differences": {},
    "beats_all_baselines": {},
}

Numbers = NDArray[np.float64]


class Row(NamedTuple):
    """One measure of one method on one film."""

    file: str
    patient: str
    finding: str
    called: str
    bundle: str
    method: str
    group: str
    measure: str
    value: float


def table(found: Mapping[Case, Found], groups: Mapping[Case, Sequence[str]]) -> pd.DataFrame:
    """Return one row a film, method and measure, of the groups that each film was chosen for."""
    return pd.DataFrame(list(_rows(found, groups)), columns=list(COLUMNS))


def summarise(rows: pd.DataFrame, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return, for all films and for COVID-19 called COVID-19, means and paired differences.

    Args:
        rows: as `table` returns them.
        bootstrap: over patients.

    Returns:
        subset -> `films`, `patients`, `methods` (method -> measure -> value, low, high, films),
        `differences` (method -> baseline -> measure -> the same) and `beats_all_baselines`
        (method -> measures), JSON-ready; null where not defined.
    """
    covid = (rows["finding"] == "covid-19") & (rows["called"] == "covid-19")
    subsets = {ALL: rows, COVID_CALLED: rows[covid]}
    return {
        name: _subset(part, bootstrap) if len(part) else _NOTHING for name, part in subsets.items()
    }


def _rows(found: Mapping[Case, Found], groups: Mapping[Case, Sequence[str]]) -> Iterator[Row]:
    for case, methods in found.items():
        facts = (case.path, case.patient, case.finding, case.called, case.made.id)
        for method, measured in methods.items():
            for group in groups[case]:
                for measure, value in measured.get(group, {}).items():
                    yield Row(*facts, method, group, measure, value)


def _subset(rows: pd.DataFrame, bootstrap: Bootstrap) -> dict[str, Any]:
    wide = rows.pivot(index=["file", "patient"], columns=["method", "measure"], values="value")
    patients = wide.index.get_level_values("patient").tolist()
    columns = [(str(method), str(measure)) for method, measure in wide.columns]
    values = wide.to_numpy(np.float64)
    found: dict[str, Any] = {"films": len(wide), "patients": len(set(patients))}
    found["methods"] = _nested(columns, values, patients, bootstrap)
    pairs, differences = _differences(columns, values)
    found["differences"] = _nested(pairs, differences, patients, bootstrap)
    found["beats_all_baselines"] = {
        method: _best(against) for method, against in found["differences"].items()
    }
    return found


def _best(against: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the measures whose difference to every baseline is above 0, interval and all."""
    lows = {
        measure: [each[measure]["low"] for each in against.values() if measure in each]
        for measure in COMPARED
    }
    return [
        measure
        for measure, ends in lows.items()
        if ends and all(low is not None and low > 0 for low in ends)
    ]


def _differences(
    columns: Sequence[tuple[str, str]], values: Numbers
) -> tuple[list[tuple[str, ...]], Numbers]:
    """Return the paired differences of every method to every baseline, film by film."""
    place = {column: number for number, column in enumerate(columns)}
    methods = list(dict.fromkeys(method for method, _ in columns if method not in BASELINES))
    names: list[tuple[str, ...]] = []
    found: list[Numbers] = []
    for method in methods:
        for baseline in BASELINES:
            for measure in COMPARED:
                own, other = place.get((method, measure)), place.get((baseline, measure))
                # the gain is over a random order already: random's own is 0
                if own is None or (other is None and (baseline, measure) != ("random", "gain")):
                    continue
                names.append((method, baseline, measure))
                found.append(values[:, own] - (0.0 if other is None else values[:, other]))
    return names, np.stack(found, axis=1) if found else np.empty((len(values), 0))


def _nested(
    names: Sequence[tuple[str, ...]],
    values: Numbers,
    patients: Sequence[str],
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    hits = [place for place, name in enumerate(names) if len(name) == 2 and name[1] in PROPORTIONS]
    intervals = bootstrap.means(values, patients, proportions=hits) if names else []
    for name, interval, column in zip(names, intervals, values.T, strict=True):
        inner = found
        for key in name[:-1]:
            inner = inner.setdefault(key, {})
        inner[name[-1]] = scored(interval, int((~np.isnan(column)).sum()))
    return found


def scored(interval: Interval, films: int) -> dict[str, float | int | None]:
    """Return an interval JSON-ready, null where not defined, with the number of films behind it."""
    return {**{key: _number(value) for key, value in interval._asdict().items()}, "films": films}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def seconds(rows: pd.DataFrame) -> dict[str, float]:
    """Return method -> median seconds a film."""
    timed = rows[(rows["group"] == AGREEMENT) & (rows["measure"] == SECONDS)]
    return {
        str(name): float(each) for name, each in timed.groupby("method")["value"].median().items()
    }


def measured_on(rows: pd.DataFrame) -> dict[str, int]:
    """Return group -> number of films."""
    return {str(name): int(each) for name, each in rows.groupby("group")["file"].nunique().items()}
