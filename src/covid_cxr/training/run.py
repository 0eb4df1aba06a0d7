"""A cohort in, a calibrated bundle and its validation predictions out."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from covid_cxr.cohort.splits.grouped import grouped_folds
from covid_cxr.config import RunConfig
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor, similar_cases
from covid_cxr.inference.batch import predict_cohort, table
from covid_cxr.inference.runtime import Runtime
from covid_cxr.models import bundle
from covid_cxr.models.bundle import Bundle
from covid_cxr.training.datamodule import Part
from covid_cxr.training.experiment import Trained, fit_best_of
from covid_cxr.training.export import Scored, calibrate, check_parity, export, scored
from covid_cxr.training.inputs import labels_of, preprocess_all
from covid_cxr.training.linear_probe import crossed, fit_linear, frozen_features
from covid_cxr.training.sample_weights import where_both
from covid_cxr.types import FloatArray

log = logging.getLogger(__name__)
_BATCH = 64
_CROSSED = 5


def train(
    config: RunConfig,
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    *,
    command: str,
) -> Bundle:
    """Train on the cohort's train rows; test is not read.

    A training by gradient stops and calibrates on the val rows, a fit in closed form calibrates
    on the train rows, cross-fitted.

    Writes `out/bundle/`, `out/predictions-val.csv` and `out/training/tensorboard`.

    Args:
        config: the recipe.
        cohort: as `cohort.schema.load` returns it.
        data_root: folder that the cohort's paths are relative to.
        out: run folder. A killed training in it goes on where it was.
        command: how to make the bundle again, for its manifest.
    """
    seen = cohort[cohort["split"].isin(("train", "val"))].reset_index(drop=True)
    films = films_of(config, seen, data_root, out)
    fitted = (seen["split"] == "train").to_numpy()
    everything = part_of(config, seen, films)
    part = replace(everything, train=np.flatnonzero(fitted), val=np.flatnonzero(~fitted))
    made = _bundle(config, seen, part, out, data_root=data_root, command=command)
    made = remember(made, films, seen)
    val = predict_cohort(Predictor(made), seen.iloc[part.val]["path"], data_root, "predicting val")
    atomic_write(out / "predictions-val.csv", table(val, made.manifest.classes))
    clean(out)
    return made


def remember(made: Bundle, films: NDArray[np.float16], rows: pd.DataFrame) -> Bundle:
    """Write the embeddings of the films that a bundle was trained on into it.

    Args:
        made: a finished bundle; its id, which they do not decide, stays.
        films: float16 (N, 1, S, S), preprocessed.
        rows: their rows of the cohort.
    """
    runtime, parts = Runtime(made), []
    for start in range(0, len(films), _BATCH):
        batch = films[start : start + _BATCH].astype(np.float32)
        parts.append(runtime.run(batch).embedding)
    ids, findings = rows["image_id"].tolist(), rows["finding"].tolist()
    similar_cases.write(made.folder / bundle.REFERENCE, np.concatenate(parts), ids, findings)
    bundle.write_manifest(made.folder, made.manifest)
    return bundle.load(made.folder)


def out_of_fold(
    config: RunConfig,
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    *,
    folds: int,
    command: str,
) -> Path:
    """Predict every train and val row by a model that has seen neither it nor its patient.

    Of 2 x `folds` equal parts of patients, each model leaves out two, stops and calibrates on a
    third and trains on the rest. Writes and returns `out/predictions-oof.csv`; folds that are
    done are not repeated.
    """
    seen = cohort[cohort["split"].isin(("train", "val"))].reset_index(drop=True)
    films = films_of(config, seen, data_root, out)
    everything = part_of(config, seen, films)
    parts = grouped_folds(seen, 2 * folds, config.seed).to_numpy()
    answers = []
    for fold in range(folds):
        left_out = np.isin(parts, (2 * fold, 2 * fold + 1))
        stopping = parts == (2 * fold + 2) % (2 * folds)
        train_rows = np.flatnonzero(~left_out & ~stopping)
        part = replace(everything, train=train_rows, val=np.flatnonzero(stopping))
        # the number of folds is in the name: five folds never go on with ten folds' trainings
        folder = out / f"folds-{folds}" / f"fold-{fold + 1}"
        if not (folder / "predictions.csv").exists():
            note = f"fold {fold + 1} of {folds}"
            made = _bundle(
                config,
                seen,
                part,
                folder,
                data_root=data_root,
                command=command,
                note=note,
            )
            paths = seen.iloc[left_out.nonzero()[0]]["path"]
            found = predict_cohort(Predictor(made), paths, data_root, f"predicting {note}")
            atomic_write(folder / "predictions.csv", table(found, made.manifest.classes))
            clean(folder)
        answers.append(pd.read_csv(folder / "predictions.csv", dtype=str, keep_default_na=False))
    path = out / "predictions-oof.csv"
    atomic_write(path, pd.concat(answers).to_csv(index=False, lineterminator="\n"))
    clean(out)
    return path


def films_of(
    config: RunConfig, rows: pd.DataFrame, data_root: Path, out: Path
) -> NDArray[np.float16]:
    """Return the preprocessed films of `rows`, float16 (N, 1, S, S), kept in `out`."""
    return preprocess_all(rows, data_root, config.preprocess, out / "training" / "films.npy")


def part_of(config: RunConfig, rows: pd.DataFrame, films: NDArray[np.float16]) -> Part:
    """Return the films (N, 1, S, S) of `rows` with all that training asks of them; none chosen."""
    return Part(
        films,
        labels_of(rows, config.task),
        np.arange(0),
        np.arange(0),
        rows["source"].to_numpy(str),
        multipliers_of(config, rows),
        features_of(config, films),
    )


def multipliers_of(config: RunConfig, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return the factor (N,) on the weight of each of `rows` within its class."""
    factors = config.training.finding_multipliers
    return np.array([factors.get(finding, 1.0) for finding in rows["finding"]])


def features_of(config: RunConfig, films: NDArray[np.float16]) -> FloatArray | None:
    """Return a frozen network's features (V, N, F); None where the network is trained."""
    if config.training.method != "linear":
        return None
    return frozen_features(config, films)


def trained_on(config: RunConfig, part: Part, out: Path, note: str) -> Trained:
    """Train as the config says; a training that was killed goes on in `out`."""
    if config.training.method == "linear":
        return fit_linear(config, part)
    return fit_best_of(config, part, out, label=note)


def score(trained: Trained, part: Part, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-odds (n,) of COVID-19 against the rest that a network gives to some rows."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), _BATCH):
            chosen = rows[start : start + _BATCH]
            if part.features is not None:
                logits = trained.network.head(torch.from_numpy(part.features[0, chosen]))
            else:
                films = torch.from_numpy(part.films[chosen].astype(np.float32))
                logits = trained.network(films).logits
            found.append(logits.double().numpy())
    logits = np.concatenate(found)
    odds: NDArray[np.float64] = logits[:, -1] - logsumexp(logits[:, :-1], axis=1)
    return odds


def _bundle(
    config: RunConfig,
    seen: pd.DataFrame,
    part: Part,
    out: Path,
    *,
    data_root: Path,
    command: str,
    note: str = "training",
) -> Bundle:
    trained = trained_on(config, part, out / "training", note)
    epoch = f"best epoch {trained.epoch}, " if trained.epoch else ""
    log.info("%s: %svalidation loss %.4f", note, epoch, trained.val_loss)
    rows = seen.iloc[np.concatenate([part.train, part.val])]
    seeded = config.model_copy(update={"seed": trained.seed})
    draft = export(trained.network, seeded, rows, out / "bundle", command)
    if config.training.method == "linear":
        known = _crossed(config, seen, part)
    else:
        val = predict_cohort(
            Predictor(draft), seen.iloc[part.val]["path"], data_root, "predicting to calibrate"
        )
        known = scored(val, part.labels[part.val])
    made = calibrate(trained.network, draft, known, config.evaluation)
    check_parity(trained.network, made, part.films[part.val].astype(np.float32))
    return made


def _crossed(config: RunConfig, seen: pd.DataFrame, part: Part) -> Scored:
    """Return what fits without a training film's fold say of it, to calibrate on.

    A fit in closed form is cheap enough to be repeated, and a threshold from a thousand films is
    steadier than one from the hundred that validate.
    """
    folds = grouped_folds(seen.iloc[part.train], _CROSSED, config.seed).to_numpy()
    logits, labels = crossed(config, part, folds), part.labels[part.train]
    sources = None if part.sources is None else part.sources[part.train]
    return Scored(logits, labels, where_both(labels, sources))


def clean(out: Path) -> None:
    """Remove what only a killed training needs: cached films and checkpoints."""
    (out / "training" / "films.npy").unlink(missing_ok=True)
    for checkpoint in (out / "training").rglob("*.ckpt"):
        checkpoint.unlink()
