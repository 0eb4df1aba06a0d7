"""Predictions of a batch, as its table has them."""

from pathlib import Path
from typing import Any

from covid_cxr.inference.batch import predict_to
from covid_cxr.inference.predictions_csv import read_table
from covid_cxr.types import Prediction


def predicted(*arguments: Any, **options: Any) -> list[Prediction]:
    """Return the rows of the table that `predict_to` writes."""
    return list(read_table(predict_to(*arguments, **options)))


def pictures(out: Path) -> list[str]:
    """Return the names of all files below `explanations/`."""
    return sorted(path.name for path in (out / "explanations").iterdir())
