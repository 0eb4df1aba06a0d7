"""What a network that has never seen a radiograph makes of one: ImageNet features, frozen.

A linear model over them is cheap enough to be trained a thousand times, and tells what can be
learned from films at all. Run by ONNX Runtime, which is faster than torch on a CPU.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor, nn

from covid_cxr.models import zoo
from covid_cxr.models.zoo.classifier import Classifier
from covid_cxr.training.export import graph_bytes
from covid_cxr.types import FloatArray

_MODEL = "efficientnet-lite0"
_BATCH = 16


class Films(Protocol):
    """Films (N, 1, S, S) in [0, 1] that are read a batch at a time."""

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, rows: slice, /) -> FloatArray | NDArray[np.float16]:
        """Return the films of some rows."""


class FrozenNetwork:
    """A network up to its embedding (F,), by default EfficientNet-lite0 as ImageNet left it.

    Args:
        size: edge of the films in pixels.
        threads: CPU threads; None for all cores.
        network: another one.
    """

    def __init__(
        self, size: int, threads: int | None = None, network: Classifier | None = None
    ) -> None:
        network = network or zoo.build(_MODEL, 2)
        self.width = network.head.in_features
        graph = graph_bytes(_Features(network), size, ["features"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def features(self, films: Films) -> FloatArray:
        """Return float32 (N, F) of films (N, 1, size, size) in [0, 1], in batches.

        Args:
            films: preprocessed; float16 will do.
        """
        found = np.empty((len(films), self.width), dtype=np.float32)
        for start in range(0, len(films), _BATCH):
            batch = np.ascontiguousarray(films[start : start + _BATCH], dtype=np.float32)
            found[start : start + len(batch)] = self._session.run(None, {"images": batch})[0]
        return found


class _Features(nn.Module):
    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(images).embedding
        return features
