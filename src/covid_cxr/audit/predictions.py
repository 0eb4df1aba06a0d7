"""The predictions of the audited model, on validation rows and out of fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import AuditContext
from covid_cxr.evaluation.predictions import read_predictions
from covid_cxr.metrics.scores import Array
from covid_cxr.types import COVID


class ScoredRows(NamedTuple):
    """Scores (n,) of rows (n,) of the context, and how sentences name the model behind them."""

    name: str
    subject: str
    rows: NDArray[np.intp]
    scores: Array


_FILES = {
    "predictions-oof.csv": ("recipe out of fold", "The run's own recipe, out of fold,"),
    "predictions-val.csv": ("model on validation", "The run's model, on validation images,"),
}


def run_predictions(context: AuditContext) -> list[ScoredRows]:
    """Return the run's probabilities of COVID-19, of each file that holds both classes."""
    number = {path: row for row, path in enumerate(context.rows["path"])}
    predictions = []
    for file, (name, subject) in _FILES.items():
        if not (context.run / file).exists():
            continue
        table = read_predictions(context.run / file)
        table = table[(table["status"] == "ok") & table["file"].isin(number)]
        rows = table["file"].map(number).to_numpy(dtype=np.intp)
        events = context.events[rows]
        if events.any() and not events.all():
            scores = table[f"probability_{COVID}"].to_numpy(dtype=np.float64)
            predictions.append(ScoredRows(name, subject, rows, scores))
    return predictions
