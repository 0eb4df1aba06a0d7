"""Local acceptance: a bundle measured, and if asked recalibrated, on a hospital's own films."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from covid_cxr import evaluation
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig
from covid_cxr.errors import CohortError, InputError
from covid_cxr.evaluation.compare import compare
from covid_cxr.files import atomic_write
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import embed_cohort, predict_cohort, table
from covid_cxr.metrics import Bootstrap
from covid_cxr.models import bundle
from covid_cxr.models.bundle import Bundle
from covid_cxr.models.manifest import Manifest, TrainingSource
from covid_cxr.models.recalibrate import need_onnx
from covid_cxr.pipeline import recalibration as recalibrate_on_site
from covid_cxr.pipeline import training_overlap
from covid_cxr.pipeline.attach_card import sign
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import write_report
from covid_cxr.report.comparison_page import write_comparison
from covid_cxr.results import RunMetrics, SplitMetrics
from covid_cxr.results.external_validation import ExternalValidationMetrics, RecalibrationMetrics
from covid_cxr.types import Prediction, class_of

log = logging.getLogger(__name__)

BEFORE = "before"  # the bundle as it came, beside the recalibrated one
COMPARED = "compare"
KNOWN = "known.csv"  # films that the bundle was trained on
_EXTERNAL: Literal["external"] = "external"
_FITTED: Literal["val"] = "val"


@dataclass(frozen=True)
class Accepted:
    """What local acceptance left behind.

    Attributes:
        folder: of the new bundle, on films it was not fitted to, where one was made.
        before: of the bundle as it came, on all films; the same folder where none was made.
        refusal: why none was made although asked, in one line; else None.
    """

    folder: RunFolder
    before: RunFolder
    refusal: str | None = None


@dataclass(frozen=True)
class _Films:
    """A hospital's cohort, where it lies, and how it is measured."""

    cohort: pd.DataFrame
    data_root: Path
    config: RunConfig
    command: str
    prevalence: float | None = None

    @property
    def rows(self) -> pd.DataFrame:
        """The films that are measured."""
        return self.split(_EXTERNAL)

    def split(self, name: str) -> pd.DataFrame:
        return self.cohort[self.cohort["split"] == name]

    def moved(self, to: str, reasons: pd.Series) -> _Films:
        """Return the films with those that `reasons` is about in split `to`."""
        cohort = self.cohort.copy()
        cohort.loc[reasons.index, ["split", "exclusion"]] = to, ""
        cohort.loc[reasons.index, "exclusion"] = reasons
        return replace(self, cohort=cohort)


def accept(
    made: Bundle,
    cohort: Path,
    data_root: Path,
    out: Path,
    *,
    settings: RunConfig,
    command: str,
    recalibrate: bool = False,
    share: float = 0.5,
    prevalence: float | None = None,
) -> Accepted:
    """Measure a bundle on every usable film of a cohort, and write a run folder with its report.

    Whatever split the cohort gives a film, it is external here; films that the bundle was trained
    on are left out, as far as it can tell (`seen.find`). To recalibrate, `share` of the films, by
    whole patients drawn by seed and stratified by source and finding, are kept to fit slope, shift
    and threshold. The new bundle, in `out/bundle`, is measured on the others; `out/before` holds
    the old one on all films, and `out/compare` both on the same.

    Args:
        made: the bundle.
        cohort: a `cohort.csv` of `cohort build`.
        data_root: folder that its paths are relative to.
        out: folder that holds no run yet.
        settings: its `evaluation` (threshold rule, resamples) and `seed` are used.
        command: how to repeat it, data root written as DATA.
        recalibrate: make a new bundle; needs the package onnx.
        share: to fit to, in (0, 1).
        prevalence: share with COVID-19, in (0, 1), of a place that the report speaks of too.

    Raises:
        ConfigError: the prevalence is none.
        InputError: `out` holds a run, or the bundle was trained on all of the cohort.
        CohortError: the cohort is not according to the schema, or has no usable film.
        LeakError: a patient of the cohort stands in two splits.
        MissingDependency: onnx is not installed.
    """
    evaluation.check_prevalence(prevalence)
    if recalibrate:
        need_onnx()
    if (out / "config.json").exists() or (out / "bundle").exists():
        raise InputError(f"--out '{out}' holds a run already; name a folder that does not")
    table_ = schema.load(cohort)
    usable = table_["split"] != "excluded"
    if not usable.any():
        raise CohortError(
            f"all {len(table_)} rows of '{cohort}' are excluded; none can be measured"
        )
    as_external = table_.assign(split=table_["split"].mask(usable, _EXTERNAL))
    config = _config(made.manifest, settings)
    films = _Films(as_external, data_root, config, command, prevalence)
    predictor = Predictor(made)
    answers, embeddings = embed_cohort(predictor, films.rows["path"], data_root)
    known = _known(films.rows, training_overlap.find(films.rows, embeddings, made), out)
    answers = [each for each, reason in zip(answers, known, strict=True) if not reason]
    films = films.moved("excluded", known[known != ""])
    if recalibrate:
        return _recalibrated(films, answers, predictor, out, share)
    folder = _as_it_came(films, answers, made, out)
    return Accepted(folder, folder)


def _config(manifest: Manifest, settings: RunConfig) -> RunConfig:
    return RunConfig(
        name=f"{manifest.name}-local",
        task=manifest.task,
        model=manifest.architecture,
        seed=settings.seed,
        preprocess=manifest.preprocess,
        evaluation=settings.evaluation,
    )


def _known(rows: pd.DataFrame, found: pd.DataFrame, out: Path) -> pd.Series:
    """Return why films are known, "" for new ones, and list them; refuse where all are known."""
    listed = found[found["reason"] != ""]
    if len(listed) == len(found):
        raise InputError(
            f"the bundle was trained on all {len(listed)} films of the cohort or on their "
            "patients, so that none is left to measure it on; give films of other patients"
        )
    if len(listed):
        log.warning(
            "%d of %d films are left out: the bundle was trained on them or on their patients",
            *(len(listed), len(found)),
        )
        columns = rows.loc[listed.index, ["image_id", "path"]]
        text = columns.join(listed).to_csv(index=False, lineterminator="\n")
        atomic_write(out / KNOWN, text)
    return found["reason"]


def _recalibrated(
    films: _Films, answers: list[Prediction], predictor: Predictor, out: Path, share: float
) -> Accepted:
    made, config = predictor.bundle, films.config
    fitted = recalibrate_on_site.deal_patients(films.rows, share, config.seed)
    fit = recalibrate_on_site.fit(films.rows, answers, fitted, made.manifest, config.evaluation)
    if isinstance(fit, str):
        folder = _as_it_came(films, answers, made, out, rejected=fit)
        return Accepted(folder, folder, f"not recalibrated: {fit}. '{out}' holds the evaluation")
    log.info("slope %.3f, shift %.3f, threshold %.3f", *fit.line, fit.threshold)
    before = _as_it_came(films, answers, made, out / BEFORE)
    rows = films.rows[fitted]
    new = recalibrate_on_site.write(made, out / "bundle", fit, rows, films.command)
    recalibrate_on_site.check_parity(predictor, new, films.rows["path"], films.data_root, fit)
    halves = films.moved(_FITTED, pd.Series("", index=rows.index))
    record = partial(
        recalibrate_on_site.record,
        *(made, new, fit, halves.split(_FITTED)),
        share=share,
        before=recalibrate_on_site.brief(_measure(halves, before.path, made)),
    )
    folder = _new_bundle(halves, new, out, record)
    write_comparison(compare([before.path, folder.path], _EXTERNAL), out / COMPARED)
    return Accepted(folder, before)


def _as_it_came(
    films: _Films,
    answers: Sequence[Prediction],
    made: Bundle,
    out: Path,
    rejected: str | None = None,
) -> RunFolder:
    """Measure the bundle as it came, keep a copy of it in the folder, and report."""
    folder = _begin(films, out)
    _put(folder, _EXTERNAL, answers, made)
    external = ExternalValidationMetrics(
        training_overlap=_training_overlap(films), recalibration_rejected=rejected
    )
    _write_metrics(films, folder, made, _measure(films, out, made), external)
    bundle.copy(made, out / "bundle", weights=False)
    write_report(out)
    return folder


def _new_bundle(
    films: _Films, new: Bundle, out: Path, record: Callable[..., RecalibrationMetrics]
) -> RunFolder:
    """Predict both halves by the new bundle, measure it on the one it was not fitted to, report."""
    folder, predictor = _begin(films, out), Predictor(new)
    for split in (_FITTED, _EXTERNAL):
        paths = films.split(split)["path"]
        _put(
            folder,
            split,
            predict_cohort(predictor, paths, films.data_root, f"predicting {split}"),
            new,
        )
    numbers = _measure(films, out, new)
    external = ExternalValidationMetrics(
        training_overlap=_training_overlap(films),
        recalibration=record(after=recalibrate_on_site.brief(numbers)),
    )
    metrics = _write_metrics(films, folder, new, numbers, external)
    sign(folder, new, metrics)
    write_report(out)
    return folder


def _begin(films: _Films, out: Path) -> RunFolder:
    folder = RunFolder.create(out, films.config, films.data_root, films.command)
    folder.put_cohort(films.cohort)
    return folder


def _put(folder: RunFolder, split: str, answers: Sequence[Prediction], made: Bundle) -> None:
    atomic_write(folder.path / f"predictions-{split}.csv", table(answers, made.manifest.classes))


def _training_overlap(films: _Films) -> int:
    reasons = (training_overlap.TRAINED, training_overlap.KIN)
    return int(films.cohort["exclusion"].isin(reasons).sum())


def _write_metrics(
    films: _Films,
    folder: RunFolder,
    made: Bundle,
    numbers: SplitMetrics,
    external: ExternalValidationMetrics,
) -> RunMetrics:
    manifest = made.manifest
    metrics = RunMetrics(
        task=manifest.task,
        classes=manifest.classes,
        model=manifest.architecture,
        bundle=made.id,
        threshold=manifest.threshold,
        temperature=manifest.temperature,
        command=films.command,
        splits={_EXTERNAL: numbers},
        external_validation=external,
    )
    folder.write_metrics(metrics)
    return metrics


def _measure(films: _Films, folder: Path, made: Bundle) -> SplitMetrics:
    """Measure what a folder's predictions say of the films that are external."""
    predictions = evaluation.read_predictions(folder / f"predictions-{_EXTERNAL}.csv")
    wanted = predictions["file"].isin(set(films.rows["path"]))
    return evaluation.evaluate(
        evaluation.join(predictions[wanted], films.rows),
        task=made.manifest.task,
        threshold=made.manifest.threshold,
        prevalence=_shares(made.manifest.training_data, made.manifest),
        bootstrap=Bootstrap(films.config.evaluation.bootstrap, films.config.seed),
        target=_target(films, made.manifest),
    )


def _target(films: _Films, manifest: Manifest) -> evaluation.TargetPrevalence | None:
    if films.prevalence is None:
        return None
    return evaluation.TargetPrevalence(films.prevalence, manifest.fitted_share)


def _shares(films: Sequence[TrainingSource], manifest: Manifest) -> dict[str, float]:
    """Return each class's share of films in a manifest."""
    counts: Counter[str] = Counter()
    for source in films:
        for finding, images in source.findings.items():
            counts[class_of(finding, manifest.task)] += images
    return {name: counts[name] / max(1, counts.total()) for name in manifest.classes}
