"""The pictures of a report: explained examples, explained errors and montages."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from covid_cxr import evaluation, explain
from covid_cxr.cohort.summary.montage import montages
from covid_cxr.config import RunConfig
from covid_cxr.evaluation.confident_errors import most_confident
from covid_cxr.explain.rendering.overlay import OverlayStyle
from covid_cxr.explain.rendering.writing import save
from covid_cxr.inference import Predictor
from covid_cxr.inference.explaining import ExplainSettings, caption_of, picture_stem
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.progress import track
from covid_cxr.report.html import MONTAGES
from covid_cxr.types import COVID, class_of

_STYLE = OverlayStyle(longest=768)  # every picture is embedded in the report


class _Chosen(NamedTuple):
    """An image to explain, and why it was chosen: "drawn" or "error"."""

    path: str
    sha256: str
    finding: str
    why: str


def explain_examples(folder: RunFolder, predictor: Predictor, cohort: pd.DataFrame) -> None:
    """Write `explanations/` and `montages/` anew: a few images by each configured method.

    Test images sampled by seed, the same for every model, half of them with COVID-19, so that
    examples are not hand-picked; and the most confident errors, so that they are not hidden. The
    predictions must be in the folder.
    """
    settings = folder.config.explain
    pictures = folder.path / "explanations"
    for old in (pictures, folder.path / MONTAGES):
        if old.exists():
            shutil.rmtree(old)
    has_cam = predictor.bundle.manifest.has_cam
    methods = [name for name in settings.methods if name != "cam" or has_cam]
    chosen = [
        _Chosen(str(row["path"]), str(row["sha256"]), str(row["finding"]), "drawn")
        for row in choose(cohort, settings.examples, folder.config.seed)
    ]
    threshold = predictor.bundle.manifest.threshold
    paths = {example.path for example in chosen}
    errors = _errors(folder, cohort, threshold)
    chosen += [example for example in errors if example.path not in paths]
    work = [(example, method) for example in chosen for method in methods]
    for example, method in track(work, "explaining examples"):
        _explain(folder, predictor, example, method)
    if settings.montages:
        montages(cohort, folder.data_root, folder.path / MONTAGES, folder.config.seed)


def _explain(folder: RunFolder, predictor: Predictor, chosen: _Chosen, method: str) -> None:
    radiograph = predictor.read(folder.data_root / chosen.path, chosen.sha256)
    (inference,) = predictor.infer([radiograph])
    if inference.prediction.status != "ok":
        return
    own = explain_settings(folder.config, method)
    # Every map is shown, marked as doubtful where its fidelity is low.
    settings = ExplainSettings(method, own, _STYLE, least_fidelity=-math.inf)
    prediction, explanation, _ = predictor.explain_inference(inference, settings)
    if explanation is None:
        return
    truth = class_of(chosen.finding, folder.config.task)
    caption = caption_of(prediction, {"chosen": chosen.why})
    caption = replace(caption, file=chosen.path, truth=truth)
    stem = folder.path / "explanations" / f"{picture_stem(chosen.path)}-{method}"
    save(stem, radiograph.pixels, explanation, caption, _STYLE)


def _errors(folder: RunFolder, cohort: pd.DataFrame, threshold: float) -> list[_Chosen]:
    """Return the most confident errors on test, or on validation without a test split."""
    most = folder.config.explain.errors
    for split in ("test", "val"):
        path, rows = folder.predictions(split), cohort[cohort["split"] == split]
        if most and len(rows) and path.exists():
            table = evaluation.join(evaluation.read_predictions(path), rows)
            errors = most_confident(table, folder.config.task, threshold, most)
            hashes = rows.set_index("path")["sha256"]
            pairs = zip(errors["file"], errors["finding"], strict=True)
            return [_Chosen(file, hashes[file], finding, "error") for file, finding in pairs]
    return []


def explain_settings(config: RunConfig, method: str) -> explain.Settings:
    """Return what a run's configuration asks of an explainer.

    Raises:
        UnknownName: no such explainer, or it has no such setting.
        InputError: a setting is out of bounds.
    """
    explainer = explain.get(method)
    shared = {"seed": config.seed, **config.explain.model_dump(exclude={"settings"})}
    values = {name: shared[name] for name in explainer.settings.names() if name in shared}
    return explainer.configure(values | config.explain.settings.get(method, {}))


def choose(cohort: pd.DataFrame, count: int, seed: int) -> Iterator[pd.Series]:
    """Yield up to `count` test rows, half of them (rounded up) with COVID-19 where there are."""
    test = cohort[cohort["split"] == "test"].sample(frac=1, random_state=seed)
    positive = test[test["finding"] == COVID]
    negative = test[test["finding"] != COVID]
    wanted = min(len(positive), max((count + 1) // 2, count - len(negative)))
    for part in (positive.head(wanted), negative.head(count - wanted)):
        for _, row in part.iterrows():
            yield row
