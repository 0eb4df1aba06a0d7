"""What choosing among recipes is worth: the choice made anew without each left-out site or source.

    python benchmarks/nested.py default --cohort cohort/cohort.csv --data DATA \\
        --recipe training.ridge_alpha=1 --recipe training.ridge_alpha=4

For every task of `cross-validate --leave-out both` the recipes (the config with the settings of one
`--recipe`, separated by spaces) compete by the same protocol on the task's own training rows; the
winner is fitted to all of those and scored on what was left out. The best recipe's own score under
the protocol is flattered by the choice; this one is not. Tasks whose training rows leave nothing to
choose by are left out of both. Scores are brought to one scale, the deviation of a fit's own
training scores, so that recipes can stand in one comparison. Recipes are in closed form and differ
in `training.*` alone, so that features are computed once. Train and validation rows only.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.cohort.splits.hold_out import HoldOut, hold_outs
from covid_cxr.errors import CohortError, ConfigError
from covid_cxr.results import HoldOutValidation
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.hold_out_validation import score_table, summarise
from covid_cxr.training.linear_probe import fit_linear_probe
from covid_cxr.training.run import development_rows, label_weights, load_training_data, log_odds

KINDS = ("objective", "within", "across")
Recipes = dict[str, tuple[Any, TrainingData]]


def scores(config: Any, data: TrainingData, rows: pd.DataFrame, task: HoldOut) -> pd.DataFrame:
    """Return what a recipe fitted to a task's training rows gives to its scored rows, scaled."""
    train, scored = np.flatnonzero(task.train), np.flatnonzero(task.scored)
    own = replace(data, train=train, val=train)
    fitted = fit_linear_probe(config, own)
    return score_table(
        rows, task, log_odds(fitted, own, scored) / log_odds(fitted, own, train).std()
    )


def under_protocol(
    config: Any, data: TrainingData, rows: pd.DataFrame, chosen: list[HoldOut]
) -> dict[str, float]:
    parts = [scores(config, data, rows, task) for task in chosen]
    return by_kind(summarise(pd.concat(parts, ignore_index=True), rows))


def by_kind(scores: HoldOutValidation) -> dict[str, float]:
    means = {kind: getattr(scores, kind) for kind in KINDS}
    return {kind: mean for kind, mean in means.items() if mean is not None}


def inside(data: TrainingData, kept: NDArray[np.int64]) -> TrainingData:
    """Return the part of some rows alone, numbered anew."""
    assert data.features is not None
    return replace(
        data,
        inputs=data.inputs[kept],
        labels=data.labels[kept],
        sources=None if data.sources is None else data.sources[kept],
        label_weights=None if data.label_weights is None else data.label_weights[kept],
        features=data.features[:, kept],
    )


def with_choice(rows: pd.DataFrame) -> list[tuple[HoldOut, list[HoldOut]]]:
    """Return the tasks with those that their training rows allow, where there are any."""
    choices = []
    for task in hold_outs(rows):
        try:
            inner = hold_outs(rows[task.train].reset_index(drop=True))
        except CohortError:
            print(f"{task.name}, {task.part}: nothing to choose by, left out")
        else:
            choices.append((task, inner))
    return choices


def winner(recipes: Recipes, rows: pd.DataFrame, task: HoldOut, inner: list[HoldOut]) -> str:
    """Return the recipe with the highest objective on a task's training rows."""
    kept = np.flatnonzero(task.train)
    own = rows.iloc[kept].reset_index(drop=True)
    objectives = {
        name: under_protocol(config, inside(data, kept), own, inner)["objective"]
        for name, (config, data) in recipes.items()
    }
    return max(objectives, key=objectives.__getitem__)


def nested(
    recipes: Recipes, rows: pd.DataFrame, choices: list[tuple[HoldOut, list[HoldOut]]]
) -> tuple[dict[str, float], Counter[str]]:
    """Return the protocol's numbers of recipes chosen without what they are scored on."""
    parts, winners = [], Counter[str]()
    for task, inner in choices:
        name = winner(recipes, rows, task, inner)
        print(f"{task.name}, {task.part}: {name}", flush=True)
        winners[name] += 1
        parts.append(scores(*recipes[name], rows, task))
    return by_kind(summarise(pd.concat(parts, ignore_index=True), rows)), winners


def build(given: argparse.Namespace, folder: Path) -> tuple[Recipes, pd.DataFrame]:
    """Return the recipes, each with its inputs and features, and their rows."""
    rows = development_rows(schema.load(given.cohort))
    base = configuration.load(given.config, [])
    data = load_training_data(base, rows, given.data, folder)
    recipes: Recipes = {}
    for text in given.recipe:
        config = configuration.load(given.config, text.split())
        if config.training.method != "linear-probe" or any(
            getattr(config, name) != getattr(base, name) for name in ("preprocess", "augment")
        ):
            raise ConfigError(f"recipe '{text}' is no linear probe, or changes the inputs")
        recipes[text] = config, replace(data, label_weights=label_weights(config, rows))
    return recipes, rows


def line(name: str, scores: dict[str, float]) -> str:
    return f"| {name} | {' | '.join(f'{scores[kind]:.3f}' for kind in KINDS if kind in scores)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", action="append", required=True, help="settings, as for -s")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        recipes, rows = build(given, Path(folder))
        choices = with_choice(rows)
        outer = [task for task, _ in choices]
        alone = {name: under_protocol(*recipe, rows, outer) for name, recipe in recipes.items()}
        chosen, winners = nested(recipes, rows, choices)
    print("| recipe | objective | within | across |\n| --- | --- | --- | --- |")
    for name, numbers in alone.items():
        print(line(name, numbers))
    print(line("chosen without what is scored", chosen))
    if given.json:
        print(json.dumps({"recipes": alone, "nested": chosen, "winners": winners}))


if __name__ == "__main__":
    main()
