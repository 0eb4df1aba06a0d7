"""What the numbers allow one to claim, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from covid_cxr.cohort.summary.strata import NOT_STATED
from covid_cxr.evaluation.subgroups import rarer
from covid_cxr.report.claims import Claim, claims
from covid_cxr.report.formatting import SPLITS, interval

# A pooled AUROC this much above the one inside a source is called out.
_GAP = 0.05
# An interval that reaches this far below the pooled AUROC backs nothing.
_UNSURE = 0.15

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Sentences for a reader, and whether they warn.

    Attributes:
        caution: the pooled score is not backed by a score inside a source or site, or the shortcut
            audit fails.
        sentences: in reading order.
        claims: what one might say of the model, and whether this run supports it.
    """

    caution: bool
    sentences: tuple[str, ...]
    claims: tuple[Claim, ...] = ()


def primary(metrics: Mapping[str, Any]) -> str | None:
    """Return the split that the headline stands on: test, else validation, else external films."""
    held = metrics.get("splits", {})
    return next((name for name in ("test", "val", "external") if name in held), None)


def verdict(metrics: Mapping[str, Any], audit: Mapping[str, Any] | None = None) -> Verdict:
    """Return what `metrics.json` and `audit.json` allow one to claim.

    Scores inside a source, or inside a site where there is one source only, are taken from grouped
    cross-validation (`out_of_fold`) where the run has it, because one test split can hold too few
    patients of a source.

    Args:
        metrics: content of `metrics.json`.
        audit: content of `audit.json`; None where no audit was made.
    """
    name = primary(metrics)
    if name is None:
        return Verdict(True, ("Nothing was measured.",))
    split = metrics["splits"][name]
    pooled = split["pooled"]["auroc"]
    first = (
        f"On the {SPLITS[name]} the pooled AUROC is {interval(pooled)}, "
        f"from {split['n']} images of {split['patients']} patients, {split['events']} of them "
        f"with COVID-19. A constant prior scores 0.500.{_view_alone(split['pooled'])}"
    )
    fold = " (out of fold)" if metrics.get("out_of_fold") else ""
    caution, inside, words = _inside(pooled["value"], metrics.get("out_of_fold") or split, fold)
    last = [*_external(metrics, name), *_audited(audit), *_unanswered(split)]
    failed = audit is not None and audit["verdict"] == "fail"
    return Verdict(
        caution or failed,
        (first, *inside, *words, *last),
        claims(metrics, split, (not caution, words[0]), audit),
    )


def _inside(pooled: float | None, block: Block, fold: str) -> tuple[bool, list[str], list[str]]:
    """Return whether to warn, the scores inside sources or sites, and what they mean."""
    sources = block["per_source"]
    if len(sources) > 1:
        two = _both_classes(sources)
        inside = [
            f"Inside {source} alone{fold} it is {interval(found['auroc'])}.{_view_alone(found)}"
            for source, found in two.items()
        ]
        caution, words = _compare(pooled, two)
        return caution, inside, [*words, *_single(sources, two)]
    within = block.get("within", {}).get("per_site")
    sites = [name for name in block.get("per_site", {}) if name != NOT_STATED]
    if within is None or len(sites) < 2:
        return (
            True,
            [],
            ["All images come from one source; nothing here shows how it does elsewhere."],
        )
    told = (
        f"Among images of the same site{fold}, {len(sites)} sites in all, it is {interval(within)}."
    )
    caution, words = _compared(pooled, within, "one site")
    return caution, [told], words


def _view_alone(block: Block) -> str:
    """Return what needs no picture, as a sentence; "" where no view is known."""
    views = block.get("views")
    if not views or views["view_alone"]["value"] is None:
        return ""
    alone = f"the view position alone, AP or PA, scores {interval(views['view_alone'])}"
    if views["n"] == block["n"]:
        return f" There, {alone}."
    known = f" On the {views['n']} images of a known view it is {interval(views['auroc'])}"
    return f"{known}, and {alone}."


def _both_classes(groups: Block) -> dict[str, Any]:
    return {name: block for name, block in groups.items() if block["auroc"]["value"] is not None}


def _compare(pooled: float | None, two: Mapping[str, Any]) -> tuple[bool, list[str]]:
    if not two:
        return True, [
            "No source holds both classes, so nothing here shows that the model reads the disease "
            "rather than the source."
        ]
    # The source with the most cases of its rarer class says the most.
    source = max(two, key=lambda name: rarer(two[name]))
    return _compared(pooled, two[source]["auroc"], source)


def _compared(pooled: float | None, inside: Block, where: str) -> tuple[bool, list[str]]:
    kind = "sites" if where == "one site" else "sources"
    if pooled is None or pooled - inside["value"] > _GAP:
        return True, [
            f"The pooled score is higher than the one inside {where}: a higher pooled score may "
            f"only mean that the model tells the {kind} apart. Trust the score inside "
            f"{where if kind == 'sites' else 'a source'}."
        ]
    if inside["low"] is None or pooled - inside["low"] > _UNSURE:
        return True, [
            f"The score inside {where} agrees with the pooled one, but rests on too few patients "
            f"to rule out that the model also tells the {kind} apart."
        ]
    return False, [f"The score inside {where} backs the pooled one."]


def _single(sources: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    single = [
        f"{source} ({'all' if block['events'] else 'none'} with COVID-19)"
        for source, block in sources.items()
        if source not in two and block["n"]
    ]
    if not single:
        return []
    return [
        f"Sources with one class only: {', '.join(single)}. They have no AUROC of their own, and "
        "whoever recognises them scores in the pool without reading the lungs."
    ]


def _external(metrics: Mapping[str, Any], headline: str) -> list[str]:
    external = metrics["splits"].get("external")
    if external is None or headline == "external":
        return []
    return [
        f"On sources never trained on, the AUROC is {interval(external['pooled']['auroc'])} "
        f"({external['n']} images)."
    ]


def _audited(audit: Mapping[str, Any] | None) -> list[str]:
    if audit is None:
        return ["No shortcut audit was made."]
    return [f"Shortcut audit: {audit['summary']}"] if audit.get("summary") else []


def _unanswered(split: Mapping[str, Any]) -> list[str]:
    missing = split["abstained"] + split["errors"]
    if not missing:
        return []
    return [
        f"Not in any score: {missing} of {split['n'] + missing} images "
        f"({split['abstained']} abstained, {split['errors']} unreadable)."
    ]
