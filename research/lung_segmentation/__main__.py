"""`python -m research.lung_segmentation`: train the lung network and measure it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from covid_cxr.cohort import schema
from research import command
from research.lung_segmentation.experiment import Settings, train_lungs

_DESCRIPTION = """Train the lung network on masks that radiologists drew. It is measured out of
fold, then trained on all; folds that are done are not repeated."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    options = command.parser("research.lung_segmentation", _DESCRIPTION)
    options.add_argument("--folds", type=int, default=5, help="folds, to measure on")
    options.add_argument("--epochs", type=int, default=60, help="passes over all radiographs")
    return command.run(options, _train, arguments)


def _train(given: Namespace, words: str) -> Mapping[str, Any]:
    settings = Settings(epochs=given.epochs, folds=given.folds, seed=given.seed)
    cohort = schema.load(given.cohort)
    metrics = train_lungs(cohort, given.data, given.out, settings, command=words)
    low, high = metrics["dice_interval"]
    print(
        f"Dice of {metrics['radiographs']} radiographs out of fold: {metrics['dice']:.3f} "
        f"({low:.3f}-{high:.3f}), 5th percentile {metrics['dice_5th_percentile']:.3f}",
        file=sys.stderr,
    )
    return metrics


if __name__ == "__main__":
    sys.exit(main())
