"""Train a model on a cohort: a calibrated bundle and its validation predictions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from covid_cxr.cohort.splits.grouped import grouped_folds
from covid_cxr.config import RunConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor, similar_cases
from covid_cxr.inference.batch import predict_cohort
from covid_cxr.inference.predictions_csv import table
from covid_cxr.inference.runtime import Runtime
from covid_cxr.models import bundle
from covid_cxr.models.bundle import Bundle
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.experiment import Trained, fit_best_of, require_all_classes
from covid_cxr.training.export import CalibrationSet, calibrate, check_parity, export
from covid_cxr.training.feature_extractor import extract_features
from covid_cxr.training.inputs import class_numbers, preprocess_cohort
from covid_cxr.training.linear_probe import (
    fit_linear_probe,
    out_of_fold_logits,
    require_classes_out_of_fold,
)
from covid_cxr.training.sample_weights import mixed_source_weights
from covid_cxr.training.sanity_checks import (
    calibration_warnings,
    count_by_source,
    input_check_warnings,
)
from covid_cxr.types import FloatArray, Prediction

log = logging.getLogger(__name__)
_BATCH = 64
_CALIBRATION_FOLDS = 5
_INPUTS = Path("training", "inputs.npy")


def train(
    config: RunConfig, cohort: pd.DataFrame, data_root: Path, out: Path, *, command: str
) -> Bundle:
    """Train on the cohort's train rows; the test split is not read.

    Training by gradient descent stops early and calibrates on the validation rows; a linear probe
    calibrates on out-of-fold logits of the train rows.

    Writes `out/bundle/`, `out/predictions-val.csv` and `out/training/tensorboard`.

    Args:
        config: the recipe.
        cohort: as `cohort.schema.load` returns it.
        data_root: folder that the cohort's paths are relative to.
        out: run folder. A killed training in it continues where it was.
        command: how to make the bundle again, for its manifest.

    Raises:
        CohortError: a class is missing where it is needed; raised before any image is read.
        TrainingError: a loss or a weight is not finite.
    """
    rows = development_rows(cohort)
    is_train = (rows["split"] == "train").to_numpy()
    train_rows, val = np.flatnonzero(is_train), np.flatnonzero(~is_train)
    _require_trainable(config, rows, train_rows, val)
    data = load_training_data(config, rows, data_root, out)
    data = replace(data, train=train_rows, val=val)
    trained = _train_bundle(config, rows, data, out, data_root=data_root, command=command)
    trained = store_reference(trained, data.inputs, rows)
    predictions = predict_cohort(
        Predictor(trained), rows.iloc[data.val], data_root, "predicting val"
    )
    trained = _with_warnings(trained, data, rows, predictions)
    atomic_write(out / "predictions-val.csv", table(predictions, trained.manifest.classes))
    remove_intermediates(out)
    return trained


def _with_warnings(
    trained: Bundle, data: TrainingData, rows: pd.DataFrame, predictions: Sequence[Prediction]
) -> Bundle:
    """Write the warnings into a bundle's manifest, which does not change its id."""
    counts = count_by_source(rows["source"].tolist(), data.checks)
    concerns = calibration_warnings(trained.manifest, predictions, rows.iloc[data.val])
    for sentence in concerns:
        log.warning(sentence)
    update = {"input_check": counts, "warnings": (*input_check_warnings(counts), *concerns)}
    manifest = trained.manifest.model_copy(update=update)
    bundle.write_manifest(trained.folder, manifest)
    return bundle.load(trained.folder)


def store_reference(trained: Bundle, inputs: NDArray[np.float16], rows: pd.DataFrame) -> Bundle:
    """Write the embeddings of a bundle's training images into it; they do not change its id.

    Args:
        trained: a finished bundle.
        inputs: float16 (N, 1, S, S), preprocessed.
        rows: their rows of the cohort.
    """
    runtime = Runtime(trained)
    embeddings = [
        runtime.run(inputs[start : start + _BATCH].astype(np.float32)).embedding
        for start in range(0, len(inputs), _BATCH)
    ]
    ids, findings = rows["image_id"].tolist(), rows["finding"].tolist()
    path = trained.folder / bundle.REFERENCE
    similar_cases.save(path, np.concatenate(embeddings), ids, findings)
    bundle.write_manifest(trained.folder, trained.manifest)
    return bundle.load(trained.folder)


def out_of_fold(
    config: RunConfig, cohort: pd.DataFrame, data_root: Path, out: Path, *, folds: int, command: str
) -> Path:
    """Predict every train and val row by a model trained on neither the image nor its patient.

    Patients are divided into 2 x `folds` equal parts. Each model leaves out two, stops and
    calibrates on a third and trains on the rest. Writes and returns `out/predictions-oof.csv`;
    finished folds are not repeated.

    Raises:
        CohortError: too few patients, or a fold's training lacks a class; raised before any image
            is read.
        TrainingError: a loss or a weight is not finite.
    """
    rows = development_rows(cohort)
    parts = _cross_validation_parts(config, rows, folds)
    data = load_training_data(config, rows, data_root, out)
    predictions = []
    for fold, (left_out, train_rows, stopping) in enumerate(parts):
        # the number of folds is in the name: five folds never continue ten folds' trainings
        folder = out / f"folds-{folds}" / f"fold-{fold + 1}"
        path = folder / "predictions.csv"
        if not path.exists():
            own = replace(data, train=train_rows, val=stopping)
            label = f"fold {fold + 1} of {folds}"
            trained = _train_bundle(
                config, rows, own, folder, data_root=data_root, command=command, label=label
            )
            fresh = predict_cohort(
                Predictor(trained), rows[left_out], data_root, f"predicting {label}"
            )
            for sentence in calibration_warnings(trained.manifest, fresh, rows[left_out]):
                log.warning("%s: %s", label, sentence)
            atomic_write(path, table(fresh, trained.manifest.classes))
            remove_intermediates(folder)
        predictions.append(pd.read_csv(path, dtype=str, keep_default_na=False))
    joined = out / "predictions-oof.csv"
    atomic_write(joined, pd.concat(predictions).to_csv(index=False, lineterminator="\n"))
    remove_intermediates(out)
    return joined


def _cross_validation_parts(
    config: RunConfig, rows: pd.DataFrame, folds: int
) -> list[tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]]:
    """Return for each fold which rows (N,) it leaves out, trains on, and stops on."""
    part = grouped_folds(rows, 2 * folds, config.seed).to_numpy()
    parts = []
    for fold in range(folds):
        left_out = np.isin(part, (2 * fold, 2 * fold + 1))
        stopping = part == (2 * fold + 2) % (2 * folds)
        train_rows, stop_rows = np.flatnonzero(~left_out & ~stopping), np.flatnonzero(stopping)
        _require_trainable(config, rows, train_rows, stop_rows, f"fold {fold + 1} of {folds}")
        parts.append((left_out, train_rows, stop_rows))
    return parts


def _require_trainable(
    config: RunConfig,
    rows: pd.DataFrame,
    train_rows: NDArray[np.int64],
    val: NDArray[np.int64],
    label: str = "",
) -> None:
    """Raise an error, before any image is read, where a bundle could not be trained.

    Raises:
        CohortError: the training or validation rows, or those of a calibration fold, lack a class.
    """
    labels = class_numbers(rows, config.task)
    require_all_classes(config.task, labels, train_rows, val, label)
    if config.training.method == "linear-probe":
        folds = _calibration_folds(config, rows.iloc[train_rows])
        require_classes_out_of_fold(config.task, labels[train_rows], folds)


def development_rows(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the train and val rows, numbered from 0."""
    return cohort[cohort["split"].isin(("train", "val"))].reset_index(drop=True)


def load_training_data(
    config: RunConfig, rows: pd.DataFrame, data_root: Path, out: Path
) -> TrainingData:
    """Preprocess the images of `rows` into a file in `out`; no row is chosen to train on yet.

    Warns, by source, of images that the input check rejects or that are flagged.
    """
    inputs, checks = preprocess_cohort(rows, data_root, config.preprocess, out / _INPUTS)
    for sentence in input_check_warnings(count_by_source(rows["source"].tolist(), checks)):
        log.warning(sentence)
    return replace(training_data(config, rows, inputs), checks=tuple(checks))


def training_data(
    config: RunConfig, rows: pd.DataFrame, inputs: NDArray[np.float16]
) -> TrainingData:
    """Return all that training needs of preprocessed inputs (N, 1, S, S); no row is chosen yet."""
    features = None
    if config.training.method == "linear-probe":
        features = extract_features(config, inputs)
    return labelled_data(config, rows, inputs, features)


def labelled_data(
    config: RunConfig,
    rows: pd.DataFrame,
    inputs: NDArray[np.float16],
    features: FloatArray | None,
) -> TrainingData:
    """Return inputs (N, 1, S, S) and features (V, N, F) with what the cohort says of them."""
    return TrainingData(
        inputs,
        class_numbers(rows, config.task),
        np.arange(0),
        np.arange(0),
        rows["source"].to_numpy(str),
        label_weights(config, rows),
        features,
    )


def label_weights(config: RunConfig, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return the factor (N,) on the weight of each of `rows` within its class."""
    factors = config.training.label_weights
    return np.array([factors.get(finding, 1.0) for finding in rows["finding"]])


def fit_recipe(
    config: RunConfig,
    data: TrainingData,
    out: Path,
    label: str,
    callbacks: Sequence[lightning.Callback] = (),
) -> Trained:
    """Train by the method in the config; a training that was killed continues in `out`.

    `callbacks` are Lightning's, for training by gradient descent.
    """
    if config.training.method == "linear-probe":
        return fit_linear_probe(config, data)
    return fit_best_of(config, data, out, label=label, callbacks=callbacks)


def log_odds(trained: Trained, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a network's log-odds (n,) of COVID-19 against all other classes for some rows."""
    logits = []
    with torch.inference_mode():
        for start in range(0, len(rows), _BATCH):
            chosen = rows[start : start + _BATCH]
            if data.features is not None:
                batch = trained.network.head(torch.from_numpy(data.features[0, chosen]))
            else:
                images = torch.from_numpy(data.inputs[chosen].astype(np.float32))
                batch = trained.network(images).logits
            logits.append(batch.double().numpy())
    classes = np.concatenate(logits)
    odds: NDArray[np.float64] = classes[:, -1] - logsumexp(classes[:, :-1], axis=1)
    return odds


def _train_bundle(
    config: RunConfig,
    rows: pd.DataFrame,
    data: TrainingData,
    out: Path,
    *,
    data_root: Path,
    command: str,
    label: str = "training",
) -> Bundle:
    if config.training.method == "gradient":
        _require_answered(data)
    trained = fit_recipe(config, data, out / "training", label)
    epoch = f"best epoch {trained.epoch}, " if trained.epoch else ""
    log.info("%s: %svalidation loss %.4f", label, epoch, trained.val_loss)
    own = rows.iloc[np.concatenate([data.train, data.val])]
    seeded = config.model_copy(update={"seed": trained.seed})
    draft = export(trained.network, seeded, own, out / "bundle", command)
    if config.training.method == "linear-probe":
        calibration = _out_of_fold_calibration(config, rows, data)
    else:
        own = rows.iloc[data.val]
        predictions = predict_cohort(Predictor(draft), own, data_root, "predicting to calibrate")
        calibration = CalibrationSet.of_predictions(predictions, data.labels[data.val])
    calibrated = calibrate(draft, calibration, config.evaluation)
    check_parity(trained.network, calibrated, data.inputs[data.val].astype(np.float32))
    return calibrated


def _require_answered(data: TrainingData) -> None:
    """Raise an error where a training could not be calibrated, before hours are spent on it.

    Raises:
        CohortError: the input check rejects all validation images with, or without, COVID-19.
    """
    chosen = np.array([row for row in data.val if not data.checks[row].rejection], np.int64)
    covid = data.labels[chosen] == data.labels.max()
    for name, count in (("with", covid.sum()), ("without", (~covid).sum())):
        if not count:
            raise CohortError(
                f"the input check rejects every validation image {name} COVID-19, so that there "
                "is nothing to calibrate on; look at them, or change the split"
            )


def _out_of_fold_calibration(
    config: RunConfig, rows: pd.DataFrame, data: TrainingData
) -> CalibrationSet:
    """Return the train rows' logits, each by a fit without its own fold, to calibrate on.

    A fit in closed form is cheap enough to be repeated, and a threshold from a thousand images is
    more stable than one from the hundred validation images.
    """
    folds = _calibration_folds(config, rows.iloc[data.train])
    logits, labels = out_of_fold_logits(config, data, folds), data.labels[data.train]
    sources = None if data.sources is None else data.sources[data.train]
    return CalibrationSet(logits, labels, mixed_source_weights(labels, sources))


def _calibration_folds(config: RunConfig, rows: pd.DataFrame) -> NDArray[np.int64]:
    return np.asarray(grouped_folds(rows, _CALIBRATION_FOLDS, config.seed), dtype=np.int64)


def remove_intermediates(out: Path) -> None:
    """Remove what only a killed training needs: preprocessed inputs and checkpoints."""
    (out / _INPUTS).unlink(missing_ok=True)
    for checkpoint in (out / "training").rglob("*.ckpt"):
        checkpoint.unlink()
