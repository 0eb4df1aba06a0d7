"""Metrics and card, written into the bundle that they describe."""

from __future__ import annotations

from covid_cxr.files import atomic_write
from covid_cxr.models.bundle import CARD, Bundle, write_manifest
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import model_card
from covid_cxr.results import HeadlineMetrics, RunMetrics


def sign(folder: RunFolder, made: Bundle, metrics: RunMetrics) -> None:
    """Write metrics and card into the bundle; its id, which they do not decide, stays."""
    headlines = {name: HeadlineMetrics.of(split) for name, split in metrics.splits.items()}
    manifest = made.manifest.model_copy(update={"metrics": headlines})
    card = model_card(manifest, metrics, folder.config, folder.audit())
    atomic_write(made.folder / CARD, card)
    write_manifest(made.folder, manifest)
