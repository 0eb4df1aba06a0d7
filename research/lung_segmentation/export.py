"""A trained lung network becomes a graph that needs no torch."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from covid_cxr.config import PreprocessSpec
from covid_cxr.errors import CovidCxrError
from covid_cxr.files import atomic_write
from covid_cxr.inference.lungs import GRAPH, MANIFEST, LungManifest, LungSegmenter
from covid_cxr.training.export import PARITY, graph_bytes
from research.lung_segmentation.network import LungGraph

SPEC = PreprocessSpec(size=160, remove_markers=False)


def export(network: nn.Module, out: Path, metrics: dict[str, Any], command: str) -> Path:
    """Write `lungs.onnx` and `lungs.json` to `out`, and return `out`.

    Raises:
        CovidCxrError: ONNX and torch do not give the same.
    """
    graph = LungGraph(network.eval())
    content = graph_bytes(graph, SPEC.size, ["probabilities"])
    digest = hashlib.sha256(content).hexdigest()
    manifest = LungManifest(
        id=digest[:16],
        sha256=digest,
        preprocess=SPEC,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
        command=command,
        metrics=metrics,
    )
    atomic_write(out / GRAPH, content)
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    atomic_write(out / MANIFEST, text)
    _check(graph, out)
    return out


def _check(graph: nn.Module, out: Path) -> None:
    images = np.random.default_rng(0).random((2, 1, SPEC.size, SPEC.size), dtype=np.float32)
    with torch.inference_mode():
        expected = graph(torch.from_numpy(images)).numpy()
    difference = float(np.abs(LungSegmenter(out).probabilities(images) - expected).max())
    if not difference <= PARITY:
        raise CovidCxrError(f"'{out / GRAPH}' differs from torch by {difference:.2g}; not usable")
