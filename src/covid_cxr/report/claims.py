"""Whether a run supports what a reader would like to claim of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from covid_cxr.cohort.summary.strata import NOT_STATED
from covid_cxr.evaluation.subgroups import GROUPS
from covid_cxr.results import (
    AuditResult,
    CheckResult,
    Estimate,
    RunMetrics,
    SplitMetrics,
    SubgroupMetrics,
)
from covid_cxr.results.metrics import Grouping

# A pooled AUROC this much above the one inside a source is called out.
_GAP = 0.05
# An interval that reaches this far below the pooled AUROC backs nothing.
_UNCERTAIN = 0.15
# Forecasts this far off on average are not to be taken at face value.
_MOST_ERROR = 0.1
_COMPARED: tuple[Grouping, ...] = ("per_sex", "per_age_band", "per_view", "per_site")


@dataclass(frozen=True)
class Claim:
    """One thing that might be said of a model.

    Attributes:
        supported: whether this run's numbers carry it.
        text: the claim, in words that a clinician understands.
        why: the numbers, or what is missing.
    """

    supported: bool
    text: str
    why: str


@dataclass(frozen=True)
class Backing:
    """How the AUROC inside a source, or inside sites of the only source, fits the pooled one.

    Attributes:
        status: "lower" and "uncertain" are those of the inner score.
        inside: the inner score; None where there is none.
        source: whose score it is; "" for sites.
        sites: number of sites, 0 where sources are compared.
    """

    status: Literal["one source", "one class", "lower", "uncertain", "backed"]
    inside: Estimate | None = None
    source: str = ""
    sites: int = 0


@dataclass(frozen=True)
class GroupComparison:
    """Groups of patients whose AUROC is lower than the pooled one, and those too small to say."""

    total: int
    lower: tuple[str, ...]
    small: tuple[str, ...]


def backing(metrics: RunMetrics, split: SplitMetrics) -> Backing:
    """Return how inner scores agree with the pooled AUROC of a split.

    They are taken from grouped cross-validation (`out_of_fold`) where the run has it, because one
    test split can hold too few patients of a source.
    """
    pooled, measured = split.pooled.auroc.value, metrics.out_of_fold or split
    if len(measured.per_source) > 1:
        two = both_classes(measured.per_source)
        if not two:
            return Backing("one class")
        # The source with the most cases of its rarer class says the most.
        source = max(two, key=lambda name: two[name].rarer)
        inside = two[source].auroc
        return Backing(_agreement(pooled, inside), inside, source)
    within = measured.within.get("per_site")
    sites = sum(name != NOT_STATED for name in measured.per_site)
    if within is None or sites < 2:
        return Backing("one source")
    return Backing(_agreement(pooled, within), within, sites=sites)


def both_classes(groups: Mapping[str, SubgroupMetrics]) -> dict[str, SubgroupMetrics]:
    """Return the groups that have an AUROC."""
    return {name: group for name, group in groups.items() if group.auroc.value is not None}


def compare_groups(split: SplitMetrics) -> GroupComparison:
    """Compare the groups of sex, age, view and site with the pooled AUROC."""
    groups = {
        f"{GROUPS[grouping].lower()} {name}": group
        for grouping in _COMPARED
        for name, group in split.groups(grouping).items()
        if name != NOT_STATED
    }
    pooled = split.pooled.auroc.value
    return GroupComparison(
        total=len(groups),
        lower=tuple(
            f"{name}, AUROC {group.auroc}"
            for name, group in groups.items()
            if not group.is_small and pooled is not None and group.auroc.is_below(pooled)
        ),
        small=tuple(name for name, group in groups.items() if group.is_small),
    )


def miscalibration(split: SplitMetrics) -> list[str]:
    """Return in which ways the probabilities are wrong: extreme, timid, high, low or error."""
    calibration = split.calibration
    if calibration is None:
        return []
    slope, intercept, error = calibration.slope, calibration.intercept, calibration.ece.high
    problems = {
        "extreme": slope.is_below(1),
        "timid": slope.is_above(1),
        "high": intercept.is_below(0),
        "low": intercept.is_above(0),
    }
    named = [name for name, is_so in problems.items() if is_so]
    return named or ["error"] * (error is not None and error > _MOST_ERROR)


def supported(
    metrics: RunMetrics, split: SplitMetrics, audit: AuditResult | None
) -> Iterator[tuple[str, bool]]:
    """Yield each claim's name and whether the run supports it, in reading order."""
    auroc, calibration, groups = split.pooled.auroc, split.calibration, compare_groups(split)
    yield "ranks", not split.is_small and auroc.is_above(0.5)
    is_backed = backing(metrics, split).status == "backed"
    is_audited = audit is not None and all(
        check.verdict not in ("fail", "not made") for check in audit.checks
    )
    yield "reads_disease", is_backed and is_audited
    measured = calibration is not None and None not in (
        *(calibration.slope.value, calibration.slope.low),
        *(calibration.intercept.low, calibration.ece.high),
    )
    yield "calibrated", measured and not miscalibration(split)
    comparable = bool(groups.total) and auroc.value is not None
    yield "fair", comparable and not groups.lower and not groups.small
    yield "elsewhere", _holds_elsewhere(metrics, split)
    yield "for_patients", False


def failed_checks(audit: AuditResult | None) -> list[CheckResult]:
    """Return the checks of an audit that fail."""
    return [check for check in audit.checks if check.verdict == "fail"] if audit else []


def _agreement(pooled: float | None, inside: Estimate) -> Literal["lower", "uncertain", "backed"]:
    if pooled is None or inside.value is None or pooled - inside.value > _GAP:
        return "lower"
    is_uncertain = inside.low is None or pooled - inside.low > _UNCERTAIN
    return "uncertain" if is_uncertain else "backed"


def _holds_elsewhere(metrics: RunMetrics, split: SplitMetrics) -> bool:
    external, pooled = metrics.splits.get("external"), split.pooled.auroc.value
    if external is None or metrics.primary == "external" or external.is_small or pooled is None:
        return False
    low = external.pooled.auroc.low
    return low is not None and pooled - low <= _UNCERTAIN
