"""The explained examples of a report: which images, and their pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pandas as pd

from covid_cxr.config import RunConfig
from covid_cxr.explain import Options
from covid_cxr.explain.render import Facts, Style, save
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import picture_stem
from covid_cxr.pipeline.folder import RunFolder
from covid_cxr.types import COVID, Progress, class_of

_STYLE = Style(longest=768)  # the report holds every picture within itself


def explain_examples(
    folder: RunFolder,
    predictor: Predictor,
    cohort: pd.DataFrame,
    progress: Progress | None = None,
) -> None:
    """Write `explanations/` anew: a few test images by each configured method.

    The images are the same for every model: drawn by seed, half of them with COVID-19, so that
    nobody picks the pretty ones.
    """
    settings = folder.config.explain
    pictures = folder.path / "explanations"
    if pictures.exists():
        shutil.rmtree(pictures)
    has_cam = predictor.bundle.manifest.has_cam
    methods = [name for name in settings.methods if name != "cam" or has_cam]
    options = explain_options(folder.config)
    chosen = list(choose(cohort, settings.examples, folder.config.seed))
    work = [(row, method) for row in chosen for method in methods]
    for done, (row, method) in enumerate(work, start=1):
        radiograph = predictor.read(folder.data_root / row.path)
        reading = predictor.predict(radiograph, method, options)
        if reading.explanation is None:
            continue
        prediction = reading.prediction
        facts = Facts(
            prediction.probabilities[prediction.predicted_class],
            prediction.threshold,
            row.path,
            class_of(row.finding, folder.config.task),
        )
        stem = pictures / f"{picture_stem(row.path)}-{method}"
        save(stem, radiograph.pixels, reading.explanation, facts, _STYLE)
        if progress:
            progress("explaining examples", done, len(work))


def explain_options(config: RunConfig) -> Options:
    """Return the explainers' options that a run's configuration asks for."""
    settings = config.explain
    return Options(
        samples=settings.samples,
        seed=config.seed,
        superpixels=settings.superpixels,
        hidden=settings.hidden,
        sampling=settings.sampling,
        stable=settings.stable,
    )


def choose(cohort: pd.DataFrame, count: int, seed: int) -> Iterator[pd.Series]:
    """Yield up to `count` test rows, half of them (rounded up) with COVID-19 where there are."""
    test = cohort[cohort["split"] == "test"].sample(frac=1, random_state=seed)
    positive = test[test["finding"] == COVID]
    negative = test[test["finding"] != COVID]
    wanted = min(len(positive), max((count + 1) // 2, count - len(negative)))
    for part in (positive.head(wanted), negative.head(count - wanted)):
        for _, row in part.iterrows():
            yield row
