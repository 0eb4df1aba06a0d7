"""Hold-out validation: a recipe scored on sources and sites that were left out of training.

Every choice about the shipped recipe is made by it, on train and validation rows alone
(research/lab_book.md). The objective is the mean of the scores within sources and the
scores across sources, each averaged over comparisons and seeds.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.splits.grouped import grouped_folds
from covid_cxr.cohort.splits.hold_out import HoldOut, HoldOutUnits, hold_outs
from covid_cxr.config import RunConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write
from covid_cxr.metrics import clustered_auroc, projections, view_alone
from covid_cxr.results import Estimate
from covid_cxr.results.hold_out import HOLD_OUT, HoldOutComparison, HoldOutValidation, SeedsAuroc
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.experiment import require_all_classes
from covid_cxr.training.inputs import class_numbers
from covid_cxr.training.run import (
    development_rows,
    fit_recipe,
    load_training_data,
    log_odds,
    remove_intermediates,
)
from covid_cxr.types import COVID

log = logging.getLogger(__name__)

SCORES, FOLDER = "hold-out-scores.csv", "hold-out"
_STOPPING = 10  # a tenth of the patients is set aside for early stopping


def hold_out_validation(
    config: RunConfig,
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    *,
    seeds: int,
    units: HoldOutUnits = "both",
) -> HoldOutValidation:
    """Train the recipe once for every hold-out and seed, and score it on what was left out.

    Writes `hold-out-scores.csv` (a row an image, hold-out and seed) and `hold-out.json` to `out`;
    finished trainings are not repeated. A linear probe is deterministic and is trained once,
    whatever the seeds.

    Raises:
        CohortError: no source or site can be left out, or a training lacks a class; raised before
            any image is read.
        TrainingError: a loss or a weight is not finite.
    """
    rows = development_rows(cohort)
    runs = range(1 if config.training.method == "linear-probe" else seeds)
    seeded = [config.model_copy(update={"seed": config.seed + run}) for run in runs]
    chosen = _scorable(rows, hold_outs(rows, units))
    trainings = list(product(seeded, chosen))
    for one, own in trainings:
        _require_classes(one, rows, own)
    data = load_training_data(config, rows, data_root, out)
    parts = [score_hold_out(one, rows, data, own, out / FOLDER) for one, own in trainings]
    scores = pd.concat(parts, ignore_index=True)
    atomic_write(out / SCORES, scores.to_csv(index=False, lineterminator="\n"))
    result = summarise(scores, rows)
    remove_intermediates(out)
    result.write(out / HOLD_OUT)
    return result


def score_table(
    rows: pd.DataFrame, hold_out: HoldOut, odds: NDArray[np.float64], seed: int = 0
) -> pd.DataFrame:
    """Return the table that `summarise` reads, of one training.

    Args:
        rows: of the cohort.
        hold_out: what was left out.
        odds: (n,) log-odds of COVID-19 of its scored rows.
        seed: of the training.
    """
    ids = rows["image_id"].to_numpy(str)[hold_out.scored]
    constant = {"task": hold_out.name, "kind": hold_out.kind, "seed": seed}
    return pd.DataFrame({"image_id": ids, **constant, "score": odds})


def summarise(scores: pd.DataFrame, rows: pd.DataFrame) -> HoldOutValidation:
    """Return the objective and every comparison's scores.

    Args:
        scores: `image_id, task, kind, seed, score`.
        rows: of the cohort.
    """
    table = scores.merge(rows, on="image_id", validate="many_to_one")
    comparisons = {str(name): _comparison(own) for name, own in table.groupby("task", sort=False)}
    kinds: dict[str, list[float]] = {}
    for comparison in comparisons.values():
        kinds.setdefault(comparison.kind, []).append(np.float64(comparison.auroc.value))
    means = {kind: float(np.mean(values)) for kind, values in kinds.items()}
    return HoldOutValidation(
        objective=float(np.mean(list(means.values()))),
        within=means.get("within"),
        across=means.get("across"),
        comparisons=comparisons,
    )


def _comparison(table: pd.DataFrame) -> HoldOutComparison:
    first = table.drop_duplicates("image_id")
    mean = table.groupby("image_id", sort=False)["score"].mean().reindex(first["image_id"])
    events, patients = (first["finding"] == COVID).to_numpy(), first["patient_id"].to_numpy(str)
    ap, pa = projections(first["view"])
    seeds = tuple(_auroc(own, own["score"]).value for _, own in table.groupby("seed"))
    return HoldOutComparison(
        kind=first["kind"].iloc[0],
        n=len(first),
        events=int(events.sum()),
        auroc=SeedsAuroc(**dict(_auroc(first, mean)), seeds=seeds),
        view_alone=Estimate.of(*view_alone(events, first["view"], patients)),
        within_ap=_auroc(first[ap], mean[ap]),
        within_pa=_auroc(first[pa], mean[pa]),
    )


def _auroc(rows: pd.DataFrame, scores: pd.Series) -> Estimate:
    events = (rows["finding"] == COVID).to_numpy()
    interval = clustered_auroc(events, scores.to_numpy(), rows["patient_id"].to_numpy(str))
    return Estimate.of(*interval)


def _scorable(rows: pd.DataFrame, every: Sequence[HoldOut]) -> list[HoldOut]:
    """Return the hold-outs of comparisons whose scored images hold both classes.

    Raises:
        CohortError: there is none.
    """
    events = (rows["finding"] == COVID).to_numpy()
    classes: dict[str, set[bool]] = {}
    for one in every:
        classes.setdefault(one.name, set()).update(events[one.scored].tolist())
    single = sorted(name for name, found in classes.items() if len(found) < 2)
    for name in single:
        log.warning("hold-out '%s' is left out: its images are all of one class", name)
    if len(single) == len(classes):
        raise CohortError(
            f"hold-out '{single[0]}' has images of one class only, so that there is no AUROC; "
            "add images of the other class"
        )
    return [one for one in every if one.name not in single]


def _require_classes(config: RunConfig, rows: pd.DataFrame, hold_out: HoldOut) -> None:
    train, stop = stopping_split(rows, np.flatnonzero(hold_out.train), config.seed)
    labels = class_numbers(rows, config.task)
    require_all_classes(config.task, labels, train, stop, f"the hold-out '{hold_out.name}'")


def score_hold_out(
    config: RunConfig, rows: pd.DataFrame, data: TrainingData, hold_out: HoldOut, out: Path
) -> pd.DataFrame:
    """Return one training's log-odds of COVID-19, comparable over parts of a hold-out.

    Args:
        config: the recipe; its seed is the training's.
        rows: of the cohort.
        data: of `rows`; the hold-out says which are trained on.
        hold_out: what is left out.
        out: folder for the table; a training that is in it is not repeated.
    """
    name = f"{hold_out.name}-{hold_out.part}-{config.seed}"
    folder = out / name.replace(" ", "-").replace("/", "-")
    path = folder.with_name(f"{folder.name}.csv")
    if path.exists():
        return pd.read_csv(path)
    train, stop = stopping_split(rows, np.flatnonzero(hold_out.train), config.seed)
    own = replace(data, train=train, val=stop)
    trained = fit_recipe(config, own, folder, folder.name)
    odds = log_odds(trained, own, np.flatnonzero(hold_out.scored))
    table = score_table(rows, hold_out, odds, config.seed)
    atomic_write(path, table.to_csv(index=False, lineterminator="\n"))
    shutil.rmtree(folder, ignore_errors=True)  # nothing in it is needed again
    return table


def stopping_split(
    cohort: pd.DataFrame, rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training rows without a tenth of their patients, and that tenth, to stop on.

    Raises:
        CohortError: there are too few patients.
    """
    try:
        fold = grouped_folds(cohort.iloc[rows], _STOPPING, seed).to_numpy()
    except CohortError as error:
        raise CohortError(f"too few patients to train on without a source: {error}") from error
    return rows[fold > 0], rows[fold == 0]
