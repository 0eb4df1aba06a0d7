"""A bundle's graph in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from covid_cxr.models.bundle import Bundle
from covid_cxr.types import FloatArray


class Outputs(NamedTuple):
    """What the graph answers, temperature included."""

    logits: FloatArray  # (N, C), divided by the temperature
    probabilities: FloatArray  # (N, C)
    embedding: FloatArray  # (N, E)
    cam: FloatArray | None  # (N, C, h, w), None where the head is not linear over pooled features


class Runtime:
    """Runs a bundle's graph in float32; what an explainer calls its model.

    Args:
        bundle: an opened bundle.
        threads: CPU threads; None leaves the choice to ONNX Runtime (all cores).
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(bundle.graph), options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]
        self.bundle = bundle
        self.classes = bundle.manifest.classes
        self.bundle_id = bundle.id

    @property
    def weights(self) -> Path | None:
        return self.bundle.folder if self.bundle.has_weights else None

    def run(self, images: FloatArray) -> Outputs:
        """Answer preprocessed images float32 (N, 1, S, S) in [0, 1]."""
        answers = dict(zip(self._names, self._session.run(None, {"images": images}), strict=True))
        return Outputs(
            answers["logits"],
            answers["probabilities"],
            answers["embedding"],
            answers.get("cam"),
        )

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Return (N, C) probabilities of images (N, 1, S, S)."""
        return self.run(images).probabilities

    def cam(self, image: FloatArray) -> FloatArray | None:
        """Return the class activation maps (C, h, w) of one image (1, S, S)."""
        maps = self.run(np.ascontiguousarray(image[None])).cam
        return None if maps is None else maps[0]
