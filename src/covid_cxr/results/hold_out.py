"""What `hold-out.json` holds: a recipe scored on sources and sites left out of its training."""

from __future__ import annotations

from typing import Literal

from covid_cxr.results.estimates import Estimate, Record, ResultFile

HOLD_OUT = "hold-out.json"


class SeedsAuroc(Estimate):
    """AUROC of the mean score, and of each seed's training."""

    seeds: tuple[float | None, ...]


class HoldOutComparison(Record):
    """The scores of one hold-out, pooled and with the view position held fixed."""

    kind: Literal["within", "across"]
    n: int
    events: int
    auroc: SeedsAuroc
    view_alone: Estimate
    within_ap: Estimate
    within_pa: Estimate


class HoldOutValidation(ResultFile):
    """`hold-out.json`: the mean AUROC within and across sources, and their mean, the objective."""

    objective: float
    within: float | None = None
    across: float | None = None
    comparisons: dict[str, HoldOutComparison]
