"""Settings of architectures that can be configured, one block each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from covid_cxr.config.base import Strict

# protobuf, hence ONNX, holds at most 2 GiB in one file: so many weights of 4 bytes
_MOST_WEIGHTS = 2**31 // 4


class DcnnResnetSettings(Strict):
    """The network of the original COVID-CXR system (2020); the defaults are its published ones.

    Attributes:
        kernel: edge of the convolutions' kernels.
        pool: edge and stride of the max pooling at the end of a block.
        filters: of the first block.
        growth: factor on the number of filters from one block to the next.
        dense: units of the hidden dense layer.
        blocks: None: 3 for the binary task, 4 otherwise.
        dropout: probability before the hidden dense layer.
        activity_l2: weight of the summed squared outputs of hidden layers, per image.
    """

    kernel: Literal[3, 5] = 3
    pool: Literal[2, 3] = 2
    filters: int = Field(16, ge=1, le=128)
    growth: int = Field(3, ge=1, le=4)
    dense: int = Field(128, ge=1, le=4096)
    blocks: int | None = Field(None, ge=1, le=10)
    dropout: float = Field(0.4, ge=0, lt=1)
    activity_l2: float = Field(1e-4, ge=0)

    def block_filters(self, n_classes: int) -> tuple[int, ...]:
        """Return the number of filters of each block."""
        blocks = self.blocks or (3 if n_classes == 2 else 4)
        return tuple(int(self.filters * self.growth**number) for number in range(blocks))

    def last_edge(self, size: int, n_classes: int) -> int:
        """Return the edge of the last feature map for inputs of `size` pixels.

        Raises:
            ValueError: the poolings leave nothing of the image, or there are too many weights.
        """
        filters = self.block_filters(n_classes)
        edge: int = size // self.pool ** len(filters)
        if edge < 1:
            raise ValueError(
                f"{len(filters)} poolings by {self.pool} leave nothing of {size} pixels; take "
                "fewer blocks, a smaller pool or a larger preprocess.size"
            )
        weights = self._weights(filters, edge, n_classes)
        if weights > _MOST_WEIGHTS:
            raise ValueError(
                f"{weights / 1e6:,.0f} million weights ({len(filters)} blocks of {filters[0]} to "
                f"{filters[-1]} filters), at most {_MOST_WEIGHTS / 1e6:,.0f} million fit an ONNX "
                "file; take fewer blocks or filters, or less growth"
            )
        return edge

    def _weights(self, filters: tuple[int, ...], edge: int, n_classes: int) -> int:
        """Return the number of weights of convolutions and dense layers."""
        total, channels = 0, 3
        for count in filters:
            total += (channels + count) * count * self.kernel * self.kernel
            channels += count
        return total + channels * edge * edge * self.dense + self.dense * n_classes


class ModelSettings(Strict):
    """Settings by architecture; those of another than `model` must have their defaults."""

    dcnn_resnet: DcnnResnetSettings = DcnnResnetSettings()
