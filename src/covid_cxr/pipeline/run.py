"""From raw data to an explained, measured bundle in one call, resumable at every step."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from covid_cxr import evaluation
from covid_cxr.cohort import build
from covid_cxr.config import RunConfig
from covid_cxr.errors import InputError
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import table
from covid_cxr.models.bundle import CARD, Bundle, write_manifest
from covid_cxr.pipeline.examples import explain_examples
from covid_cxr.pipeline.folder import RunFolder
from covid_cxr.training.run import out_of_fold, predict_cohort, train
from covid_cxr.types import CLASSES, Progress, class_of

log = logging.getLogger(__name__)

_HEADLINES = ("auroc", "auprc", "sensitivity", "specificity", "ppv", "npv", "brier")


def run(
    config: RunConfig,
    data_root: Path,
    out: Path,
    *,
    command: str,
    runs: int = 1,
    progress: Progress | None = None,
) -> RunFolder:
    """Build the cohort, train, evaluate, explain examples and write the report.

    Called again on the same folder with the same configuration it goes on where it was.

    Args:
        config: the experiment.
        data_root: folder of the data sets.
        out: run folder.
        command: how to repeat the run; goes into bundle, card and report.
        runs: seeds to train; the best on validation is kept.
        progress: called with (what, done, total).
    """
    folder = RunFolder.create(out, config, data_root, command)
    if not (out / "cohort.csv").exists():
        steps = partial(progress, "reading cohort") if progress else None
        found = build.build(data_root, config.cohort, config.seed, progress=steps)
        build.write(found, out)
        folder.note_cohort()
    train_only(folder, runs=runs, progress=progress)
    return evaluate(folder, progress=progress)


def train_only(folder: RunFolder, *, runs: int = 1, progress: Progress | None = None) -> Bundle:
    """Train the run's model on its cohort, unless that is done."""
    if (folder.path / "predictions-val.csv").exists():
        log.info("'%s' is trained already", folder.path)
        return folder.bundle()
    return train(
        folder.config,
        folder.cohort(),
        folder.data_root,
        folder.path,
        command=folder.command,
        runs=runs,
        progress=progress,
    )


def evaluate(folder: RunFolder, *, progress: Progress | None = None) -> RunFolder:
    """Measure the run's bundle on val, test and external rows; explain examples; report.

    Each call opens the test split once, and `metrics.json` keeps account of it.

    Raises:
        InputError: the run holds no bundle.
    """
    if not (folder.path / "bundle" / "manifest.json").exists():
        raise InputError(f"'{folder.path}' holds no bundle; covid-cxr train or run makes one")
    cohort, made = folder.cohort(), folder.bundle()
    metrics = _heading(folder, made)
    predictor = Predictor(made)
    for split in ("val", "test", "external"):
        rows = cohort[cohort["split"] == split]
        if len(rows):
            answers = predict_cohort(
                predictor, rows, folder.data_root, progress, f"predicting {split}"
            )
            path = folder.path / f"predictions-{split}.csv"
            atomic_write(path, table(answers, made.manifest.classes))
            threshold = made.manifest.threshold
            metrics["splits"][split] = _measure(folder, cohort, rows, path, threshold)
    folder.write_metrics(metrics)
    _sign(folder, made, metrics)
    explain_examples(folder, predictor, cohort, progress)
    evaluation.write_report(folder.path)
    return folder


def train_folds(folder: RunFolder, folds: int, *, progress: Progress | None = None) -> RunFolder:
    """Score the recipe out of fold over train and val rows; writes metrics and report.

    Scores at the threshold use the mean of the folds' own thresholds.
    """
    cohort = folder.cohort()
    path = folder.path / "predictions-oof.csv"
    if not path.exists():
        out_of_fold(
            folder.config,
            cohort,
            folder.data_root,
            folder.path,
            folds=folds,
            command=folder.command,
            progress=progress,
        )
    rows = cohort[cohort["split"].isin(("train", "val"))]
    threshold = float(evaluation.read_predictions(path)["threshold"].mean())
    measured = _measure(folder, cohort, rows, path, threshold)
    metrics = {"task": folder.config.task, "model": folder.config.model, "folds": folds}
    metrics |= {"classes": list(CLASSES[folder.config.task]), "command": folder.command}
    folder.write_metrics(metrics | {"splits": {}, "out_of_fold": measured})
    return folder


def _heading(folder: RunFolder, made: Bundle) -> dict[str, Any]:
    before = folder.metrics()
    opening = {"time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "bundle": made.id}
    return {
        "task": made.manifest.task,
        "classes": list(made.manifest.classes),
        "model": made.manifest.architecture,
        "bundle": made.id,
        "threshold": made.manifest.threshold,
        "temperature": made.manifest.temperature,
        "command": folder.command,
        "openings_of_test": [*before.get("openings_of_test", []), opening],
        "splits": {},
    }


def _measure(
    folder: RunFolder, cohort: pd.DataFrame, rows: pd.DataFrame, path: Path, threshold: float
) -> dict[str, Any]:
    return evaluation.evaluate(
        evaluation.join(evaluation.read_predictions(path), rows),
        task=folder.config.task,
        threshold=threshold,
        prevalence=_prevalence(folder.config, cohort),
        config=folder.config.evaluation,
        seed=folder.config.seed,
    )


def _prevalence(config: RunConfig, cohort: pd.DataFrame) -> dict[str, float]:
    """Return each class's share of the training rows, the constant prior's forecast."""
    findings = cohort.loc[cohort["split"] == "train", "finding"]
    classes = findings.map(lambda finding: class_of(finding, config.task))
    shares = classes.value_counts(normalize=True)
    return {name: float(shares.get(name, 0.0)) for name in CLASSES[config.task]}


def _sign(folder: RunFolder, made: Bundle, metrics: dict[str, Any]) -> None:
    """Write metrics and card into the bundle; its id, which they do not decide, stays."""
    headlines = {
        split: {
            "n": measured["n"],
            "events": measured["events"],
            **{name: measured["pooled"][name] for name in _HEADLINES},
            "auroc_per_source": {
                source: block["auroc"] for source, block in measured["per_source"].items()
            },
        }
        for split, measured in metrics["splits"].items()
    }
    manifest = made.manifest.model_copy(update={"metrics": headlines})
    config = folder.config.model_dump(mode="json")
    card = evaluation.model_card(manifest.model_dump(mode="json"), metrics, config)
    atomic_write(made.folder / CARD, card)
    write_manifest(made.folder, manifest)
