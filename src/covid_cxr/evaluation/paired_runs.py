"""The predictions of several runs for the images that all of them answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig
from covid_cxr.errors import InputError
from covid_cxr.evaluation.predictions import cases, join, read_predictions
from covid_cxr.types import COVID, class_of

PredictedSplit = Literal["test", "val", "external", "oof"]
# What a split is made of in the cohort; out of fold covers what a model is trained on.
ROWS: dict[PredictedSplit, tuple[str, ...]] = {
    "test": ("test",),
    "val": ("val",),
    "external": ("external",),
    "oof": ("train", "val"),
}


@dataclass(frozen=True)
class RunPredictions:
    """The predictions of one run for one split.

    Attributes:
        name: of its folder, made unique among those compared.
        path: the folder.
        config: of the run.
        bundles: ids of the bundles that predicted; several out of fold.
        images: in the split.
        table: one row an answered image, by `image_id`: `truth`, `source`, `patient_id`, `score`
            (probability of COVID-19) and `threshold`.
    """

    name: str
    path: Path
    config: RunConfig
    bundles: tuple[str, ...]
    images: int
    table: pd.DataFrame

    @property
    def events(self) -> NDArray[np.bool_]:
        """(N,) whether the truth is COVID-19."""
        return np.asarray(self.table["truth"] == COVID)

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,) probability of COVID-19."""
        return np.asarray(self.table["score"], dtype=np.float64)

    @property
    def called(self) -> NDArray[np.float64]:
        """(N,) 1 where the answer is COVID-19 at the run's own frozen threshold, else 0."""
        threshold = np.asarray(self.table["threshold"], dtype=np.float64)
        return np.greater_equal(self.scores, threshold).astype(np.float64)


def read(paths: Sequence[Path], split: PredictedSplit) -> list[RunPredictions]:
    """Return the runs with the rows that all of them answered, in one order.

    Raises:
        InputError: fewer than two runs, one twice, a folder that is no run or has no predictions
            of the split, different tasks, no common row, or truths that contradict each other.
    """
    if len(paths) < 2:
        raise InputError("one run alone cannot be compared; name two run folders or more")
    runs = [_read(Path(path), name, split) for path, name in zip(paths, _names(paths), strict=True)]
    first = runs[0]
    for other in runs:
        if other.config.task != first.config.task:
            raise InputError(
                f"'{first.path}' is {first.config.task} and '{other.path}' is "
                f"{other.config.task}; only runs of one task can be compared"
            )
    common = _common_images(runs, split)
    aligned = [replace(run, table=run.table.loc[common]) for run in runs]
    for other in aligned[1:]:
        _check_same_truth(aligned[0], other)
    return aligned


def _read(path: Path, name: str, split: PredictedSplit) -> RunPredictions:
    if not (path / "config.json").exists():
        raise InputError(
            f"'{path}' is no run folder (no config.json); name one that a run has made"
        )
    predictions = path / f"predictions-{split}.csv"
    if not predictions.exists():
        raise InputError(f"'{path}' has no {predictions.name}: {_instead(path, split)}")
    config = configuration.load(path / "config.json")
    cohort = schema.load(path / "cohort.csv")
    rows = cohort[cohort["split"].isin(ROWS[split])]
    joined = join(read_predictions(predictions), rows)
    ok = joined[joined["status"] == "ok"]
    table = ok.set_index("image_id")[["source", "patient_id", "threshold"]].assign(
        truth=[class_of(finding, config.task) for finding in ok["finding"]],
        score=cases(joined, config.task).scores,
    )
    return RunPredictions(
        name=name,
        path=path,
        config=config,
        bundles=tuple(sorted(set(ok["model"].dropna()))),
        images=len(joined),
        table=table,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the folders' names, with as many parents as it takes to tell them apart."""
    resolved = [Path(path).resolve() for path in paths]
    for path in resolved:
        if resolved.count(path) > 1:
            raise InputError(f"'{path.name}' is named twice; a run does not differ from itself")
    for length in range(1, max(len(path.parts) for path in resolved) + 1):
        names = ["/".join(path.parts[-length:]) for path in resolved]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in resolved]


def _instead(path: Path, split: PredictedSplit) -> str:
    """Return what to do where the predictions of a split are missing."""
    others = [name for name in ROWS if (path / f"predictions-{name}.csv").exists()]
    if others:
        return f"choose --split {' or '.join(others)}, or make them"
    return "train and evaluate the run first"


def _common_images(runs: Sequence[RunPredictions], split: PredictedSplit) -> pd.Index:
    common = runs[0].table.index
    for run in runs[1:]:
        common = common.intersection(run.table.index)
    if common.empty:
        sizes = ", ".join(f"'{run.path}' {len(run.table)}" for run in runs)
        raise InputError(
            f"the runs have no image of split {split} in common (answered: {sizes}); compare runs "
            "of one cohort"
        )
    return common.sort_values()


def _check_same_truth(first: RunPredictions, other: RunPredictions) -> None:
    for column, what in (("truth", "truth"), ("patient_id", "patient")):
        differs = first.table[column] != other.table[column]
        if differs.any():
            image = first.table.index[int(np.argmax(differs.to_numpy()))]
            one, two = first.table.at[image, column], other.table.at[image, column]
            raise InputError(
                f"the {what} of image '{image}' is '{one}' in '{first.path}' and '{two}' in "
                f"'{other.path}' ({int(differs.sum())} such); compare runs of one cohort"
            )
