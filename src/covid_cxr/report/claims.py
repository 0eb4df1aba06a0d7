"""What a reader would like to claim of a model, and whether a run supports it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from covid_cxr.evaluation.subgroups import GROUPS
from covid_cxr.report.formatting import listed, percent
from covid_cxr.results import FEW, AuditResult, CheckResult, Estimate, RunMetrics, SplitMetrics
from covid_cxr.results.metrics import Grouping
from covid_cxr.types import DISCLAIMER

# A model is not "as good elsewhere" where its interval reaches this far below the pooled AUROC.
_UNSURE = 0.15
# Forecasts this far off on average are not to be taken at face value.
_MOST_ERROR = 0.1
_FAIR_GROUPS: tuple[Grouping, ...] = ("per_sex", "per_age_band", "per_view", "per_site")
_NOT_STATED = "not stated"


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


def claims(
    metrics: RunMetrics,
    split: SplitMetrics,
    backing: tuple[bool, str],
    audit: AuditResult | None,
) -> tuple[Claim, ...]:
    """Return the claims in reading order.

    Args:
        metrics: content of `metrics.json`.
        split: the numbers of the split that the headline stands on.
        backing: whether scores inside a source or site back the pooled one, and in which words.
        audit: content of `audit.json`; None where none was made.
    """
    return (
        _ranks(split),
        _reads_disease(backing, audit),
        _calibrated(split),
        _fair(split),
        _elsewhere(metrics, split),
        _for_patients(),
    )


def _ranks(split: SplitMetrics) -> Claim:
    text = "On films like these, it tells films with COVID-19 from films without."
    score, few = split.pooled.auroc, split.rarer
    if score.value is None:
        return Claim(False, text, "The films are all of one kind, so there is nothing to tell.")
    if few < FEW:
        return Claim(False, text, f"Only {few} films of the rarer kind were measured: too few.")
    of_hundred = round(100 * score.value)
    why = (
        f"Shown two films, one with and one without, it gives the one with COVID-19 the higher "
        f"probability {of_hundred} times in 100; chance is 50. AUROC {score}, from "
        f"{split.n} images of {split.patients} patients."
    )
    return Claim(score.low is not None and score.low > 0.5, text, why)


def _reads_disease(backing: tuple[bool, str], audit: AuditResult | None) -> Claim:
    text = "It recognises the disease, not the hospital or the data set."
    backed, words = backing
    if audit is None:
        missing = "No shortcut audit was made, so a shortcut is not ruled out (covid-cxr audit)."
        return Claim(False, text, f"{words} {missing}")
    failed = [_sentence(check) for check in audit.checks if check.verdict == "fail"]
    reasons = failed[:3] or [audit.summary]
    more = [f"Checks that fail beside these: {len(failed) - 3}."] if len(failed) > 3 else []
    return Claim(backed and not failed, text, " ".join([words, *reasons, *more]))


def _sentence(check: CheckResult) -> str:
    return check.sentence if check.sentence.endswith((".", "!", "?")) else check.sentence + "."


def _calibrated(split: SplitMetrics) -> Claim:
    share = percent(split.events / max(split.n, 1))
    text = (
        f"Where COVID-19 is as common as here ({share} of films), its probabilities can be taken "
        "at face value."
    )
    calibration = split.calibration
    if calibration is None:
        return Claim(False, text, "Not measured: films with and without COVID-19 are needed.")
    slope, large, error = calibration.slope, calibration.intercept, calibration.ece
    if slope.value is None:
        return Claim(
            False, text, "It made no mistake on these few films, so it cannot be measured."
        )
    if slope.low is None or large.low is None or error.high is None:
        return Claim(False, text, "There are too few films to measure it.")
    ways = list(_directions(slope, large))
    if error.high > _MOST_ERROR and not ways:
        ways = ["they may be off by more than a tenth"]
    why = (
        f"Calibration slope {slope}, 1 is right; intercept {large}, 0 is right; error {error}, "
        "0 is right"
    )
    return Claim(not ways, text, f"{why}: {' and '.join(ways)}." if ways else f"{why}.")


def _directions(slope: Estimate, large: Estimate) -> Iterator[str]:
    if slope.is_below(1):
        yield "they are too extreme"
    if slope.is_above(1):
        yield "they are not extreme enough"
    if large.is_below(0):
        yield "they are too high on the whole"
    if large.is_above(0):
        yield "they are too low on the whole"


def _fair(split: SplitMetrics) -> Claim:
    text = "It does as well in every group: each sex, age, view position and site."
    pooled = split.pooled.auroc.value
    named = [
        (f"{GROUPS[key].lower()} {name}", group)
        for key in _FAIR_GROUPS
        for name, group in split.groups(key).items()
        if name != _NOT_STATED
    ]
    if not named or pooled is None:
        return Claim(False, text, "The cohort states no groups that could be compared.")
    few = [name for name, group in named if group.is_small]
    worse = [
        f"{name}, AUROC {group.auroc}"
        for name, group in named
        if not group.is_small and group.auroc.is_below(pooled)
    ]
    said = [f"Lower in {listed(worse)}."] if worse else []
    if few:
        said.append(f"Too few films to say in {len(few)} of {len(named)} groups: {listed(few)}.")
    if not said:
        said = [f"Nowhere is it clearly worse, in {len(named)} groups."]
    return Claim(not (worse or few), text, " ".join(said))


def _elsewhere(metrics: RunMetrics, split: SplitMetrics) -> Claim:
    text = "It works as well at hospitals that it was not trained on."
    external = metrics.splits.get("external")
    if external is None:
        return Claim(False, text, "No films of a source outside the training were measured.")
    if external is split:  # a bundle on other images: there is nothing to compare them with
        return Claim(False, text, "These films alone were measured; how it does elsewhere is open.")
    score, pooled = external.pooled.auroc, split.pooled.auroc.value
    why = f"There the AUROC is {score}, from {external.n} images."
    if score.low is None or pooled is None or external.is_small:
        return Claim(False, text, f"{why} Too few to say.")
    return Claim(pooled - score.low <= _UNSURE, text, why)


def _for_patients() -> Claim:
    text = "It may be used to diagnose, triage or screen patients."
    return Claim(False, text, f"{DISCLAIMER} Nothing here was measured in care.")
