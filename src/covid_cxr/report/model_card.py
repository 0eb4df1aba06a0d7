"""The model card that travels in a bundle (Mitchell et al. 2019, arXiv:1810.03993)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from covid_cxr.report import formatting
from covid_cxr.report.verdict import verdict
from covid_cxr.results import FEW, AuditResult, RunMetrics
from covid_cxr.types import DISCLAIMER


def model_card(
    manifest: Mapping[str, Any],
    metrics: RunMetrics,
    config: Mapping[str, Any],
    audit: AuditResult | None = None,
) -> str:
    """Return the card in Markdown.

    Args:
        manifest: of the bundle; needs name, id, task, classes, architecture, preprocess,
            temperature, threshold, training_data, licences, created, seed and command.
        metrics: content of `metrics.json`; may hold no split.
        config: the resolved configuration.
        audit: content of `audit.json`; None where no audit was made.
    """
    return (
        formatting.templates()
        .get_template("MODEL_CARD.md.j2")
        .render(
            manifest=manifest,
            metrics=metrics,
            config=config,
            split=metrics.headline,
            split_names=formatting.SPLITS,
            preprocess=formatting.flat(manifest["preprocess"]),
            licences=_licences(manifest["licences"]),
            verdict=verdict(metrics, audit),
            audit=audit,
            filters=_filters(metrics, config),
            few=FEW,
            disclaimer=DISCLAIMER,
        )
    )


def _filters(metrics: RunMetrics, config: Mapping[str, Any]) -> Any:
    """Return what kept images out of the training; None where this run did not train."""
    trained_here = metrics.external_validation is None
    return (config.get("cohort") or {}).get("filters") if trained_here else None


def _licences(licences: Any) -> list[str]:
    """Return lines from the manifest's licences: one text, a list, or what -> licence."""
    if isinstance(licences, Mapping):
        return [f"{name}: {text}" for name, text in formatting.flat(licences).items()]
    return [licences] if isinstance(licences, str) else [str(text) for text in licences]
