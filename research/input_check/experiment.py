"""The gate of a lung network: looks, fit, account, and the network with its second output."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write, sha256_of
from covid_cxr.inference.input_check import UPRIGHT, Gate
from covid_cxr.inference.lungs import CARD, GRAPH, MANIFEST, SHIPPED, LungFinder
from covid_cxr.models.bundle import GATE
from research.input_check import report, samples
from research.input_check.fit import fit
from research.input_check.graph import with_features
from research.input_check.samples import PHANTOMS, PICTURES, Samples

log = logging.getLogger(__name__)
FIGURES = "gate.json"


@dataclass(frozen=True)
class Settings:
    """How much is drawn, and from which seed."""

    phantoms: int = 96
    pictures: int = 60  # of each kind
    seed: int = 2020


def fit_gate(
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    settings: Settings,
    *,
    command: str,
    network: Path | None = None,
    others: Path | None = None,
) -> dict[str, Any]:
    """Fit the gate of a lung network, measure it, and write both to `out`.

    Writes `gate.npz`, `lungs.onnx` (with the second output; its masks stay as they are),
    `lungs.json` (which names the gate), `GATE_CARD.md` and `gate.json`, and returns the figures.
    The test split is not read.

    Args:
        cohort: its rows of train and val are used.
        data_root: folder that `path` is relative to.
        out: made where missing.
        settings: how much is drawn.
        command: how to make it again.
        network: folder of the lung network; None for the one that ships.
        others: pictures that are no chest film, one folder a kind; measured, never fitted to.

    Raises:
        CohortError: the cohort has no films of train or val.
        BundleError: `network` holds no lung network.
    """
    rows = cohort[cohort["split"].isin(("train", "val"))]
    if rows.empty:
        raise CohortError("the cohort has no films of train or val; the gate is fitted to those")
    _put_network(network or SHIPPED, out)
    looks = _looks(LungFinder(out), rows, data_root, settings, others=others)
    log.info("%d looks; fitting", len(looks.rows))
    gate = fit(looks)
    gate.save(out / GATE)
    figures = {
        "command": command,
        "settings": asdict(settings),
        "fitted": _fitted(looks, gate),
        "measured": report.measure(looks, gate),
    }
    _name_gate(out)
    text = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(out / FIGURES, text)
    report.write(out, figures)
    return figures


def _looks(
    finder: LungFinder,
    rows: pd.DataFrame,
    data_root: Path,
    settings: Settings,
    *,
    others: Path | None,
) -> Samples:
    seed = settings.seed
    found = [
        samples.of_films(finder, rows, data_root, seed),
        samples.of_phantoms(finder, settings.phantoms, seed),
        samples.of_pictures(finder, settings.pictures, seed),
    ]
    more = samples.of_folder(finder, others) if others else None
    return samples.joined([*found, *([more] if more else [])])


def _put_network(network: Path, out: Path) -> None:
    """Write the network with its second output to `out`; its gate is named once there is one."""
    manifest = LungFinder(network).manifest  # verified
    content = with_features(network / GRAPH)
    digest = hashlib.sha256(content).hexdigest()
    named = manifest.model_copy(update={"id": digest[:16], "sha256": digest, "gate": None})
    atomic_write(out / GRAPH, content)
    atomic_write(out / MANIFEST, named.model_dump_json(indent=2) + "\n")
    if (network / CARD).is_file() and network.resolve() != out.resolve():
        shutil.copyfile(network / CARD, out / CARD)


def _name_gate(out: Path) -> None:
    manifest = LungFinder(out).manifest.model_copy(update={"gate": sha256_of(out / GATE)})
    atomic_write(out / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    LungFinder(out)  # the gate and the network's features are there


def _fitted(looks: Samples, gate: Gate) -> dict[str, Any]:
    """Return what the gate was fitted to, for the card."""
    rows = looks.rows
    plain = rows["reason"].eq(UPRIGHT) & ~rows["varied"].astype(bool)
    films = rows[plain & ~rows["source"].isin((PHANTOMS, PICTURES))]
    counts = films["source"].value_counts().sort_index()
    drawn = rows[rows["source"].eq(PICTURES)]
    return {
        "films": len(films),
        "patients": int(films["patient_id"].nunique()),
        "sources": ", ".join(f"{name} {count}" for name, count in counts.items()),
        "pictures": len(drawn),
        "kinds": int(drawn["kind"].nunique()),
        "components": gate.components.shape[1],
        "least": [float(each) for each in gate.least],
        "farthest": [float(each) for each in gate.farthest],
    }
