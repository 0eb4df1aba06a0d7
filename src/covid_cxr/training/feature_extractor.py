"""Image features of a network that was never trained on radiographs (its ImageNet weights).

A linear model over them can be trained a thousand times in minutes, and shows what can be learned
from a set of images at all. Run by ONNX Runtime, which is faster than torch on a CPU.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from covid_cxr.config import RunConfig
from covid_cxr.inference.runtime import open_session
from covid_cxr.models import zoo
from covid_cxr.models.zoo.classifier import Classifier
from covid_cxr.progress import track
from covid_cxr.training.export import graph_bytes
from covid_cxr.training.inputs import JPEG_QUALITY, jpeg_compressed
from covid_cxr.types import FloatArray

View = Literal["plain", "flip", "jpeg"]
_MODEL = "efficientnet-lite0"
_BATCH = 16


class Inputs(Protocol):
    """Inputs (N, 1, S, S) in [0, 1] that are read a batch at a time."""

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, rows: slice, /) -> FloatArray | NDArray[np.float16]:
        """Return the inputs of some rows."""


class FeatureExtractor:
    """A network up to its embedding (F,), by default EfficientNet-lite0 with ImageNet weights.

    Args:
        size: edge of the inputs in pixels.
        threads: CPU threads; None for all cores.
        network: another one.
    """

    def __init__(
        self, size: int, threads: int | None = None, network: Classifier | None = None
    ) -> None:
        network = network or zoo.build(_MODEL, 2)
        self.width = network.head.in_features
        graph = graph_bytes(_Features(network), size, ["features"])
        self._session = open_session(graph, threads)

    def features(self, inputs: Inputs) -> FloatArray:
        """Return float32 (N, F) of inputs (N, 1, size, size) in [0, 1], in batches.

        Args:
            inputs: preprocessed; float16 will do.
        """
        features = np.empty((len(inputs), self.width), dtype=np.float32)
        for start in range(0, len(inputs), _BATCH):
            batch = np.ascontiguousarray(inputs[start : start + _BATCH], dtype=np.float32)
            features[start : start + len(batch)] = self._session.run(None, {"images": batch})[0]
        return features


def extract_features(config: RunConfig, inputs: NDArray[np.float16]) -> FloatArray:
    """Return the features that `config.model` computes of inputs (N, 1, S, S) before training.

    Returns:
        float32 (V, N, F): of the inputs as they are and, with `augment.flip`, of their mirror
        images and, with `augment.jpeg`, of the inputs after JPEG compression.
    """
    views = [extract_view(config, inputs, view) for view in feature_views(config)]
    return np.stack(views)


def feature_views(config: RunConfig) -> tuple[View, ...]:
    """Return the views of every input that a linear probe is fitted to."""
    flip: tuple[View, ...] = ("flip",) if config.augment.flip else ()
    jpeg: tuple[View, ...] = ("jpeg",) if config.augment.jpeg else ()
    return ("plain", *flip, *jpeg)


def extract_view(config: RunConfig, inputs: NDArray[np.float16], view: View) -> FloatArray:
    """Return the features float32 (N, F) of one view of inputs (N, 1, S, S).

    They depend on `config.model`, the size of the inputs and, for "jpeg", on the seed.
    """
    viewed: Inputs = inputs
    if view == "flip":
        viewed = inputs[..., ::-1]
    elif view == "jpeg":
        viewed = _Compressed(inputs, config.seed)
    extractor = _extractor(config.model, config.preprocess.size)
    starts = range(0, len(inputs), _BATCH)
    return np.concatenate(
        [
            extractor.features(viewed[start : start + _BATCH])
            for start in track(starts, f"extracting features, {view}")
        ]
    )


@lru_cache(maxsize=1)  # folds, protocols and audits ask for the same one again and again
def _extractor(model: str, size: int) -> FeatureExtractor:
    return FeatureExtractor(size, network=zoo.build(model, 2, size=size).eval())


class _Compressed:
    """Inputs that are compressed when they are read, each with a quality of its own."""

    def __init__(self, inputs: NDArray[np.float16], seed: int) -> None:
        self._inputs = inputs
        self._qualities = np.random.default_rng(seed).integers(*JPEG_QUALITY, len(inputs))

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, rows: slice) -> FloatArray:
        pairs = zip(self._inputs[rows], self._qualities[rows], strict=True)
        return np.stack([jpeg_compressed(image, int(quality)) for image, quality in pairs])


class _Features(nn.Module):
    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(images).embedding
        return features
