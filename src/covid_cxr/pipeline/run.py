"""From raw data to an explained, measured bundle in one call, resumable at every step."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from covid_cxr import evaluation, explain, registry
from covid_cxr.audit.run import chosen
from covid_cxr.cohort import build, inventory
from covid_cxr.config import RunConfig
from covid_cxr.errors import LeakError, UnknownName
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import predict_cohort, table
from covid_cxr.metrics import Bootstrap
from covid_cxr.models import zoo
from covid_cxr.models.bundle import Bundle
from covid_cxr.models.manifest import training_sources
from covid_cxr.pipeline.attach_card import sign
from covid_cxr.pipeline.audit import audit_unless_done
from covid_cxr.pipeline.examples import explain_examples
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import write_report
from covid_cxr.results import OutOfFoldMetrics, RunMetrics, SplitMetrics
from covid_cxr.results.metrics import SplitUse
from covid_cxr.types import CLASSES, class_of

log = logging.getLogger(__name__)


def run(
    config: RunConfig,
    data_root: Path,
    out: Path,
    *,
    command: str,
    processes: int = 1,
) -> RunFolder:
    """Build the cohort, train, audit, evaluate, explain examples and write the report.

    Called again on the same folder with the same configuration it goes on where it was; a run
    that is finished is left as it is, so that the test split is not opened again.

    Args:
        config: the experiment.
        data_root: folder of the data sets.
        out: run folder.
        command: how to repeat the run; goes into bundle, card and report.
        processes: how many read the films at a time, as for `cohort.build.build`.

    Raises:
        UnknownName: no such model, explainer or check; found before anything is written.
    """
    check_names(config)
    folder = RunFolder.create(out, config, data_root, command)
    if not (out / "cohort.csv").exists():
        found = build.build(
            data_root,
            config.cohort,
            config.seed,
            files=out / inventory.NAME,
            max_pixels=config.preprocess.max_pixels,
            processes=processes,
        )
        build.write(found, out)
        folder.note_cohort()
    made = train_only(folder)
    # before the test split is opened: an audit has no use for it
    audit_unless_done(folder)
    evaluated = folder.has_metrics and folder.metrics().bundle == made.id
    if evaluated and (out / "report.html").exists():
        log.info("'%s' is evaluated already", out)
        return folder
    return evaluate(folder)


def check_names(config: RunConfig) -> None:
    """Refuse a model, explainer or check that does not exist before a run folder is begun.

    Raises:
        UnknownName: the message suggests the closest.
    """
    architectures = registry.names(zoo.ARCHITECTURES, zoo.GROUP)
    if config.model not in architectures:
        raise UnknownName("model", config.model, architectures)
    explainers = registry.names(explain.EXPLAINERS, explain.GROUP)
    for method in config.explain.methods:
        if method not in explainers:
            raise UnknownName("explainer", method, explainers)
    chosen(config)


def train_only(folder: RunFolder) -> Bundle:
    """Train the run's model on its cohort, unless that is done."""
    if folder.is_trained:
        log.info("'%s' is trained already", folder.path)
        return folder.bundle()
    from covid_cxr.training.run import train

    root, command = folder.data_root, folder.command
    return train(folder.config, folder.cohort(), root, folder.path, command=command)


def evaluate(folder: RunFolder, *, prevalence: float | None = None) -> RunFolder:
    """Measure the run's bundle on val, test and external rows; explain examples; report.

    Each call evaluates the test split once, which `metrics.json` records.

    Args:
        folder: the run.
        prevalence: share of images with COVID-19 that the report also interprets answers at,
            in (0, 1). The bundle and its predictions do not depend on it.

    Raises:
        ConfigError: the prevalence is not within 0 and 1.
        InputError: the run holds no finished bundle.
        LeakError: the cohort is not the one that the bundle was trained on.
    """
    evaluation.check_prevalence(prevalence)
    cohort, made = folder.cohort(), folder.bundle()
    _same_cohort(cohort, made)
    target = (
        None
        if prevalence is None
        else evaluation.TargetPrevalence(prevalence, made.manifest.fitted_share)
    )
    metrics = _begin_metrics(folder, made, prevalence)
    folder.write_metrics(metrics)  # the evaluation is recorded before the test split is read
    predictor = Predictor(made)
    splits = {}
    for split in ("val", "test", "external"):
        rows = cohort[cohort["split"] == split]
        if len(rows):
            description = f"predicting {split}"
            answers = predict_cohort(predictor, rows["path"], folder.data_root, description)
            path = folder.path / f"predictions-{split}.csv"
            atomic_write(path, table(answers, made.manifest.classes))
            threshold = made.manifest.threshold
            splits[split] = _measure(folder, cohort, rows, path, threshold, target=target)
    metrics = metrics.model_copy(update={"splits": splits})
    folder.write_metrics(metrics)
    sign(folder, made, metrics)
    explain_examples(folder, predictor, cohort)
    write_report(folder.path)
    return folder


def train_folds(folder: RunFolder, folds: int) -> RunFolder:
    """Score the recipe out of fold over train and val rows; into metrics and the run's report.

    Scores at the threshold use the mean of the folds' own thresholds and are indicative only.
    """
    from covid_cxr.training.run import out_of_fold as predict_out_of_fold

    cohort = folder.cohort()
    root, command = folder.data_root, folder.command
    path = predict_out_of_fold(
        folder.config, cohort, root, folder.path, folds=folds, command=command
    )
    rows = cohort[cohort["split"].isin(("train", "val"))]
    threshold = float(evaluation.read_predictions(path)["threshold"].mean())
    measured = _measure(folder, cohort, rows, path, threshold)
    conformal = evaluation.conformal_coverage(
        evaluation.join(evaluation.read_predictions(path), rows),
        cohort,
        folder.config.task,
        parts=folds,
        bootstrap=Bootstrap(folder.config.evaluation.bootstrap, folder.config.seed),
    )
    out_of_fold = OutOfFoldMetrics(**dict(measured), folds=folds, conformal=conformal)
    if folder.has_metrics:
        metrics = folder.metrics()
    else:
        metrics = RunMetrics(
            task=folder.config.task,
            classes=CLASSES[folder.config.task],
            model=folder.config.model,
            command=folder.command,
        )
    folder.write_metrics(metrics.model_copy(update={"out_of_fold": out_of_fold}))
    if metrics.splits:  # without a bundle there is nothing to report on but these numbers
        write_report(folder.path)
    return folder


def hold_out_validation(folder: RunFolder, seeds: int) -> dict[str, Any]:
    """Score the recipe on sources and sites left out; see `training.hold_out_validation`."""
    from covid_cxr.training.hold_out_validation import hold_out_validation as protocol

    return protocol(
        folder.config,
        folder.cohort(),
        folder.data_root,
        folder.path,
        seeds=seeds,
    )


def _same_cohort(cohort: pd.DataFrame, made: Bundle) -> None:
    seen = cohort[cohort["split"].isin(("train", "val"))]
    if training_sources(seen) != made.manifest.training_data:
        raise LeakError(
            f"cohort.csv is not the one bundle {made.id} was trained on, so that its test rows "
            "may have been trained on; restore it, or run again in another folder"
        )


def _begin_metrics(folder: RunFolder, made: Bundle, prevalence: float | None) -> RunMetrics:
    """Return the metrics of a bundle before any split is measured; out-of-fold ones are kept."""
    before = folder.metrics() if folder.has_metrics else None
    use = SplitUse(
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        bundle=made.id,
        prevalence=prevalence,
    )
    return RunMetrics(
        task=made.manifest.task,
        classes=made.manifest.classes,
        model=made.manifest.architecture,
        bundle=made.id,
        threshold=made.manifest.threshold,
        temperature=made.manifest.temperature,
        command=folder.command,
        out_of_fold=before.out_of_fold if before else None,
        explanations=before.explanations if before else {},
        test_evaluations=(*(before.test_evaluations if before else ()), use),
    )


def _measure(
    folder: RunFolder,
    cohort: pd.DataFrame,
    rows: pd.DataFrame,
    path: Path,
    threshold: float,
    *,
    target: evaluation.TargetPrevalence | None = None,
) -> SplitMetrics:
    return evaluation.evaluate(
        evaluation.join(evaluation.read_predictions(path), rows),
        task=folder.config.task,
        threshold=threshold,
        prevalence=_prevalence(folder.config, cohort),
        bootstrap=Bootstrap(folder.config.evaluation.bootstrap, folder.config.seed),
        target=target,
    )


def _prevalence(config: RunConfig, cohort: pd.DataFrame) -> dict[str, float]:
    """Return each class's share of the training rows, the constant prior's forecast."""
    findings = cohort.loc[cohort["split"] == "train", "finding"]
    classes = findings.map(lambda finding: class_of(finding, config.task))
    shares = classes.value_counts(normalize=True)
    return {name: float(shares.get(name, 0.0)) for name in CLASSES[config.task]}
