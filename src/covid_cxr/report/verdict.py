"""What the numbers allow one to claim, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from covid_cxr.report import formatting
from covid_cxr.report.claims import (
    Claim,
    backing,
    both_classes,
    compare_groups,
    failed_checks,
    miscalibration,
    supported,
)
from covid_cxr.results import AuditResult, RunMetrics


@dataclass(frozen=True)
class Verdict:
    """Sentences for a reader, and whether they warn.

    Attributes:
        warns: the pooled score is not backed by a score inside a source or site, or the shortcut
            audit fails.
        sentences: in reading order.
        claims: what one might say of the model, and whether this run supports it.
    """

    warns: bool
    sentences: tuple[str, ...]
    claims: tuple[Claim, ...] = ()


def verdict(metrics: RunMetrics, audit: AuditResult | None = None) -> Verdict:
    """Return what `metrics.json` and `audit.json` allow one to claim.

    Args:
        metrics: content of `metrics.json`.
        audit: content of `audit.json`; None where no audit was made.
    """
    split = metrics.headline
    if split is None:
        return Verdict(True, ("Nothing was measured.",))
    inner = backing(metrics, split)
    sources = (metrics.out_of_fold or split).per_source
    two = both_classes(sources) if len(sources) > 1 else {}
    context = {
        "metrics": metrics,
        "audit": audit,
        "backing": inner,
        "both_classes": two,
        "one_class": {
            name: group
            for name, group in sources.items()
            if len(sources) > 1 and name not in two and group.n
        },
        "failed": failed_checks(audit),
        "groups": compare_groups(split),
        "miscalibration": miscalibration(split),
    }
    words = formatting.templates().get_template("verdict.j2").make_module(context)

    def macro(name: str) -> str:
        text: str = getattr(words, name)()
        return text

    return Verdict(
        warns=inner.status != "backed"
        or bool(metrics.training_warnings)
        or (audit is not None and audit.verdict == "fail"),
        sentences=tuple(filter(None, map(str.strip, macro("sentences").splitlines()))),
        claims=tuple(
            Claim(holds, macro(name), " ".join(macro(f"{name}_why").split()))
            for name, holds in supported(metrics, split, audit)
        ),
    )
