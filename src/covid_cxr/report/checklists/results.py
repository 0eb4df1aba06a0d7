"""Answers about what was measured, and what it allows one to say."""

from __future__ import annotations

from covid_cxr.report.checklists.data import Answer
from covid_cxr.report.checklists.facts import Facts
from covid_cxr.report.verdict import verdict
from covid_cxr.results import SplitMetrics
from covid_cxr.results.scores import Confusion
from covid_cxr.types import DISCLAIMER

_ROBUST = ("perturbation", "stability", "permutation", "left-out")


def _measures(facts: Facts) -> str | None:
    if facts.headline is None:
        return None
    return (
        "Discrimination: AUROC, average precision, sensitivity, specificity, predictive values. "
        "Calibration: slope, calibration in the large, debiased error, reliability diagram, Brier "
        "score. Utility: decision curve, predictive values at several prevalences. A constant "
        "forecast is scored beside the model."
    )


def _uncertainty(facts: Facts) -> str | None:
    n_resamples = facts.setting("evaluation", "bootstrap")
    if n_resamples is None:
        return None
    seed = facts.setting("seed")
    return f"95 % intervals from {n_resamples} bootstrap draws of whole patients, seed {seed}."


def _robustness(facts: Facts) -> str | None:
    if facts.audit is None:
        return "Not done: no audit stands in the run folder."
    return " ".join(facts.audit_sentences(*_ROBUST)) or None


def _explainability(facts: Facts) -> str | None:
    methods = facts.setting("explain", "methods")
    if not methods:
        return None
    checked = [
        f"{name}: highest region on a true opacity in {pointing.hits} of {pointing.images} images"
        for name, pointing in facts.metrics.explanations.items()
        if pointing.images
    ]
    validated = (
        f"Validated on images with known opacities: {'; '.join(checked)}."
        if checked
        else ("Their agreement with radiologists was not measured in this run.")
    )
    audited = facts.audit_sentences("explanations")
    return " ".join([f"{', '.join(methods)}, on examples drawn by seed.", validated, *audited])


def _internal(facts: Facts) -> str | None:
    split = facts.metrics.splits.get("test")
    if split is None:
        return None
    fold = facts.metrics.out_of_fold
    more = f" Out of fold: {_line(fold)}" if fold else ""
    return f"Test split, patients apart from training: {_line(split)}{more}"


def _external(facts: Facts) -> str | None:
    if facts.headline is None:
        return None
    split = facts.metrics.splits.get("external")
    if split is not None:
        return f"Sources never trained on: {_line(split)}"
    strategy = str(facts.setting("cohort", "strategy") or "")
    if strategy.startswith("leave-one"):
        held = facts.setting("cohort", "held_out")
        return f"The test split is {held}, never trained on: {_line(facts.headline)}"
    return "Not done: no source outside the training was measured."


def _performance(facts: Facts) -> str | None:
    split = facts.headline
    if split is None:
        return None
    said = [_line(split)]
    if split.calibration:
        said.append(
            f"Calibration slope {split.calibration.slope}, in the large "
            f"{split.calibration.intercept}, error {split.calibration.ece}."
        )
    return " ".join([*said, f"By source: {_groups(split)}", "All groups are in report.html."])


def _diagnostic(facts: Facts) -> str | None:
    split = facts.headline
    if split is None:
        return None
    pooled = split.pooled
    return (
        f"At the threshold {split.threshold:.3f}: sensitivity {pooled.sensitivity}, specificity "
        f"{pooled.specificity}, PPV {pooled.ppv}, NPV {pooled.npv}."
    )


def _failures(facts: Facts) -> str | None:
    split = facts.headline
    if split is None:
        return None
    missed = _missed(split.pooled.confusion)
    alarms = [
        f"{name} {_alarms(group.confusion)} of {group.n - group.events}"
        for name, group in split.per_source.items()
        if group.n > group.events
    ]
    by_source = f"False alarms by source: {', '.join(alarms)}. " if alarms else ""
    return (
        f"{missed} of {split.events} images with COVID-19 missed, "
        f"{_alarms(split.pooled.confusion)} of {split.n - split.events} others called "
        f"COVID-19. {by_source}report.html shows the most confident errors."
    )


def _heterogeneity_methods(facts: Facts) -> str | None:
    if facts.headline is None:
        return None
    return (
        "The model has no terms for source or site. Scores are given for each of them, and the "
        "AUROC over pairs of films of one source, and of one site, beside the pooled one."
    )


def _heterogeneity(facts: Facts) -> str | None:
    split = facts.headline
    if split is None:
        return None
    within = [
        f"within one {key.removeprefix('per_')} {auroc}" for key, auroc in split.within.items()
    ]
    pooled = f"AUROC pooled {split.pooled.auroc}"
    return f"{', '.join([pooled, *within])}. By source: {_groups(split)}"


def _interpretation(facts: Facts) -> str | None:
    if facts.headline is None:
        return None
    return " ".join(verdict(facts.metrics, facts.audit).sentences)


def _limitations(facts: Facts) -> str | None:
    if facts.headline is None:
        return None
    claims = verdict(facts.metrics, facts.audit).claims
    left = [f"“{claim.text.rstrip('.')}”: {claim.why}" for claim in claims if not claim.supported]
    return "Not supported by this run: " + " ".join(left)


def _implications(_: Facts) -> str | None:
    return DISCLAIMER


def _line(split: SplitMetrics) -> str:
    return (
        f"{split.n} images of {split.patients} patients, {split.events} with COVID-19, "
        f"AUROC {split.pooled.auroc}."
    )


def _groups(split: SplitMetrics) -> str:
    groups = [
        f"{name} {group.auroc}, {group.events} of {group.n} with COVID-19"
        for name, group in split.per_source.items()
    ]
    return "; ".join(groups) + "."


def _missed(confusion: Confusion) -> int:
    """Return the images of the last class, COVID-19, that are called otherwise."""
    return sum(confusion[-1][:-1])


def _alarms(confusion: Confusion) -> int:
    return sum(row[-1] for row in confusion[:-1])


ANSWERS: dict[str, Answer] = {
    "measures": _measures,
    "uncertainty": _uncertainty,
    "robustness": _robustness,
    "explainability": _explainability,
    "internal": _internal,
    "external": _external,
    "performance": _performance,
    "diagnostic": _diagnostic,
    "failures": _failures,
    "heterogeneity_methods": _heterogeneity_methods,
    "heterogeneity": _heterogeneity,
    "interpretation": _interpretation,
    "limitations": _limitations,
    "implications": _implications,
}
