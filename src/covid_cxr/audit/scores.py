"""Scores of the audited rows: by a recipe on a view of the images, or by the run's own model.

The "quick" recipe is the linear probe in grouped folds. The "full" one retrains the run's own
network, with smaller inputs and fewer epochs, so that four views and three seeds take minutes: what
scores well here would score no worse with the whole recipe. Six tenths of the patients train, one
tenth stops the training, three tenths are scored. Scores are kept in the run's folder `audit`, and
an interrupted training is continued.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import imaging
from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import finding, not_made
from covid_cxr.cohort.splits.grouped import components, grouped_folds
from covid_cxr.config import AuditConfig, PreprocessSpec, RunConfig
from covid_cxr.config.audit import Budget
from covid_cxr.evaluation.predictions import read_predictions
from covid_cxr.files import atomic_write, sha256_of
from covid_cxr.metrics import Interval
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array
from covid_cxr.results import AuditFinding
from covid_cxr.types import COVID

# The full budget runs the quick recipe too: where the two disagree, the reader should know.
RECIPES: dict[Budget, tuple[Budget, ...]] = {"quick": ("quick",), "full": ("quick", "full")}
_ENOUGH = 0.5
_FOLDER = "audit"
_TENTHS = 10
_SCORED, _STOPPING = (0, 1, 2), 3
_BATCH = 64

_FILES = {
    "predictions-oof.csv": ("recipe out of fold", "The run's own recipe, out of fold,"),
    "predictions-val.csv": ("model on validation", "The run's model, on validation images,"),
}


class ScoredRows(NamedTuple):
    """Scores (n,) of rows (n,) of the context, and how sentences name the model behind them."""

    name: str
    subject: str
    rows: NDArray[np.intp]
    scores: Array


def view_scores(
    context: AuditContext, view: str, recipe: Budget, seed: int = 0
) -> tuple[NDArray[np.intp], Array]:
    """Return the scored rows (n,) and their scores (n,), by a model fitted to other patients.

    Args:
        context: of the audit; images without segmented lungs are left out.
        view: a name in `regions.VIEWS`.
        recipe: "quick" for the linear probe, "full" for the retrained network.
        seed: added to the run's, for the network.
    """
    rows = np.flatnonzero(context.lungs.segmented)
    if recipe == "full":
        return _retrained(context, view, rows, seed)
    features = context.features(view)[rows]
    return rows, out_of_fold_scores(features, context.events[rows], context.folds[rows])


def too_few_lungs(context: AuditContext) -> AuditFinding | None:
    """Return why there is no score without, or of, the lungs alone; None where there is one."""
    context.require_both_classes()
    segmented = context.lungs.segmented
    events, share = context.events[segmented], float(segmented.mean())
    if share >= _ENOUGH and events.any() and not events.all():
        return None
    if share >= _ENOUGH:
        return not_made("lungs found", "the images with segmented lungs are all of one class")
    sentence = (
        f"Not made: lungs were segmented on {int(segmented.sum())} of {segmented.size} images, "
        "too few for this check."
    )
    return finding("lungs found", "not made", sentence, Interval(share), bound=_ENOUGH)


def run_predictions(context: AuditContext) -> list[ScoredRows]:
    """Return the run's probabilities of COVID-19, of each file that holds both classes."""
    number = {path: row for row, path in enumerate(context.rows["path"])}
    predictions = []
    for file, (name, subject) in _FILES.items():
        if not (context.run / file).exists():
            continue
        table = read_predictions(context.run / file)
        table = table[(table["status"] == "ok") & table["file"].isin(number)]
        rows = table["file"].map(number).to_numpy(dtype=np.intp)
        events = context.events[rows]
        if events.any() and not events.all():
            scores = table[f"probability_{COVID}"].to_numpy(dtype=np.float64)
            predictions.append(ScoredRows(name, subject, rows, scores))
    return predictions


def _retrained(
    context: AuditContext, view: str, rows: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.intp], Array]:
    """Return the scored rows (n,) and their scores (n,) by a network trained on other patients."""
    config = _small_recipe(context, seed)
    tenth = _tenths(context)[rows]
    scored = rows[np.isin(tenth, _SCORED)]
    file = context.run / _FOLDER / f"{_key(context, config, view)}.csv"
    if file.exists():
        table = pd.read_csv(file)
        return scored, table["score"].to_numpy(dtype=np.float64)
    scores = _train(context, config, view, rows, tenth)
    table = pd.DataFrame({"image_id": context.rows["image_id"].iloc[scored], "score": scores})
    atomic_write(file, table.to_csv(index=False, lineterminator="\n"))
    return scored, scores


def _small_recipe(context: AuditContext, seed: int) -> RunConfig:
    """Return the run's recipe with smaller inputs and fewer epochs, for two classes."""
    config, settings = context.config, context.settings
    # A network whose head is not over pooled features takes inputs of its own size only.
    edge = settings.edge if context.bundle.manifest.has_cam else config.preprocess.size
    training = config.training.model_copy(
        update={"max_epochs": settings.epochs, "patience": settings.epochs, "runs": 1}
    )
    return config.model_copy(
        update={
            "task": "binary",
            "seed": config.seed + seed,
            "training": training,
            "preprocess": config.preprocess.model_copy(update={"size": edge}),
            "audit": AuditConfig(),
        }
    )


def _tenths(context: AuditContext) -> NDArray[np.int64]:
    audited = context.cohort["split"].isin(("train", "val"))
    groups = components(context.cohort)[audited].nunique()
    parts = grouped_folds(context.cohort, min(_TENTHS, groups), context.seed)
    return np.asarray(parts[context.rows["row"]], dtype=np.int64)


def _key(context: AuditContext, config: RunConfig, view: str) -> str:
    """Return a file name that changes with everything that the scores depend on."""
    cohort = sha256_of(context.run / "cohort.csv")[:8]
    size, epochs = config.preprocess.size, config.training.max_epochs
    return f"{view.replace(' ', '-')}-{size}px-{epochs}-epochs-seed-{config.seed}-{cohort}"


def _train(
    context: AuditContext,
    config: RunConfig,
    view: str,
    rows: NDArray[np.intp],
    tenth: NDArray[np.int64],
) -> Array:
    from covid_cxr.training.run import fit_recipe, log_odds, training_data

    out = context.run / _FOLDER / _key(context, config, view)
    inputs = _small_inputs(context, view, rows, config.preprocess)
    data = replace(
        training_data(config, context.rows.iloc[rows], inputs),
        labels=context.events[rows].astype(np.int64),
        train=np.flatnonzero(~np.isin(tenth, (*_SCORED, _STOPPING))),
        val=np.flatnonzero(tenth == _STOPPING),
    )
    trained = fit_recipe(config, data, out, f"audit: training on {view}")
    scores = log_odds(trained, data, np.flatnonzero(np.isin(tenth, _SCORED)))
    if out.exists():  # a recipe in closed form leaves no checkpoint
        shutil.rmtree(out)
    return scores


def _small_inputs(
    context: AuditContext, view: str, rows: NDArray[np.intp], spec: PreprocessSpec
) -> NDArray[np.float16]:
    # Views are equalised already; brightness and contrast are standardised again once resized.
    off = {"remove_markers": False, "lung_margin": None, "equalise": False}
    smaller = spec.model_copy(update=off)
    inputs = [
        imaging.preprocess(image[0], smaller).astype(np.float16)
        for start in range(0, len(rows), _BATCH)
        for image in context.inputs(view, rows[start : start + _BATCH])
    ]
    return np.stack(inputs)
