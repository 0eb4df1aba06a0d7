"""Cohorts and predictions that suit each other, for the tests of the evaluation."""

import hashlib

import numpy as np
import pandas as pd

from covid_cxr.cohort.schema import COLUMNS
from covid_cxr.evaluation import evaluate, join
from covid_cxr.metrics import Bootstrap
from covid_cxr.results.metrics import SplitUse
from covid_cxr.types import CLASSES, class_of
from support.results import audit, check, finding, run_metrics

SITES = ("north", "south")


def cohort(n=120, *, split="test", sources=("mila", "nih"), seed=0):
    """A valid cohort of `n` images, two a patient; the findings go round."""
    rng = np.random.default_rng(seed)
    number = np.arange(n)
    path = [f"{sources[i % len(sources)]}/{split}{i}.png" for i in number]
    table = pd.DataFrame(
        {
            "image_id": [f"{sources[i % len(sources)]}:{split}{i}" for i in number],
            "path": path,
            "source": [sources[i % len(sources)] for i in number],
            "site": [SITES[i // 4 % 2] for i in number],
            "patient_id": [f"{sources[i % len(sources)]}:{split}{i // 4}" for i in number],
            "finding": [
                ("covid-19", "covid-19", "normal", "pneumonia")[i // 4 % 4] for i in number
            ],
            "raw_finding": "as told",
            "view": rng.choice(["PA", "AP", ""], n),
            "sex": rng.choice(["F", "M", ""], n),
            "age": np.where(number % 5 == 0, np.nan, 20 + number % 70).astype(float),
            "width": 512,
            "height": 480,
            "license": "CC0",
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in path],
            "duplicate_group": "",
            "split": split,
            "exclusion": "",
        }
    )
    return table[list(COLUMNS)]


def predictions(rows, task="binary", *, gain=2.0, seed=0):
    """Scores that read the finding with noise, as `predictions.csv` holds them."""
    rng = np.random.default_rng(seed)
    covid = rows["finding"].eq("covid-19").to_numpy()
    p = 1 / (1 + np.exp(-rng.normal(gain * (covid - 0.5), 1)))
    table = pd.DataFrame({"file": rows["path"].to_numpy(), "status": "ok"})
    rest = {"binary": (1.0,), "multiclass": (0.7, 0.3)}[task]
    for name, column in zip(CLASSES[task], [*(s * (1 - p) for s in rest), p], strict=True):
        table[f"probability_{name}"] = column
    return table


def prevalence(rows, task="binary"):
    """Each class's share of the rows."""
    found = (
        rows["finding"].map(lambda finding: class_of(finding, task)).value_counts(normalize=True)
    )
    return {name: float(found.get(name, 0.0)) for name in CLASSES[task]}


def awkward():
    """A cohort whose sources have awkward names, in train and test."""
    names = ("<b>mila</b>", "nih")
    parts = [cohort(60, split=split, sources=names) for split in ("train", "test")]
    return pd.concat(parts, ignore_index=True)


def metrics():
    """`metrics.json` of a run on `awkward`, its test split measured."""
    test = awkward().query("split == 'test'")
    measured = evaluate(
        join(predictions(test), test),
        task="binary",
        threshold=0.5,
        prevalence={"non-covid-19": 0.5, "covid-19": 0.5},
        bootstrap=Bootstrap(100, 1),
    )
    return run_metrics(
        command="covid-cxr run c.yaml --data DATA && echo '<script>'",
        splits={"test": measured},
        test_evaluations=(SplitUse(time="2025-01-01 00:00 UTC", bundle="abc123"),),
    )


AUDIT = audit(
    check(sentence="It can: 0.93 <b>.", findings=(finding(sentence="It can: 0.93 <b>."),)),
    check(
        name="size",
        number=12,
        title="Size",
        verdict="info",
        sentence="Few patients.",
        findings=(
            finding(verdict="info", sentence="Few.", value=None, low=None, high=None, bound=None),
        ),
    ),
)
