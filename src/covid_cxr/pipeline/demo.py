"""The whole way on synthetic radiographs, whose true lungs and opacities are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from covid_cxr import evaluation, phantoms
from covid_cxr.config import (
    AugmentConfig,
    CohortConfig,
    DatasetConfig,
    ExplainConfig,
    RunConfig,
    TrainingConfig,
)
from covid_cxr.explain.measures.localisation import hits, inside_lungs
from covid_cxr.inference import Predictor
from covid_cxr.metrics import Bootstrap
from covid_cxr.phantoms.shortcuts import Shortcut
from covid_cxr.pipeline.examples import explain_settings
from covid_cxr.pipeline.run import run
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.progress import track
from covid_cxr.report import write_report
from covid_cxr.results import Estimate
from covid_cxr.results.metrics import PointingMetrics
from covid_cxr.types import COVID, BoolArray

PATIENTS = 170


def demo_config(seed: int, rigged: bool = False) -> RunConfig:
    """Return the demo's recipe: small, and over in minutes on two CPU cores."""
    phantoms = DatasetConfig(adapter="csv", path="manifest.csv")
    return RunConfig(
        name="demo-rigged" if rigged else "demo",
        model="efficientnet-lite0-stride16",
        seed=seed,
        cohort=CohortConfig(datasets={"phantoms": phantoms}),
        augment=AugmentConfig(rotation=5, shift=0.05, scale=0.1, gamma=0.3),
        training=TrainingConfig(batch_size=16, max_epochs=12, patience=12, schedule="cosine"),
        # On phantoms, what was chosen before there was a lung network; see ADR 3.
        explain=ExplainConfig(
            examples=6,
            errors=2,
            samples=500,
            superpixels="quickshift",
            fill="dark",
            sampling="bernoulli",
            stopping_reliability=None,
        ),
    )


def demo(out: Path, *, command: str, rigged: bool = False, seed: int = 2020) -> RunFolder:
    """Draw a cohort of phantoms into `out/phantoms`, then run everything on it.

    Args:
        out: run folder.
        command: how to repeat it.
        rigged: inject a shortcut that an audit must find: all COVID-19 is from one hospital.
        seed: of phantoms, split and training.
    """
    data, config = out / "phantoms", demo_config(seed, rigged)
    RunFolder.create(out, config, data, command)
    if not (data / "manifest.csv").exists():
        shortcut: Shortcut = "hospital" if rigged else "none"
        phantoms.write_cohort(data, patients=PATIENTS, seed=seed, shortcut=shortcut)
    folder = run(config, data, out, command=command)
    pointing = localise(folder, data / "masks")
    folder.write_metrics(folder.metrics().model_copy(update={"explanations": pointing}))
    write_report(folder.path)
    return folder


def localise(
    folder: RunFolder, masks: Path, *, methods: Sequence[str] = ("cam", "lime")
) -> dict[str, PointingMetrics]:
    """Count how often each method's peak falls on a true opacity.

    Over the COVID-19 test images that the model classifies correctly; the pointing game of Zhang
    et al. (IJCV 2018) without tolerance.

    Args:
        folder: an evaluated run.
        masks: with `lungs/` and `opacities/`, 1-bit PNGs named by image id.
        methods: explainers.

    Returns:
        By method; the hit rate's interval is over patients.
    """
    predictor = Predictor(folder.bundle())
    rows = _correct(folder)
    pointing: dict[str, PointingMetrics] = {}
    for method in methods:
        hit, inside = [], []
        settings = explain_settings(folder.config, method)
        for row in track(rows.itertuples(), f"checking where {method} points", len(rows)):
            prepared = predictor.prepare(
                predictor.read(folder.data_root / str(row.path), str(row.sha256))
            )
            explanation = predictor.explain_class(prepared, COVID, method, settings)
            name = str(row.image_id).split(":", 1)[1] + ".png"
            hit.append(hits(explanation, _mask(masks / "opacities" / name)))
            inside.append(inside_lungs(explanation, _mask(masks / "lungs" / name)))
        pointing[method] = _summary(hit, inside, rows["patient_id"])
    return pointing


def _correct(folder: RunFolder) -> pd.DataFrame:
    cohort = folder.cohort()
    test = cohort[(cohort["split"] == "test") & (cohort["finding"] == COVID)]
    predictions = evaluation.read_predictions(folder.predictions("test"))
    correct = predictions.loc[predictions["predicted_class"] == COVID, "file"]
    return test[test["path"].isin(set(correct))]


def _mask(path: Path) -> BoolArray:
    return np.asarray(Image.open(path)).astype(bool)


def _summary(hit: list[bool], inside: list[float | None], patients: pd.Series) -> PointingMetrics:
    if not hit:
        return PointingMetrics(images=0)
    values, clusters = np.array(hit, np.float64)[:, None], patients.to_numpy(dtype=object)
    (interval,) = Bootstrap().means(values, clusters, proportions=[0])
    shares = [share for share in inside if share is not None]
    return PointingMetrics(
        images=len(hit),
        hits=sum(hit),
        hit_rate=Estimate.of(*interval),
        inside_lungs=float(np.median(shares)) if shares else None,
    )
