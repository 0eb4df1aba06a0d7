"""The input check of a lung network: samples, fit, figures, and the network that holds it."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from onnx import ModelProto

from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write
from covid_cxr.inference.input_check import UPRIGHT, InputCheck
from covid_cxr.inference.lungs import CARD, GRAPH, MANIFEST, LungManifest, LungSegmenter
from covid_cxr.models.bundle import SHIPPED_LUNGS
from research.input_check import report, samples
from research.input_check.fit import Fitted, fit
from research.input_check.graph import with_check, with_features
from research.input_check.samples import PHANTOMS, PICTURES, Samples, feature_shape

log = logging.getLogger(__name__)
FIGURES = "input_check.json"


@dataclass(frozen=True)
class Settings:
    """How much is drawn, and from which seed."""

    phantoms: int = 96
    pictures: int = 60  # of each kind
    seed: int = 2020


def fit_input_check(
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    settings: Settings,
    *,
    command: str,
    network: Path | None = None,
    others: Path | None = None,
) -> dict[str, Any]:
    """Fit the input check of a lung network, measure it, and write both to `out`.

    Writes `lungs.onnx` (its masks stay as they are), `lungs.json` (with reasons and limits),
    `INPUT_CHECK_CARD.md` and `input_check.json`, and returns the figures. The test split is not
    read.

    Args:
        cohort: its rows of train and val are used.
        data_root: folder that `path` is relative to.
        out: made where missing.
        settings: how much is drawn.
        command: how to make it again.
        network: folder of the lung network; None for the one that ships.
        others: pictures that are no chest radiograph, one folder a kind; measured, not fitted to.

    Raises:
        CohortError: the cohort has no radiographs of train or val.
        BundleError: `network` holds no lung network.
    """
    rows = cohort[cohort["split"].isin(("train", "val"))]
    if rows.empty:
        raise CohortError(
            "the cohort has no radiographs of train or val; the input check is fitted to those"
        )
    network = network or SHIPPED_LUNGS
    manifest = LungSegmenter(network).manifest  # verified
    model = with_features(network / GRAPH)
    write_network(model, manifest, None, out)
    if (network / CARD).is_file() and network.resolve() != out.resolve():
        shutil.copyfile(network / CARD, out / CARD)
    segmenter = LungSegmenter(out)
    sampled = _sampled(segmenter, rows, data_root, settings, others)
    log.info("%d samples; fitting", len(sampled.rows))
    fitted = fit(sampled)
    figures = {
        "command": command,
        "settings": asdict(settings),
        "fitted": _fitted(sampled, fitted),
        "measured": report.measure(sampled, fitted),
    }
    model = with_check(model, fitted.head, feature_shape(segmenter))
    write_network(model, manifest, fitted.check, out)
    text = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(out / FIGURES, text)
    report.write(out, figures)
    return figures


def write_network(
    model: ModelProto, manifest: LungManifest, check: InputCheck | None, out: Path
) -> None:
    """Write a lung network's graph and its manifest to `out`."""
    content = model.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    changed = {"id": digest[:16], "sha256": digest, "input_check": check}
    atomic_write(out / GRAPH, content)
    text = manifest.model_copy(update=changed).model_dump_json(indent=2)
    atomic_write(out / MANIFEST, text + "\n")


def _sampled(
    segmenter: LungSegmenter,
    rows: pd.DataFrame,
    data_root: Path,
    settings: Settings,
    others: Path | None,
) -> Samples:
    parts = [
        samples.of_cohort(segmenter, rows, data_root, settings.seed),
        samples.of_phantoms(segmenter, settings.phantoms, settings.seed),
        samples.of_pictures(segmenter, settings.pictures, settings.seed),
    ]
    more = samples.of_folder(segmenter, others) if others else None
    return samples.joined([*parts, *([more] if more else [])])


def _fitted(sampled: Samples, fitted: Fitted) -> dict[str, Any]:
    """Return what the check was fitted to, for the card."""
    rows = sampled.rows
    plain = rows["reason"].eq(UPRIGHT) & ~rows["varied"].astype(bool)
    radiographs = rows[plain & ~rows["source"].isin((PHANTOMS, PICTURES))]
    counts = radiographs["source"].value_counts().sort_index()
    pictures = rows[rows["source"].eq(PICTURES)]
    return {
        "radiographs": len(radiographs),
        "patients": int(radiographs["patient_id"].nunique()),
        "sources": ", ".join(f"{name} {count}" for name, count in counts.items()),
        "pictures": len(pictures),
        "kinds": int(pictures["kind"].nunique()),
        "components": fitted.head.components.shape[1],
        **fitted.check.model_dump(include={"lungs_found", "lungs_not_found"}),
    }
