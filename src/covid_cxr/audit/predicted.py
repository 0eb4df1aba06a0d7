"""The audited model's own answers: on validation rows and, where the run has them, out of fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import Material
from covid_cxr.evaluation.predictions import read_predictions
from covid_cxr.metrics.scores import Array
from covid_cxr.types import COVID


class Answers(NamedTuple):
    """Probabilities of COVID-19 (n,) of rows (n,) of the material."""

    name: str
    who: str
    rows: NDArray[np.intp]
    scores: Array


_FILES = {
    "predictions-oof.csv": ("recipe out of fold", "The run's own recipe, out of fold,"),
    "predictions-val.csv": ("model on validation", "The run's model, on validation films,"),
}


def answers(material: Material) -> list[Answers]:
    """Return what the run has predicted of the material's rows; a file with both classes each."""
    place = {path: row for row, path in enumerate(material.rows["path"])}
    found = []
    for file, (name, who) in _FILES.items():
        if not (material.run / file).exists():
            continue
        table = read_predictions(material.run / file)
        table = table[(table["status"] == "ok") & table["file"].isin(place)]
        rows = table["file"].map(place).to_numpy(dtype=np.intp)
        events = material.events[rows]
        if events.any() and not events.all():
            scores = table[f"probability_{COVID}"].to_numpy(dtype=np.float64)
            found.append(Answers(name, who, rows, scores))
    return found
