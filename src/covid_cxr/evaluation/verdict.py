"""What the numbers allow one to claim, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from covid_cxr.evaluation.wording import SPLITS, interval

# A pooled AUROC this much above the one inside a source is called out.
_GAP = 0.05
# An interval that reaches this far below the pooled AUROC backs nothing.
_UNSURE = 0.15


@dataclass(frozen=True)
class Verdict:
    """Sentences for a reader, and whether they warn.

    Attributes:
        caution: the pooled score is not backed by a score inside a source.
        sentences: in reading order.
    """

    caution: bool
    sentences: tuple[str, ...]


def primary(metrics: Mapping[str, Any]) -> str | None:
    """Return the split that the headline stands on: test, or validation where there is no test."""
    return next((name for name in ("test", "val") if name in metrics.get("splits", {})), None)


def verdict(metrics: Mapping[str, Any]) -> Verdict:
    """Return what `metrics.json` allows one to claim.

    Scores inside a source are taken from grouped cross-validation (`out_of_fold`) where the run
    has it, because one test split can hold too few patients of a source.
    """
    name = primary(metrics)
    if name is None:
        return Verdict(True, ("Nothing was measured.",))
    split = metrics["splits"][name]
    pooled = split["pooled"]
    sentences = [
        f"On the {SPLITS[name]} the pooled AUROC is {interval(pooled['auroc'])}, "
        f"from {split['n']} images of {split['patients']} patients, {split['events']} of them "
        "with COVID-19. A constant prior scores 0.500."
    ]
    inside_from = metrics.get("out_of_fold") or split
    fold = " (out of fold)" if metrics.get("out_of_fold") else ""
    sources = inside_from["per_source"]
    two = {
        source: block for source, block in sources.items() if block["auroc"]["value"] is not None
    }
    if len(sources) == 1:
        sentences.append(
            "All images come from one source; nothing here shows how it does elsewhere."
        )
        return Verdict(True, (*sentences, *_external(metrics), *_unanswered(split)))
    for source, block in two.items():
        sentences.append(f"Inside {source} alone{fold} it is {interval(block['auroc'])}.")
    caution, words = _compare(pooled["auroc"]["value"], two)
    sentences += [*words, *_single(sources, two), *_external(metrics), *_unanswered(split)]
    return Verdict(caution, tuple(sentences))


def _compare(pooled: float | None, two: Mapping[str, Any]) -> tuple[bool, list[str]]:
    if not two:
        return True, [
            "No source holds both classes, so nothing here shows that the model reads the disease "
            "rather than the source."
        ]
    # The source with the most cases of its rarer class says the most.
    source = max(
        two, key=lambda name: min(two[name]["events"], two[name]["n"] - two[name]["events"])
    )
    inside = two[source]["auroc"]
    if pooled is None or pooled - inside["value"] > _GAP:
        return True, [
            f"The pooled score is higher than the one inside {source}: a higher pooled score may "
            "only mean that the model tells the sources apart. Trust the score inside a source."
        ]
    if inside["low"] is None or pooled - inside["low"] > _UNSURE:
        return True, [
            f"The score inside {source} agrees with the pooled one, but rests on too few patients "
            "to rule out that the model also tells the sources apart."
        ]
    return False, [f"The score inside {source} backs the pooled one."]


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


def _external(metrics: Mapping[str, Any]) -> list[str]:
    external = metrics["splits"].get("external")
    if external is None:
        return []
    return [
        f"On sources never trained on, the AUROC is {interval(external['pooled']['auroc'])} "
        f"({external['n']} images)."
    ]


def _unanswered(split: Mapping[str, Any]) -> list[str]:
    missing = split["abstained"] + split["errors"]
    if not missing:
        return []
    return [
        f"Not in any score: {missing} of {split['n'] + missing} images "
        f"({split['abstained']} abstained, {split['errors']} unreadable)."
    ]
