"""Run folders with a cohort and predictions only, for the tests of the comparison."""

from pathlib import Path

import numpy as np
import pandas as pd

from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.config import EvaluationConfig, RunConfig


def cohort(images=60, split="test", seed=0):
    rng = np.random.default_rng(seed)
    number = np.arange(images)
    event = number % 3 == 0
    return pd.DataFrame(
        {
            "image_id": [f"i{n:03d}" for n in number],
            "path": [f"films/{n}.png" for n in number],
            "source": np.where(number < 2 * images // 3, "mixed", "plain"),
            "site": "here",
            "patient_id": [f"p{n // 2}" for n in number],
            "finding": np.where(event & (number < 2 * images // 3), "covid-19", "pneumonia"),
            "raw_finding": "",
            "view": "PA",
            "sex": "",
            "age": rng.integers(20, 90, images).astype(float),
            "width": 64,
            "height": 64,
            "license": "",
            "sha256": [f"{n:064x}" for n in number],
            "duplicate_group": "",
            "split": split,
            "exclusion": "",
        }
    )[list(schema.COLUMNS)]


def make_run(path: Path, rows, scores, *, threshold=0.5, split="test", task="binary", status="ok"):
    config = RunConfig(task=task, evaluation=EvaluationConfig(bootstrap=150), seed=5)
    path.mkdir(parents=True)
    (path / "config.json").write_text(configuration.dump(config))
    schema.save(rows, path / "cohort.csv")
    rest = {"binary": ["non-covid-19"], "multiclass": ["normal", "pneumonia"]}[task]
    table = pd.DataFrame({"file": rows["path"], "status": status})
    for name in rest:
        table[f"probability_{name}"] = (1 - scores) / len(rest)
    table["probability_covid-19"] = scores
    table["threshold"] = threshold
    table["model"] = f"bundle-{path.name}"
    table.to_csv(path / f"predictions-{split}.csv", index=False)
    return path


def noisy(rows, amount, seed):
    truth = (rows["finding"] == "covid-19").to_numpy()
    rng = np.random.default_rng(seed)
    return np.round(1 / (1 + np.exp(-(2 * truth - 1 + amount * rng.normal(0, 1, truth.size)))), 6)


def two_runs(folder: Path):
    """Two runs on the same cohort, the first far better than the second."""
    rows = cohort()
    better = make_run(folder / "a" / "run", rows, noisy(rows, 0.6, 1), threshold=0.4)
    worse = make_run(folder / "b" / "run", rows, noisy(rows, 3.0, 2), threshold=0.6)
    return [better, worse]
