"""Learning curves of a linear probe: over the number of images and over sources.

    python benchmarks/learning.py default --cohort cohort/cohort.csv --data DATA

The protocol of `cross-validate --leave-out both` on train and validation rows, trained on a share
of the patients (means and ranges over draws) or on some of the sources (95 % intervals within a
source). "without mila" is scored on images of a source that was not trained on. Prints tables
for the lab book (research/lab_book.md) and, with --json, one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.cohort.splits.grouped import components
from covid_cxr.cohort.splits.hold_out import hold_outs
from covid_cxr.errors import ConfigError
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.hold_out_validation import score_table, summarise
from covid_cxr.training.linear_probe import fit_linear_probe
from covid_cxr.training.run import development_rows, load_training_data, log_odds

SHARES = (0.25, 0.5, 0.75, 1.0)
KEYS = ("objective", "within", "across")
_FEWEST = 5  # of either kind, to be trained on


class Bench:
    """A recipe, its inputs and what the protocol holds out."""

    def __init__(self, config: Any, rows: pd.DataFrame, data: TrainingData) -> None:
        self.config, self.rows, self.data = config, rows, data
        self.tasks = hold_outs(rows)
        self.patients = components(rows).to_numpy()

    def objective(self, kept: NDArray[np.bool_]) -> dict[str, float] | None:
        """Return the protocol's numbers of trainings on the kept rows (N,) alone."""
        parts = []
        for task in self.tasks:
            train = np.flatnonzero(task.train & kept)
            if np.bincount(self.data.labels[train], minlength=2).min() < _FEWEST:
                continue
            scored = np.flatnonzero(task.scored)
            own = replace(self.data, train=train, val=train)
            odds = log_odds(fit_linear_probe(self.config, own), own, scored)
            parts.append(score_table(self.rows, task, odds))
        if not parts:
            return None
        result = summarise(pd.concat(parts, ignore_index=True), self.rows)
        means = {key: getattr(result, key) for key in KEYS}
        numbers: dict[str, float] = {key: mean for key, mean in means.items() if mean is not None}
        inside = [own.auroc for own in result.comparisons.values() if own.kind == "within"]
        if len(inside) == 1:
            numbers |= {end: getattr(inside[0], end) for end in ("low", "high")}
        return numbers

    def by_share(self, samples: int) -> Iterator[tuple[str, list[dict[str, float]]]]:
        rng = np.random.default_rng(self.config.seed)
        everybody = np.unique(self.patients)
        for share in SHARES:
            curves = []
            for _ in range(samples if share < 1 else 1):
                chosen = rng.choice(everybody, round(share * len(everybody)), replace=False)
                if numbers := self.objective(np.isin(self.patients, chosen)):
                    curves.append(numbers)
            yield f"{share:.0%} of the patients", curves

    def by_source(self) -> Iterator[tuple[str, list[dict[str, float]]]]:
        source = self.rows["source"].to_numpy(str)
        for name in np.unique(source):
            if numbers := self.objective(source != name):
                yield f"without {name}", [numbers]


def line(name: str, samples: list[dict[str, float]]) -> str:
    """Return a row: means and ranges of draws; of a single one, the 95 % interval within."""
    cells = []
    for key in KEYS:
        values = [sample[key] for sample in samples if key in sample]
        ends = (min(values), max(values)) if len(values) > 1 else None
        if key == "within" and len(samples) == 1 and "low" in samples[0]:
            ends = (samples[0]["low"], samples[0]["high"])
        spread = f" ({ends[0]:.3f}-{ends[1]:.3f})" if ends else ""
        cells.append(f"{np.mean(values):.3f}{spread}" if values else "-")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    config = configuration.load(given.config, [])
    if config.training.method != "linear-probe":
        raise ConfigError(f"'{given.config}' trains by gradient; expected method linear-probe")
    rows = development_rows(schema.load(given.cohort))
    with TemporaryDirectory() as folder:
        bench = Bench(config, rows, load_training_data(config, rows, given.data, Path(folder)))
    print("| trained on | objective | within | across |\n| --- | --- | --- | --- |")
    results = {}
    for name, samples in (*bench.by_share(given.draws), *bench.by_source()):
        print(line(name, samples), flush=True)
        results[name] = samples
    if given.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
