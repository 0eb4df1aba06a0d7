"""The errors a model is surest of, which say more of how it works than its successes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_cxr.evaluation.predictions import cases
from covid_cxr.types import Task

MISSED, ALARM = "missed", "false alarm"


def most_confident(table: pd.DataFrame, task: Task, threshold: float, most: int) -> pd.DataFrame:
    """Return the answered images about which the model is surest and wrong.

    An error is COVID-19 below the threshold (missed), or another finding from it on (a false
    alarm). The surest misses have the lowest probability of COVID-19, the surest false alarms the
    highest. Both kinds have as many as there are, up to half of `most`, rounded up.

    Args:
        table: what `tables.join` returned.
        task: binary or multiclass; the event is COVID-19 in both.
        threshold: on the probability of COVID-19.
        most: rows at most.

    Returns:
        `file, source, finding, kind, probability` (of COVID-19), the surest first of each kind,
        misses before false alarms.
    """
    found = cases(table, task)
    ok = table[table["status"] == "ok"]
    errors = pd.DataFrame(
        {
            "file": ok["file"].to_numpy(),
            "source": found.sources,
            "finding": ok["finding"].to_numpy(),
            "kind": np.where(found.events, MISSED, ALARM),
            "probability": found.scores,
        }
    )[found.events != (found.scores >= threshold)]
    half = (most + 1) // 2
    missed = errors[errors["kind"] == MISSED].sort_values(["probability", "file"]).head(half)
    alarms = errors[errors["kind"] == ALARM].sort_values(
        ["probability", "file"], ascending=[False, True]
    )
    return pd.concat([missed, alarms.head(half)]).head(most).reset_index(drop=True)
