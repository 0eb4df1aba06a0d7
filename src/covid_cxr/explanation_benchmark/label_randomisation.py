"""Does an explanation depend on the relation between labels and images?

Label randomisation (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018): one network
memorises the true labels of some images, another the same labels permuted; a method whose maps of
both are similar explains images, not what was learned. Training the run's own network anew would
take as long as the run did, so a small one stands in for it: the check is of methods.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import explain
from covid_cxr.config import AugmentConfig, RunConfig, TrainingConfig
from covid_cxr.errors import InputError
from covid_cxr.explain.measures.sanity import similarity
from covid_cxr.explanation_benchmark.settings import MethodSpec, Settings
from covid_cxr.explanation_benchmark.summary import scores
from covid_cxr.inference.runtime import Runtime
from covid_cxr.models import bundle
from covid_cxr.models.manifest import MANIFEST
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.results.estimates import ResultFile
from covid_cxr.results.explanation_benchmark import LabelRandomisation, Measures
from covid_cxr.types import COVID, Explanation, FloatArray

NAME = "labels"
_EDGE = 96  # pixels; six cells a side at stride 16
_IMAGES = 48  # memorised, half of them with COVID-19
_EPOCHS = 15
_EXPLAINED = 8

_Labels = Literal["true", "permuted"]


class _Saved(ResultFile):
    """The result on disk, and the settings it was made under."""

    methods: tuple[str, ...]
    samples: int
    seed: int
    result: LabelRandomisation


class _Networks(NamedTuple):
    """Both networks, the inputs (N, 1, S, S) they have memorised, and how well: accuracies."""

    inputs: FloatArray
    rows: pd.DataFrame
    learned: dict[_Labels, Runtime]
    accuracy: dict[_Labels, float]


def label_randomisation(
    folder: RunFolder,
    data_root: Path,
    out: Path,
    settings: Settings,
) -> LabelRandomisation:
    """Return the similarity of the methods' maps for networks of true and of permuted labels.

    Networks and result are kept in `out/labels/`; under the same settings they are not made again.
    Lungs are not segmented: superpixels that follow them are plain SLIC here. The measures of a
    method are `spearman`, `spearman_strength` and `ssim`.
    """
    names = tuple(method.name for method in settings.methods)
    file = out / NAME / "result.json"
    if file.exists():
        saved = _Saved.read(file)
        if (saved.methods, saved.samples, saved.seed) == (names, settings.samples, settings.seed):
            return saved.result
    networks = _networks(folder, data_root, out / NAME, settings.seed)
    covid = np.flatnonzero(networks.rows["finding"] == COVID)[:_EXPLAINED].tolist()
    methods: dict[str, Measures] = {}
    for method in settings.methods:
        try:
            methods[method.name] = _measure(networks, covid, method, settings)
        except InputError:  # the stand-in cannot be explained by it; the table leaves it out
            continue
    result = LabelRandomisation(images=len(covid), accuracy=networks.accuracy, methods=methods)
    _Saved(methods=names, samples=settings.samples, seed=settings.seed, result=result).write(file)
    return result


def stand_in(seed: int) -> RunConfig:
    """Return the recipe by which a small network memorises a few images."""
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


def sample(cohort: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return train and val rows to memorise: as many with COVID-19 as without."""
    rows = cohort[cohort["split"].isin(("train", "val"))].sample(frac=1, random_state=seed)
    covid = rows["finding"] == COVID
    half = min(_IMAGES // 2, int(covid.sum()), int((~covid).sum()))
    return pd.concat([rows[covid].head(half), rows[~covid].head(half)]).reset_index(drop=True)


def _networks(folder: RunFolder, data_root: Path, out: Path, seed: int) -> _Networks:
    from covid_cxr.training.inputs import class_numbers, preprocess_cohort

    config, rows = stand_in(seed), sample(folder.cohort(), seed)
    out = out / f"seed-{seed}"
    inputs, _ = preprocess_cohort(rows, data_root, config.preprocess, out / "inputs.npy")
    true = class_numbers(rows, config.task)
    permuted = np.random.default_rng(seed).permutation(true)
    images = np.asarray(inputs, np.float32)
    labels: dict[_Labels, NDArray[np.intp]] = {"true": true, "permuted": permuted}
    learned = {
        name: _learn(config, rows, inputs, numbers, out=out / name)
        for name, numbers in labels.items()
    }
    accuracy = {
        name: float(np.mean(model.probabilities(images).argmax(axis=1) == labels[name]))
        for name, model in learned.items()
    }
    (out / "inputs.npy").unlink()
    return _Networks(images, rows, learned, accuracy)


def _learn(
    config: RunConfig,
    rows: pd.DataFrame,
    inputs: NDArray[np.float16],
    labels: NDArray[np.intp],
    *,
    out: Path,
) -> Runtime:
    """Train on all images and stop on them too: they are to be memorised."""
    if (out / "bundle" / MANIFEST).exists():
        return Runtime(bundle.load(out / "bundle"))
    from covid_cxr.training.datamodule import TrainingData
    from covid_cxr.training.experiment import fit
    from covid_cxr.training.export import export

    everyone = np.arange(len(rows))
    data = TrainingData(inputs, labels, everyone, everyone)
    trained = fit(config, data, out / "training", f"learning {out.name} labels")
    made = export(trained.network, config, rows, out / "bundle", "covid-cxr explain-eval")
    shutil.rmtree(out / "training")
    return Runtime(made)


def _measure(
    networks: _Networks, chosen: Sequence[int], method: MethodSpec, settings: Settings
) -> Measures:
    own = method.settings(samples=settings.samples, seed=settings.seed)

    def explained(index: int, model: Runtime) -> Explanation:
        return explain.get(method.method)(networks.inputs[index], model, COVID, own)

    similarities = pd.DataFrame(
        similarity(
            explained(index, networks.learned["true"]).attribution,
            explained(index, networks.learned["permuted"]).attribution,
        )
        for index in chosen
    )
    columns = {str(name): similarities[name].to_numpy(np.float64) for name in similarities}
    patients = networks.rows["patient_id"].iloc[list(chosen)].tolist()
    return dict(scores(columns, patients, settings.bootstrap))
