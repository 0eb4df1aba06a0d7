"""Metrics and card, written into the bundle that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from covid_cxr.files import atomic_write
from covid_cxr.models.bundle import CARD, Bundle, write_manifest
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import model_card
from covid_cxr.report.html import AUDIT, read_json

_HEADLINES = ("auroc", "auprc", "sensitivity", "specificity", "ppv", "npv", "brier")


def sign(folder: RunFolder, made: Bundle, metrics: Mapping[str, Any]) -> None:
    """Write metrics and card into the bundle; its id, which they do not decide, stays."""
    headlines = {
        split: {
            "n": measured["n"],
            "events": measured["events"],
            **{name: measured["pooled"][name] for name in _HEADLINES},
            "auroc_per_source": {
                source: block["auroc"] for source, block in measured["per_source"].items()
            },
        }
        for split, measured in metrics["splits"].items()
    }
    manifest = made.manifest.model_copy(update={"metrics": headlines})
    config = folder.config.model_dump(mode="json")
    audit = read_json(folder.path / AUDIT)
    card = model_card(manifest.model_dump(mode="json"), metrics, config, audit)
    atomic_write(made.folder / CARD, card)
    write_manifest(made.folder, manifest)
