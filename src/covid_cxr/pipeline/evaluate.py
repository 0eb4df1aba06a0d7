"""Evaluate a run's bundle, or its recipe out of fold: predictions, metrics, card and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from covid_cxr import evaluation
from covid_cxr.errors import CohortError, LeakError
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import predict_cohort
from covid_cxr.inference.predictions_csv import table
from covid_cxr.metrics import Bootstrap
from covid_cxr.models.bundle import CARD, Bundle, write_manifest
from covid_cxr.models.manifest import training_sources
from covid_cxr.pipeline.examples import explain_examples
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import model_card, write_report
from covid_cxr.results import HeadlineMetrics, OutOfFoldMetrics, RunMetrics, SplitMetrics
from covid_cxr.results.metrics import SplitUse
from covid_cxr.types import CLASSES, Prediction, Task, class_of


def evaluate(folder: RunFolder, *, prevalence: float | None = None) -> RunFolder:
    """Evaluate the run's bundle on val, test and external rows; explain examples; report.

    Each call evaluates the test split once, which `metrics.json` records.

    Args:
        folder: the run.
        prevalence: share of images with COVID-19 for which the report interprets predictions too,
            in (0, 1). The bundle and its predictions do not depend on it.

    Raises:
        ConfigError: the prevalence is not between 0 and 1.
        InputError: the run holds no finished bundle.
        LeakError: the cohort is not the one that the bundle was trained on.
    """
    evaluation.check_prevalence(prevalence)
    cohort, bundle = folder.cohort(), folder.bundle()
    _require_same_cohort(cohort, bundle)
    metrics = _without_splits(folder, bundle, prevalence)
    folder.write_metrics(metrics)  # the evaluation is recorded before the test split is read
    predictor, splits, threshold = Predictor(bundle), {}, bundle.manifest.threshold
    target = target_prevalence(bundle, prevalence)
    shares = _training_shares(cohort, folder.config.task)
    for split in ("val", "test", "external"):
        rows = cohort[cohort["split"] == split]
        if len(rows):
            predict_split(folder, predictor, split, rows)
            predictions = evaluation.read_predictions(folder.predictions(split))
            splits[split] = measure(folder, predictions, rows, threshold, shares, target=target)
    metrics = metrics.model_copy(update={"splits": splits})
    folder.write_metrics(metrics)
    attach_card(folder, bundle, metrics)
    explain_examples(folder, predictor, cohort)
    write_report(folder.path)
    return folder


def cross_validate(folder: RunFolder, folds: int) -> RunFolder:
    """Score the recipe out of fold over train and val rows; into metrics and the run's report.

    Scores at the threshold use the mean of the folds' own thresholds and are indicative only.

    Raises:
        CohortError: a fold lacks a class, or the input check rejects every image.
        TrainingError: a loss or a weight is not finite.
    """
    from covid_cxr.training.run import out_of_fold

    config, cohort, command = folder.config, folder.cohort(), folder.command
    path = out_of_fold(config, cohort, folder.data_root, folder.path, folds=folds, command=command)
    rows = cohort[cohort["split"].isin(("train", "val"))]
    predictions = evaluation.read_predictions(path)
    if not (predictions["status"] == "ok").any():
        raise CohortError(
            f"the input check rejects all {len(predictions)} images, so that there is no score; "
            "look at their orientation and grey levels"
        )
    threshold = float(predictions["threshold"].mean())
    split = measure(folder, predictions, rows, threshold, _training_shares(cohort, config.task))
    conformal = evaluation.conformal_coverage(
        evaluation.join(predictions, rows),
        cohort,
        config.task,
        parts=folds,
        bootstrap=Bootstrap(config.evaluation.bootstrap, config.seed),
    )
    scores = OutOfFoldMetrics(**dict(split), folds=folds, conformal=conformal)
    metrics = _metrics_so_far(folder)
    folder.write_metrics(metrics.model_copy(update={"out_of_fold": scores}))
    if metrics.splits:  # without a bundle there is nothing to report on but these numbers
        write_report(folder.path)
    return folder


def measure(
    folder: RunFolder,
    predictions: pd.DataFrame,
    rows: pd.DataFrame,
    threshold: float,
    shares: Mapping[str, float],
    *,
    target: evaluation.TargetPrevalence | None = None,
) -> SplitMetrics:
    """Return the metrics of predictions of some rows of the cohort.

    Args:
        folder: its configuration says task, seed and number of bootstrap resamples.
        predictions: as `evaluation.read_predictions` returns them.
        rows: of the cohort, one for each prediction.
        threshold: on the probability of COVID-19.
        shares: each class's share of the training rows, the forecast of the constant prior.
        target: the prevalence to report for too.
    """
    config = folder.config
    return evaluation.evaluate(
        evaluation.join(predictions, rows),
        task=config.task,
        threshold=threshold,
        prevalence=shares,
        bootstrap=Bootstrap(config.evaluation.bootstrap, config.seed),
        target=target,
    )


def predict_split(folder: RunFolder, predictor: Predictor, split: str, rows: pd.DataFrame) -> None:
    """Predict rows of the cohort and write the split's predictions."""
    description = f"predicting {split}"
    predictions = predict_cohort(predictor, rows, folder.data_root, description)
    write_predictions(folder, split, predictions, predictor.bundle)


def write_predictions(
    folder: RunFolder, split: str, predictions: Sequence[Prediction], bundle: Bundle
) -> None:
    """Write the predictions of a split."""
    atomic_write(folder.predictions(split), table(predictions, bundle.manifest.classes))


def bundle_metrics(folder: RunFolder, bundle: Bundle, **more: Any) -> RunMetrics:
    """Return metrics that say which bundle they are of, and `more`."""
    manifest = bundle.manifest
    return RunMetrics(
        task=manifest.task,
        classes=manifest.classes,
        model=manifest.architecture,
        bundle=bundle.id,
        threshold=manifest.threshold,
        temperature=manifest.temperature,
        command=folder.command,
        input_check=manifest.input_check,
        training_warnings=manifest.warnings,
        **more,
    )


def target_prevalence(
    bundle: Bundle, prevalence: float | None
) -> evaluation.TargetPrevalence | None:
    """Return the prevalence to report for and that of a bundle's calibration; None for none."""
    if prevalence is None:
        return None
    return evaluation.TargetPrevalence(prevalence, bundle.manifest.fitted_share)


def attach_card(folder: RunFolder, bundle: Bundle, metrics: RunMetrics) -> None:
    """Write metrics and model card into the bundle; they do not change its id."""
    headlines = {name: HeadlineMetrics.of(split) for name, split in metrics.splits.items()}
    manifest = bundle.manifest.model_copy(update={"metrics": headlines})
    card = model_card(manifest, metrics, folder.config, folder.audit())
    atomic_write(bundle.folder / CARD, card)
    write_manifest(bundle.folder, manifest)


def _require_same_cohort(cohort: pd.DataFrame, bundle: Bundle) -> None:
    development = cohort[cohort["split"].isin(("train", "val"))]
    if training_sources(development) != bundle.manifest.training_data:
        raise LeakError(
            f"cohort.csv is not the one bundle {bundle.id} was trained on, so that its test rows "
            "may have been trained on; restore it, or run again in another folder"
        )


def _without_splits(folder: RunFolder, bundle: Bundle, prevalence: float | None) -> RunMetrics:
    """Return a bundle's metrics before any split is measured, with another test evaluation."""
    time = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    use = SplitUse(time=time, bundle=bundle.id, prevalence=prevalence)
    before = _metrics_so_far(folder)
    return bundle_metrics(
        folder,
        bundle,
        out_of_fold=before.out_of_fold,
        explanations=before.explanations,
        test_evaluations=(*before.test_evaluations, use),
    )


def _metrics_so_far(folder: RunFolder) -> RunMetrics:
    """Return the run's metrics; with its configuration only where nothing was measured yet."""
    if folder.has_metrics:
        return folder.metrics()
    config = folder.config
    return RunMetrics(
        task=config.task, classes=CLASSES[config.task], model=config.model, command=folder.command
    )


def _training_shares(cohort: pd.DataFrame, task: Task) -> dict[str, float]:
    """Return each class's share of the training rows: the constant prior's forecast."""
    findings = cohort.loc[cohort["split"] == "train", "finding"]
    classes = findings.map(lambda finding: class_of(finding, task))
    shares = classes.value_counts(normalize=True)
    return {name: float(shares.get(name, 0.0)) for name in CLASSES[task]}
