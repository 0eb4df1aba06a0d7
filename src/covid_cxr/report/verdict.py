"""What the numbers allow one to claim, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from covid_cxr.cohort.summary.strata import NOT_STATED
from covid_cxr.report.claims import Claim, claims
from covid_cxr.report.formatting import SPLITS
from covid_cxr.results import AuditResult, Estimate, RunMetrics, SplitMetrics, SubgroupMetrics
from covid_cxr.results.scores import PooledMetrics

# A pooled AUROC this much above the one inside a source is called out.
_GAP = 0.05
# An interval that reaches this far below the pooled AUROC backs nothing.
_UNSURE = 0.15

Groups = Mapping[str, SubgroupMetrics]


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


def verdict(metrics: RunMetrics, audit: AuditResult | None = None) -> Verdict:
    """Return what `metrics.json` and `audit.json` allow one to claim.

    Scores inside a source, or inside a site where there is one source only, are taken from grouped
    cross-validation (`out_of_fold`) where the run has it, because one test split can hold too few
    patients of a source.

    Args:
        metrics: content of `metrics.json`.
        audit: content of `audit.json`; None where no audit was made.
    """
    name, split = metrics.primary, metrics.headline
    if name is None or split is None:
        return Verdict(True, ("Nothing was measured.",))
    pooled = split.pooled.auroc
    first = (
        f"On the {SPLITS[name]} the pooled AUROC is {pooled}, "
        f"from {split.n} images of {split.patients} patients, {split.events} of them "
        f"with COVID-19. A constant prior scores 0.500.{_view_alone(split.pooled)}"
    )
    fold = " (out of fold)" if metrics.out_of_fold else ""
    caution, inside, words = _inside(pooled.value, metrics.out_of_fold or split, fold)
    last = [*_external(metrics), *_audited(audit), *_unanswered(split)]
    failed = audit is not None and audit.verdict == "fail"
    return Verdict(
        caution or failed,
        (first, *inside, *words, *last),
        claims(metrics, split, (not caution, words[0]), audit),
    )


def _inside(
    pooled: float | None, split: SplitMetrics, fold: str
) -> tuple[bool, list[str], list[str]]:
    """Return whether to warn, the scores inside sources or sites, and what they mean."""
    sources = split.per_source
    if len(sources) > 1:
        two = _both_classes(sources)
        inside = [
            f"Inside {source} alone{fold} it is {group.auroc}.{_view_alone(group)}"
            for source, group in two.items()
        ]
        caution, words = _compare(pooled, two)
        return caution, inside, [*words, *_single(sources, two)]
    within = split.within.get("per_site")
    sites = [name for name in split.per_site if name != NOT_STATED]
    if within is None or len(sites) < 2:
        return (
            True,
            [],
            ["All images come from one source; nothing here shows how it does elsewhere."],
        )
    sentence = f"Among images of the same site{fold}, {len(sites)} sites in all, it is {within}."
    caution, words = _compare_with(pooled, within, "one site")
    return caution, [sentence], words


def _view_alone(metrics: PooledMetrics) -> str:
    """Return what needs no picture, as a sentence; "" where no view is known."""
    views = metrics.views
    if not views or views.view_alone.value is None:
        return ""
    alone = f"the view position alone, AP or PA, scores {views.view_alone}"
    if views.n == metrics.n:
        return f" There, {alone}."
    return f" On the {views.n} images of a known view it is {views.auroc}, and {alone}."


def _both_classes(groups: Groups) -> dict[str, SubgroupMetrics]:
    return {name: group for name, group in groups.items() if group.auroc.value is not None}


def _compare(pooled: float | None, two: Groups) -> tuple[bool, list[str]]:
    if not two:
        return True, [
            "No source holds both classes, so nothing here shows that the model reads the disease "
            "rather than the source."
        ]
    # The source with the most cases of its rarer class says the most.
    source = max(two, key=lambda name: two[name].rarer)
    return _compare_with(pooled, two[source].auroc, source)


def _compare_with(pooled: float | None, inside: Estimate, where: str) -> tuple[bool, list[str]]:
    kind = "sites" if where == "one site" else "sources"
    if pooled is None or inside.value is None or pooled - inside.value > _GAP:
        return True, [
            f"The pooled score is higher than the one inside {where}: a higher pooled score may "
            f"only mean that the model tells the {kind} apart. Trust the score inside "
            f"{where if kind == 'sites' else 'a source'}."
        ]
    if inside.low is None or pooled - inside.low > _UNSURE:
        return True, [
            f"The score inside {where} agrees with the pooled one, but rests on too few patients "
            f"to rule out that the model also tells the {kind} apart."
        ]
    return False, [f"The score inside {where} backs the pooled one."]


def _single(sources: Groups, two: Groups) -> list[str]:
    single = [
        f"{source} ({'all' if group.events else 'none'} with COVID-19)"
        for source, group in sources.items()
        if source not in two and group.n
    ]
    if not single:
        return []
    return [
        f"Sources with one class only: {', '.join(single)}. They have no AUROC of their own, and "
        "whoever recognises them scores in the pool without reading the lungs."
    ]


def _external(metrics: RunMetrics) -> list[str]:
    external = metrics.splits.get("external")
    if external is None or metrics.primary == "external":
        return []
    return [
        f"On sources never trained on, the AUROC is {external.pooled.auroc} ({external.n} images)."
    ]


def _audited(audit: AuditResult | None) -> list[str]:
    return ["No shortcut audit was made." if audit is None else f"Shortcut audit: {audit.summary}"]


def _unanswered(split: SplitMetrics) -> list[str]:
    missing = split.abstained + split.errors
    if not missing:
        return []
    return [
        f"Not in any score: {missing} of {split.n + missing} images "
        f"({split.abstained} abstained, {split.errors} unreadable)."
    ]
