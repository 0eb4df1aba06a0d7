"""The selection protocol: a recipe scored on sources and sites that it was not trained on.

Every choice about the shipped recipe is made on this, and on train and validation rows alone
(research/lab_book.md). The objective is the mean of what is scored within sources and
what is scored across them, each the mean over its comparisons and seeds.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.splits.grouped import grouped_folds
from covid_cxr.cohort.splits.hold_out import HoldOut, hold_outs
from covid_cxr.config import RunConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write
from covid_cxr.metrics import Interval, clustered_auroc, projections, view_alone
from covid_cxr.training.datamodule import Part
from covid_cxr.training.run import clean, films_of, part_of, score, trained_on
from covid_cxr.types import COVID

SCORES, RESULT = "generalise-scores.csv", "generalise.json"
_STOPPING = 10  # a tenth of the patients is set aside to stop on


def generalise(
    config: RunConfig,
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    *,
    seeds: int,
) -> dict[str, Any]:
    """Train the recipe for every left-out task and seed, and score it.

    Writes `generalise-scores.csv` (a row a film, task and seed) and `generalise.json` to `out`;
    trainings that are done are not repeated. A recipe without chance (the linear method) is
    trained once, whatever the seeds.

    Returns:
        `objective`, and `comparisons`: name -> kind, n, events, auroc {value, low, high}, the same
        within AP and PA films, and of the view alone.

    Raises:
        CohortError: no source or site can be left out.
    """
    seen = cohort[cohort["split"].isin(("train", "val"))].reset_index(drop=True)
    films = films_of(config, seen, data_root, out)
    part = part_of(config, seen, films)
    bench = _Bench(seen, part, out)
    runs = range(1 if config.training.method == "linear" else seeds)
    parts = [
        bench.scores(config.model_copy(update={"seed": config.seed + run}), task)
        for run in runs
        for task in hold_outs(seen)
    ]
    scores = pd.concat(parts, ignore_index=True)
    atomic_write(out / SCORES, scores.to_csv(index=False, lineterminator="\n"))
    result = measured(scores, seen)
    clean(out)
    atomic_write(out / RESULT, json.dumps(result, indent=2, allow_nan=False) + "\n")
    return result


def scores_of(
    rows: pd.DataFrame, task: HoldOut, odds: NDArray[np.float64], seed: int = 0
) -> pd.DataFrame:
    """Return the table that `measured` reads, of one training.

    Args:
        rows: of the cohort.
        task: what was left out.
        odds: (n,) log-odds of COVID-19 of its scored rows.
        seed: of the training.
    """
    ids = rows["image_id"].to_numpy(str)[task.scored]
    told = {"task": task.name, "kind": task.kind, "seed": seed}
    return pd.DataFrame({"image_id": ids, **told, "score": odds})


def measured(scores: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the protocol's numbers from its scores.

    Args:
        scores: `image_id, task, kind, seed, score`.
        rows: of the cohort.
    """
    table = scores.merge(rows, on="image_id", validate="many_to_one")
    found = {str(name): _comparison(each) for name, each in table.groupby("task", sort=False)}
    kinds: dict[str, list[float]] = {}
    for each in found.values():
        kinds.setdefault(each["kind"], []).append(each["auroc"]["value"])
    means = {kind: float(np.mean(values)) for kind, values in kinds.items()}
    return {"objective": float(np.mean(list(means.values()))), **means, "comparisons": found}


def _comparison(table: pd.DataFrame) -> dict[str, Any]:
    first = table.drop_duplicates("image_id")
    mean = table.groupby("image_id", sort=False)["score"].mean().reindex(first["image_id"])
    events, patients = (first["finding"] == COVID).to_numpy(), first["patient_id"].to_numpy(str)
    ap, pa = projections(first["view"])
    seeds = [_auroc(each, each["score"])["value"] for _, each in table.groupby("seed")]
    answer: dict[str, Any] = {
        "kind": str(first["kind"].iloc[0]),
        "n": len(first),
        "events": int(events.sum()),
        "auroc": {**_auroc(first, mean), "seeds": seeds},
        "view_alone": _json(view_alone(events, first["view"], patients)),
    }
    for name, chosen in (("within_ap", ap), ("within_pa", pa)):
        answer[name] = _auroc(first[chosen], mean[chosen])
    return answer


def _auroc(rows: pd.DataFrame, scores: pd.Series) -> dict[str, float | None]:
    events = (rows["finding"] == COVID).to_numpy()
    return _json(clustered_auroc(events, scores.to_numpy(), rows["patient_id"].to_numpy(str)))


def _json(found: Interval) -> dict[str, float | None]:
    return {name: None if np.isnan(end) else float(end) for name, end in found._asdict().items()}


@dataclass(frozen=True)
class _Bench:
    """What every training of the protocol shares."""

    seen: pd.DataFrame
    part: Part
    out: Path

    def scores(self, config: RunConfig, task: HoldOut) -> pd.DataFrame:
        """Return one training's scores: log-odds of COVID-19, comparable over parts of a task."""
        name = f"{task.name}-{task.part}-{config.seed}".replace(" ", "-").replace("/", "-")
        folder = self.out / "generalise"
        done = folder / f"{name}.csv"
        if done.exists():
            return pd.read_csv(done)
        train, stop = _stopping(self.seen, np.flatnonzero(task.train), config.seed)
        own = replace(self.part, train=train, val=stop)
        trained = trained_on(config, own, folder / name, name)
        rows = np.flatnonzero(task.scored)
        table = scores_of(self.seen, task, score(trained, own, rows), config.seed)
        atomic_write(done, table.to_csv(index=False, lineterminator="\n"))
        shutil.rmtree(folder / name, ignore_errors=True)  # nothing in it is asked for again
        return table


def _stopping(
    seen: pd.DataFrame, rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Set a tenth of the patients of the training rows aside."""
    try:
        fold = grouped_folds(seen.iloc[rows], _STOPPING, seed).to_numpy()
    except CohortError as error:
        raise CohortError(f"too few patients to train on without a source: {error}") from error
    return rows[fold > 0], rows[fold == 0]
