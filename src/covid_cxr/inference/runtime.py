"""A bundle's graph, run by ONNX Runtime in float32."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from covid_cxr.errors import BundleError
from covid_cxr.models.bundle import Bundle
from covid_cxr.types import FloatArray


class Outputs(NamedTuple):
    """What the graph answers, temperature included."""

    logits: FloatArray  # (N, C), divided by the temperature
    probabilities: FloatArray  # (N, C)
    embedding: FloatArray  # (N, E)
    cam: FloatArray | None  # (N, C, h, w), None where the head is not linear over pooled features


class Runtime:
    """Runs a bundle's graph; what an explainer calls its model. Several threads may share it.

    Args:
        bundle: an opened bundle.
        threads: CPU threads; None leaves the choice to the runtime (all cores).
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self._session = open_session(bundle.graph, threads)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.bundle = bundle
        self.classes = bundle.manifest.classes
        self.bundle_id = bundle.id

    @property
    def weights(self) -> Path | None:
        return self.bundle.folder if self.bundle.has_weights else None

    def run(self, images: FloatArray) -> Outputs:
        """Answer preprocessed images float32 (N, 1, S, S) in [0, 1]."""
        values = self._session.run(None, {"images": images})
        answers = dict(zip(self._outputs, values, strict=True))
        return Outputs(
            answers["logits"], answers["probabilities"], answers["embedding"], answers.get("cam")
        )

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Return (N, C) probabilities of images (N, 1, S, S)."""
        return self.run(images).probabilities

    def cam(self, image: FloatArray) -> FloatArray | None:
        """Return the class activation maps (C, h, w) of one image (1, S, S)."""
        maps = self.run(np.ascontiguousarray(image[None])).cam
        return None if maps is None else maps[0]


def require_finite(bundle: Bundle) -> None:
    """Raise an error for a bundle that cannot answer a plain grey and a random image.

    Raises:
        BundleError: a number that it answers with is NaN or infinite.
    """
    size = bundle.manifest.preprocess.size
    images = np.random.default_rng(0).random((2, 1, size, size), dtype=np.float32)
    images[0] = 0.5
    for name, values in Runtime(bundle, threads=1).run(images)._asdict().items():
        if values is not None and not np.isfinite(values).all():
            raise BundleError(
                f"the {name} that bundle {bundle.id} in '{bundle.folder}' answers are not finite: "
                "its training diverged; train it again"
            )


def processors() -> int:
    """Return how many processors this process may use; more threads would only wait in turn."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_session(graph: Path | bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open a graph, a file or its content, for ONNX Runtime on the CPU.

    Its threads sleep while they have nothing to do. By default they keep a core busy waiting for
    work, which the reading and preparing of the next images, and other programs, could use.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
