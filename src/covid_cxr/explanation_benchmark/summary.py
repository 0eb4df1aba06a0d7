"""From the measures of single images to means with intervals, and to differences from baselines."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.explanation_benchmark.cases import Case
from covid_cxr.explanation_benchmark.measure import AGREEMENT, RANDOM, MethodValues
from covid_cxr.metrics import Bootstrap
from covid_cxr.results import rounded
from covid_cxr.results.explanation_benchmark import (
    Group,
    Measures,
    Score,
    Subset,
    SubsetScores,
)
from covid_cxr.types import COVID

# What is compared with baselines, and what a method has to be best at to be recommended.
COMPARED = (
    *("peak_hit", "mass_opacities", "iou", "auprc", "auprc_lungs", "peak_lungs", "mass_lungs"),
    "gain",
)
PROPORTIONS = ("peak_hit", "peak_lungs")  # of images that are right or wrong
SECONDS = "seconds"
_COLUMNS = [
    *("file", "patient", "finding", "predicted", "bundle"),
    *("method", "group", "measure", "value"),
]

Numbers = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


def table(
    values: Mapping[Case, MethodValues], groups: Mapping[Case, Sequence[Group]]
) -> pd.DataFrame:
    """Return one row an image, method and measure, of the groups that each image is in."""
    rows = [
        (
            *(case.path, case.patient, case.finding, case.predicted, case.bundle.id),
            *(method, group, measure, value),
        )
        for case, methods in values.items()
        for method, measured in methods.items()
        for group in groups[case]
        for measure, value in measured.get(group, {}).items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def summarise(rows: pd.DataFrame, bootstrap: Bootstrap) -> dict[Subset, SubsetScores]:
    """Return means and paired differences, for all images and for COVID-19 called COVID-19.

    Args:
        rows: as `table` returns them.
        bootstrap: over patients.
    """
    everything, called = get_args(Subset)
    covid = (rows["finding"] == COVID) & (rows["predicted"] == COVID)
    return {everything: _subset(rows, bootstrap), called: _subset(rows[covid], bootstrap)}


def scores(
    values: Mapping[Key, Numbers],
    patients: Sequence[str],
    bootstrap: Bootstrap,
    proportions: Sequence[Key] = (),
) -> Iterator[tuple[Key, Score]]:
    """Yield the score of each column of measures; the images without one do not count."""
    if not values:
        return
    hits = [index for index, name in enumerate(values) if name in proportions]
    columns = np.stack(list(values.values()), axis=1)
    intervals = bootstrap.means(columns, patients, proportions=hits)
    for (name, column), interval in zip(values.items(), intervals, strict=True):
        images = int((~np.isnan(column)).sum())
        value, low, high = map(rounded, interval)
        yield name, Score(value=value, low=low, high=high, images=images)


def seconds(rows: pd.DataFrame) -> dict[str, float]:
    """Return method -> median seconds an image."""
    timed = rows[(rows["group"] == AGREEMENT) & (rows["measure"] == SECONDS)]
    medians = timed.groupby("method")["value"].median()
    return {str(name): float(value) for name, value in medians.items()}


def measured_on(rows: pd.DataFrame) -> dict[Group, int]:
    """Return group -> number of images."""
    counts = rows.groupby("group")["file"].nunique()
    return {group: int(counts[group]) for group in get_args(Group) if group in counts}


def _subset(rows: pd.DataFrame, bootstrap: Bootstrap) -> SubsetScores:
    if rows.empty:
        return SubsetScores(
            images=0, patients=0, methods={}, differences={}, beats_all_baselines={}
        )
    wide = rows.pivot(index=["file", "patient"], columns=["method", "measure"], values="value")
    patients = wide.index.get_level_values("patient").tolist()
    values = {
        (str(method), str(measure)): wide[method, measure].to_numpy(np.float64)
        for method, measure in wide.columns
    }
    hits = [column for column in values if column[1] in PROPORTIONS]
    methods: dict[str, Measures] = {}
    for (method, measure), scored in scores(values, patients, bootstrap, hits):
        methods.setdefault(method, {})[measure] = scored
    differences: dict[str, dict[str, Measures]] = {}
    for (method, baseline, measure), scored in scores(_differences(values), patients, bootstrap):
        differences.setdefault(method, {}).setdefault(baseline, {})[measure] = scored
    return SubsetScores(
        images=len(wide),
        patients=len(set(patients)),
        methods=methods,
        differences=differences,
        beats_all_baselines={
            method: tuple(_best(baselines)) for method, baselines in differences.items()
        },
    )


def _differences(values: Mapping[tuple[str, str], Numbers]) -> dict[tuple[str, str, str], Numbers]:
    """Return the paired differences of every method to every baseline, image by image."""
    # the gain is over a random order already: random's own is 0
    columns = {(RANDOM, "gain"): np.zeros(1), **values}
    return {
        (method, baseline, measure): own - columns[baseline, measure]
        for (method, measure), own in values.items()
        if method not in BASELINES and measure in COMPARED
        for baseline in BASELINES
        if (baseline, measure) in columns
    }


def _best(differences: Mapping[str, Measures]) -> Iterator[str]:
    """Yield the measures whose difference to every baseline is above 0, interval and all."""
    for measure in COMPARED:
        lows = [measured[measure].low for measured in differences.values() if measure in measured]
        if lows and all(low is not None and low > 0 for low in lows):
            yield measure
