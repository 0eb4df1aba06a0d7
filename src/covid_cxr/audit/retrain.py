"""The full budget: the run's own network trained anew, small, on films that were changed.

Six tenths of the patients train, one tenth stops, three tenths are scored. Films are smaller and
epochs fewer than in the run, so that four views and three seeds fit into minutes: what scores well
here would score no worse with the whole recipe. Scores are kept in the run's folder `audit`, and a
killed training goes on where it was.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import imaging
from covid_cxr.audit.context import Material
from covid_cxr.cohort.splits.grouped import components, grouped_folds
from covid_cxr.config import AuditConfig, PreprocessSpec, RunConfig
from covid_cxr.files import atomic_write, sha256_of
from covid_cxr.metrics.scores import Array

FOLDER = "audit"
_TENTHS = 10
_SCORED, _STOPPING = (0, 1, 2), 3
_BATCH = 64


def retrained(
    material: Material, view: str, rows: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.intp], Array]:
    """Return the rows (n,) that were scored and their scores (n,), by a network trained on others.

    Args:
        material: of the audit.
        view: a name in `regions.VIEWS`.
        rows: to train on and score.
        seed: added to the run's.
    """
    config = small_recipe(material, seed)
    tenth = _tenths(material)[rows]
    scored = rows[np.isin(tenth, _SCORED)]
    kept = material.run / FOLDER / f"{_key(material, config, view)}.csv"
    if kept.exists():
        table = pd.read_csv(kept)
        return scored, table["score"].to_numpy(dtype=np.float64)
    scores = _train(material, config, view, rows, tenth)
    table = pd.DataFrame({"image_id": material.rows["image_id"].iloc[scored], "score": scores})
    atomic_write(kept, table.to_csv(index=False, lineterminator="\n"))
    return scored, scores


def small_recipe(material: Material, seed: int) -> RunConfig:
    """Return the run's recipe with smaller films and fewer epochs, for two classes."""
    config, settings = material.config, material.settings
    # A network whose head is not over pooled features takes films of its own size alone.
    edge = settings.edge if material.bundle.manifest.has_cam else config.preprocess.size
    training = config.training.model_copy(
        update={"max_epochs": settings.epochs, "patience": settings.epochs, "runs": 1}
    )
    return config.model_copy(
        update={
            "task": "binary",
            "seed": config.seed + seed,
            "training": training,
            "preprocess": config.preprocess.model_copy(update={"size": edge}),
            "audit": AuditConfig(),
        }
    )


def _tenths(material: Material) -> NDArray[np.int64]:
    seen = material.cohort["split"].isin(("train", "val"))
    groups = components(material.cohort)[seen].nunique()
    parts = grouped_folds(material.cohort, min(_TENTHS, groups), material.seed)
    return np.asarray(parts[material.rows["row"]], dtype=np.int64)


def _key(material: Material, config: RunConfig, view: str) -> str:
    """Return a name that changes with all that decides the scores."""
    cohort = sha256_of(material.run / "cohort.csv")[:8]
    size, epochs = config.preprocess.size, config.training.max_epochs
    return f"{view.replace(' ', '-')}-{size}px-{epochs}-epochs-seed-{config.seed}-{cohort}"


def _train(
    material: Material,
    config: RunConfig,
    view: str,
    rows: NDArray[np.intp],
    tenth: NDArray[np.int64],
) -> Array:
    from covid_cxr.training.run import fit_recipe, log_odds, training_data

    out = material.run / FOLDER / _key(material, config, view)
    films = _films(material, view, rows, config.preprocess)
    data = replace(
        training_data(config, material.rows.iloc[rows], films),
        labels=material.events[rows].astype(np.int64),
        train=np.flatnonzero(~np.isin(tenth, (*_SCORED, _STOPPING))),
        val=np.flatnonzero(tenth == _STOPPING),
    )
    trained = fit_recipe(config, data, out, f"audit: training on {view}")
    scores = log_odds(trained, data, np.flatnonzero(np.isin(tenth, _SCORED)))
    if out.exists():  # a recipe in closed form leaves nothing to go on with
        shutil.rmtree(out)
    return scores


def _films(
    material: Material, view: str, rows: NDArray[np.intp], spec: PreprocessSpec
) -> NDArray[np.float16]:
    # Views come equalised; brightness and contrast are set anew once they are smaller.
    done = {"remove_markers": False, "lung_margin": None, "equalise": False}
    smaller = spec.model_copy(update=done)
    films = np.empty((len(rows), 1, spec.size, spec.size), np.float16)
    for start in range(0, len(rows), _BATCH):
        shown = material.view(view, rows[start : start + _BATCH])
        for place, film in enumerate(shown, start=start):
            films[place] = imaging.preprocess(film[0], smaller)
    return films
