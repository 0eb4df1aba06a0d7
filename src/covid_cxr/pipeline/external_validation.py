"""External validation: a bundle evaluated, and if asked recalibrated, on a hospital's images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from covid_cxr import evaluation
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig
from covid_cxr.errors import CohortError, InputError
from covid_cxr.evaluation.compare import compare
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import embed_cohort
from covid_cxr.models import bundle as bundles
from covid_cxr.models.bundle import Bundle
from covid_cxr.models.manifest import Manifest, training_sources
from covid_cxr.models.recalibrate import need_onnx
from covid_cxr.models.recalibrate import recalibrate as recalibrate_bundle
from covid_cxr.pipeline import recalibration, training_overlap
from covid_cxr.pipeline.evaluate import (
    attach_card,
    bundle_metrics,
    measure,
    predict_split,
    target_prevalence,
    write_predictions,
)
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import write_report
from covid_cxr.report.comparison_page import write_comparison
from covid_cxr.results import RunMetrics, SplitMetrics
from covid_cxr.results.external_validation import ExternalValidationMetrics
from covid_cxr.types import Prediction, class_of

log = logging.getLogger(__name__)

BEFORE = "before"  # the original bundle, beside the recalibrated one
COMPARED = "compare"
OVERLAP = "training-overlap.csv"  # images that the bundle was trained on
_EXTERNAL: Literal["external"] = "external"
_FITTED: Literal["val"] = "val"


@dataclass(frozen=True)
class ExternalValidation:
    """What an external validation wrote.

    Attributes:
        folder: of the recalibrated bundle, on images it was not fitted to, where there is one.
        before: of the original bundle, on all images; the same folder without recalibration.
        rejection: why the bundle was not recalibrated although asked for, in one line.
    """

    folder: RunFolder
    before: RunFolder
    rejection: str | None = None


@dataclass(frozen=True)
class _Site:
    """A hospital's cohort, its data root, and how it is evaluated."""

    cohort: pd.DataFrame
    data_root: Path
    config: RunConfig
    command: str
    prevalence: float | None = None

    @property
    def rows(self) -> pd.DataFrame:
        """The images that are evaluated on."""
        return self.split(_EXTERNAL)

    def split(self, name: str) -> pd.DataFrame:
        return self.cohort[self.cohort["split"] == name]

    def moved(self, split: str, reasons: pd.Series) -> _Site:
        """Return the cohort with the images in the index of `reasons` in another split."""
        cohort = self.cohort.copy()
        cohort.loc[reasons.index, ["split", "exclusion"]] = split, ""
        cohort.loc[reasons.index, "exclusion"] = reasons
        return replace(self, cohort=cohort)


def validate(
    bundle: Bundle,
    cohort: Path,
    data_root: Path,
    out: Path,
    *,
    settings: RunConfig,
    command: str,
    recalibrate: bool = False,
    share: float = 0.5,
    prevalence: float | None = None,
) -> ExternalValidation:
    """Evaluate a bundle on every usable image of a cohort, and write a run folder with its report.

    Whatever split the cohort gives an image, it is external here; images that the bundle was
    trained on are left out, as far as can be told (`training_overlap.find`). To recalibrate, slope,
    shift and threshold are fitted to `share` of the images, whole patients drawn by seed and
    stratified by source and finding. The new bundle, in `out/bundle`, is evaluated on the rest;
    `out/before` holds the original on all images, and `out/compare` both on the same images.

    Args:
        bundle: to evaluate.
        cohort: a `cohort.csv` of `cohort build`.
        data_root: folder that its paths are relative to.
        out: folder that holds no run yet.
        settings: its `evaluation` (threshold rule, resamples) and `seed` are used.
        command: how to repeat it, data root written as DATA.
        recalibrate: make a new bundle; needs the package onnx.
        share: to fit to, in (0, 1).
        prevalence: share with COVID-19 that the report interprets predictions for too, in (0, 1).

    Raises:
        ConfigError: the prevalence is not between 0 and 1.
        InputError: `out` holds a run, or the bundle was trained on all of the cohort.
        CohortError: the cohort does not match the schema, or has no usable image.
        LeakError: a patient of the cohort is in two splits.
        MissingDependency: onnx is not installed.
    """
    evaluation.check_prevalence(prevalence)
    if recalibrate:
        need_onnx()
    if (out / "config.json").exists() or (out / "bundle").exists():
        raise InputError(f"--out '{out}' holds a run already; name a folder that does not")
    rows = schema.load(cohort)
    usable = rows["split"] != "excluded"
    if not usable.any():
        raise CohortError(f"all {len(rows)} rows of '{cohort}' are excluded; expected usable ones")
    as_external = rows.assign(split=rows["split"].mask(usable, _EXTERNAL))
    config = _config(bundle.manifest, settings)
    site = _Site(as_external, data_root, config, command, prevalence)
    predictor = Predictor(bundle)
    predictions, embeddings = embed_cohort(predictor, site.rows, data_root)
    reasons = _overlap(site.rows, training_overlap.find(site.rows, embeddings, bundle), out)
    new = [prediction for prediction, why in zip(predictions, reasons, strict=True) if not why]
    site = site.moved("excluded", reasons[reasons != ""])
    if recalibrate:
        return _recalibrate(site, new, predictor, out, share)
    folder = _evaluate_original(site, new, bundle, out)
    return ExternalValidation(folder, folder)


def _config(manifest: Manifest, settings: RunConfig) -> RunConfig:
    return RunConfig(
        name=f"{manifest.name}-external",
        task=manifest.task,
        model=manifest.architecture,
        seed=settings.seed,
        preprocess=manifest.preprocess,
        evaluation=settings.evaluation,
    )


def _overlap(rows: pd.DataFrame, overlap: pd.DataFrame, out: Path) -> pd.Series:
    """Return why each image is left out, "" for new ones, and write those that are.

    Raises:
        InputError: none is left.
    """
    listed = overlap[overlap["reason"] != ""]
    if len(listed) == len(overlap):
        raise InputError(
            f"the bundle was trained on all {len(listed)} images of the cohort or on their "
            "patients, so that none is left to evaluate it on; give images of other patients"
        )
    if len(listed):
        log.warning(
            "%d of %d images are left out: the bundle was trained on them or on their patients",
            *(len(listed), len(overlap)),
        )
        columns = rows.loc[listed.index, ["image_id", "path"]]
        text = columns.join(listed).to_csv(index=False, lineterminator="\n")
        atomic_write(out / OVERLAP, text)
    return overlap["reason"]


def _recalibrate(
    site: _Site, predictions: list[Prediction], predictor: Predictor, out: Path, share: float
) -> ExternalValidation:
    original, config = predictor.bundle, site.config
    fitted = recalibration.sample_patients(site.rows, share, config.seed)
    fit = recalibration.fit(site.rows, predictions, fitted, original.manifest, config.evaluation)
    if isinstance(fit, str):
        folder = _evaluate_original(site, predictions, original, out, recalibration_rejected=fit)
        rejection = f"not recalibrated: {fit}. '{out}' holds the evaluation"
        return ExternalValidation(folder, folder, rejection)
    log.info("slope %.3f, shift %.3f, threshold %.3f", *fit.line, fit.threshold)
    before = _evaluate_original(site, predictions, original, out / BEFORE)
    rows = site.rows[fitted]
    new = recalibrate_bundle(
        original,
        out / "bundle",
        **fit.line._asdict(),
        threshold=fit.threshold,
        fitted_to=training_sources(rows),
        command=site.command,
    )
    recalibration.check_parity(predictor, new, site.rows, site.data_root, fit)
    halves = site.moved(_FITTED, pd.Series("", index=rows.index))
    folder, recalibrated = _begin(halves, out), Predictor(new)
    for split in (_FITTED, _EXTERNAL):
        predict_split(folder, recalibrated, split, halves.split(split))
    old, scores = _measure(halves, before, original), _measure(halves, folder, new)
    change = recalibration.metrics(original.id, fit, rows, share, before=old, after=scores)
    metrics = _write_metrics(halves, folder, new, scores, recalibration=change)
    attach_card(folder, new, metrics)
    write_report(out)
    write_comparison(compare([before.path, folder.path], _EXTERNAL), out / COMPARED)
    return ExternalValidation(folder, before)


def _evaluate_original(
    site: _Site, predictions: Sequence[Prediction], bundle: Bundle, out: Path, **external: Any
) -> RunFolder:
    """Evaluate the original bundle, keep a copy of it in the folder, and report."""
    folder = _begin(site, out)
    write_predictions(folder, _EXTERNAL, predictions, bundle)
    _write_metrics(site, folder, bundle, _measure(site, folder, bundle), **external)
    bundles.copy(bundle, out / "bundle", weights=False)
    write_report(out)
    return folder


def _begin(site: _Site, out: Path) -> RunFolder:
    folder = RunFolder.create(out, site.config, site.data_root, site.command)
    folder.put_cohort(site.cohort)
    return folder


def _write_metrics(
    site: _Site, folder: RunFolder, bundle: Bundle, scores: SplitMetrics, **external: Any
) -> RunMetrics:
    """Write a bundle's scores on the external images, and what `external` says of them."""
    reasons = (training_overlap.TRAINED, training_overlap.SAME_PATIENT)
    left_out = int(site.cohort["exclusion"].isin(reasons).sum())
    validation = ExternalValidationMetrics(training_overlap=left_out, **external)
    splits = {_EXTERNAL: scores}
    metrics = bundle_metrics(folder, bundle, splits=splits, external_validation=validation)
    folder.write_metrics(metrics)
    return metrics


def _measure(site: _Site, folder: RunFolder, bundle: Bundle) -> SplitMetrics:
    """Return the metrics of a folder's predictions for the images that are external."""
    predictions = evaluation.read_predictions(folder.predictions(_EXTERNAL))
    own = predictions[predictions["file"].isin(set(site.rows["path"]))]
    threshold, shares = bundle.manifest.threshold, _class_shares(bundle.manifest)
    target = target_prevalence(bundle, site.prevalence)
    return measure(folder, own, site.rows, threshold, shares, target=target)


def _class_shares(manifest: Manifest) -> dict[str, float]:
    """Return each class's share of a bundle's training images."""
    counts: Counter[str] = Counter()
    for source in manifest.training_data:
        for finding, images in source.findings.items():
            counts[class_of(finding, manifest.task)] += images
    return {name: counts[name] / max(1, counts.total()) for name in manifest.classes}
