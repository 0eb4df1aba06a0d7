"""The most confident errors, which say more of how a model works than its successes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_cxr.evaluation.predictions import cases
from covid_cxr.types import Task

MISSED, FALSE_ALARM = "missed", "false alarm"


def most_confident(table: pd.DataFrame, task: Task, threshold: float, most: int) -> pd.DataFrame:
    """Return the answered images about which the model is most confident and wrong.

    An error is COVID-19 below the threshold (missed), or another finding at or above it (a false
    alarm). The most confident misses have the lowest probability of COVID-19, the most confident
    false alarms the highest. There are up to half of `most`, rounded up, of either kind.

    Args:
        table: what `predictions.join` returned.
        task: binary or multiclass; the event is COVID-19 in both.
        threshold: on the probability of COVID-19.
        most: maximum number of rows.

    Returns:
        `file, source, finding, kind, probability` (of COVID-19), the most confident first of each
        kind, misses before false alarms.
    """
    predicted = cases(table, task)
    ok = table[table["status"] == "ok"]
    errors = pd.DataFrame(
        {
            "file": ok["file"].to_numpy(),
            "source": predicted.sources,
            "finding": ok["finding"].to_numpy(),
            "kind": np.where(predicted.events, MISSED, FALSE_ALARM),
            "probability": predicted.scores,
        }
    )[predicted.events != (predicted.scores >= threshold)]
    half = (most + 1) // 2
    missed = errors[errors["kind"] == MISSED].sort_values(["probability", "file"]).head(half)
    alarms = errors[errors["kind"] == FALSE_ALARM].sort_values(
        ["probability", "file"], ascending=[False, True]
    )
    return pd.concat([missed, alarms.head(half)]).head(most).reset_index(drop=True)
