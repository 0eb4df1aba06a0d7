"""The model card that travels in a bundle (Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

from covid_cxr.config import RunConfig
from covid_cxr.models.manifest import Manifest
from covid_cxr.report import formatting
from covid_cxr.report.verdict import verdict
from covid_cxr.results import AuditResult, RunMetrics


def model_card(
    manifest: Manifest,
    metrics: RunMetrics,
    config: RunConfig,
    audit: AuditResult | None = None,
) -> str:
    """Return the card in Markdown.

    Args:
        manifest: of the bundle.
        metrics: content of `metrics.json`; may hold no split.
        config: the resolved configuration.
        audit: content of `audit.json`; None where no audit was made.
    """
    is_trained_here = metrics.external_validation is None
    return formatting.render(
        "MODEL_CARD.md.j2",
        manifest=manifest,
        metrics=metrics,
        config=config,
        split=metrics.headline,
        preprocess=formatting.flat(manifest.preprocess.model_dump(mode="json")),
        verdict=verdict(metrics, audit),
        audit=audit,
        filters=config.cohort.filters if is_trained_here else None,
    )
