"""Does an explanation depend on how labels and films belong together?

Label randomisation (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018): one network
learns the true labels of some films by heart, another the same labels dealt out anew; a method
whose maps of both are alike explains films, not what was learned. To train the run's own network
anew would take as long as the run did, so a small one stands in for it: the check is of methods.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import explain
from covid_cxr.config import AugmentConfig, RunConfig, TrainingConfig
from covid_cxr.errors import InputError
from covid_cxr.explain.measures.sanity import likeness
from covid_cxr.explanation_benchmark.methods import Variant
from covid_cxr.explanation_benchmark.settings import Settings
from covid_cxr.explanation_benchmark.summary import scored
from covid_cxr.files import atomic_write
from covid_cxr.inference.runtime import Runtime
from covid_cxr.models import bundle
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.types import COVID, Explanation, FloatArray

NAME = "labels"
_EDGE = 96  # pixels; six cells a side at stride 16
_FILMS = 48  # learned by heart, half of them with COVID-19
_EPOCHS = 15
_EXPLAINED = 8


class _Networks(NamedTuple):
    """Both networks on the films (N, 1, S, S) they have learned, and how well: accuracies."""

    films: FloatArray
    rows: pd.DataFrame
    true: Runtime
    permuted: Runtime
    accuracy: dict[str, float]


def label_randomisation(
    folder: RunFolder,
    data_root: Path,
    out: Path,
    settings: Settings,
) -> dict[str, Any]:
    """Return how alike the methods' maps are for networks of true and of permuted labels.

    Networks and answer are kept in `out/labels/`; under the same settings they are not made again.
    Lungs are not looked for: superpixels that follow them are plain SLIC here.

    Returns:
        `films`, `accuracy` of both networks on what they learned by heart (the check says little
        where it is not near 1) and `methods` (method -> `spearman`, `spearman_strength`, `ssim`,
        each with its interval over patients).
    """
    names = [variant.name for variant in settings.methods]
    key = {"methods": names, "samples": settings.samples, "seed": settings.seed}
    file = out / NAME / "found.json"
    if file.exists() and (known := json.loads(file.read_text("utf-8")))["key"] == key:
        found: dict[str, Any] = known["found"]
        return found
    networks = _networks(folder, data_root, out / NAME, settings.seed)
    chosen = np.flatnonzero(networks.rows["finding"] == COVID)[:_EXPLAINED].tolist()
    patients = networks.rows["patient_id"].iloc[chosen].tolist()
    methods = {}
    for variant in settings.methods:
        try:
            alike = [_alike(networks, place, variant, settings) for place in chosen]
        except InputError:  # the stand-in cannot be explained by it; the table leaves it out
            continue
        columns = list(alike[0])
        values = np.array([[each[column] for column in columns] for each in alike])
        intervals = settings.bootstrap.means(values, patients)
        methods[variant.name] = {
            name: scored(interval, len(chosen))
            for name, interval in zip(columns, intervals, strict=True)
        }
    found = {"films": len(chosen), "accuracy": networks.accuracy, "methods": methods}
    atomic_write(file, json.dumps({"key": key, "found": found}, indent=2, allow_nan=False) + "\n")
    return found


def stand_in(seed: int) -> RunConfig:
    """Return the recipe by which a small network learns a few films by heart."""
    config = RunConfig(
        name="stand-in",
        model="efficientnet-lite0-stride16",
        seed=seed,
        augment=AugmentConfig(rotation=0),
        training=TrainingConfig(
            batch_size=8,
            max_epochs=_EPOCHS,
            patience=_EPOCHS,
            schedule="cosine",
            imbalance="none",
        ),
    )
    return config.model_copy(
        update={"preprocess": config.preprocess.model_copy(update={"size": _EDGE})}
    )


def draw(cohort: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return train and val rows to learn by heart: as many with COVID-19 as without."""
    rows = cohort[cohort["split"].isin(("train", "val"))].sample(frac=1, random_state=seed)
    covid = rows["finding"] == COVID
    half = min(_FILMS // 2, int(covid.sum()), int((~covid).sum()))
    return pd.concat([rows[covid].head(half), rows[~covid].head(half)]).reset_index(drop=True)


def _networks(folder: RunFolder, data_root: Path, out: Path, seed: int) -> _Networks:
    from covid_cxr.training.inputs import class_numbers, preprocess_cohort

    config, rows = stand_in(seed), draw(folder.cohort(), seed)
    out = out / f"seed-{seed}"
    films = preprocess_cohort(rows, data_root, config.preprocess, out / "inputs.npy")
    labels = class_numbers(rows, config.task)
    dealt = np.random.default_rng(seed).permutation(labels)
    shown = np.asarray(films, np.float32)
    made, accuracy = {}, {}
    for name, learned in (("true", labels), ("permuted", dealt)):
        runtime = _learn(config, rows, films, learned, out=out / name)
        answer = runtime.probabilities(shown).argmax(axis=1)
        made[name], accuracy[name] = runtime, float((answer == learned).mean())
    (out / "inputs.npy").unlink()
    return _Networks(shown, rows, made["true"], made["permuted"], accuracy)


def _learn(
    config: RunConfig,
    rows: pd.DataFrame,
    films: NDArray[np.float16],
    labels: NDArray[np.intp],
    *,
    out: Path,
) -> Runtime:
    """Train on all films and stop on them too: they are to be learned by heart."""
    if (out / "bundle" / bundle.MANIFEST).exists():
        return Runtime(bundle.load(out / "bundle"))
    from covid_cxr.training.datamodule import TrainingData
    from covid_cxr.training.experiment import fit
    from covid_cxr.training.export import export

    everyone = np.arange(len(rows))
    data = TrainingData(films, labels, everyone, everyone)
    trained = fit(config, data, out / "training", f"learning {out.name} labels")
    made = export(trained.network, config, rows, out / "bundle", "covid-cxr explain-eval")
    shutil.rmtree(out / "training")
    return Runtime(made)


def _alike(
    networks: _Networks, place: int, variant: Variant, settings: Settings
) -> dict[str, float]:
    options = variant.options(samples=settings.samples, seed=settings.seed)

    def explained(model: Runtime) -> Explanation:
        return explain.get(variant.method)(networks.films[place], model, COVID, options)

    return likeness(explained(networks.true).attribution, explained(networks.permuted).attribution)
