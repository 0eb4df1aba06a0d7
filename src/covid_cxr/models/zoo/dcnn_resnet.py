"""The network of the original COVID-CXR system (2020), in all sizes that it searched."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from covid_cxr.config import DcnnResnetSettings
from covid_cxr.models.zoo.classifier import Classifier, Recipe

_SLOPE = 0.3  # Keras' LeakyReLU default

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class ConcatBlock(nn.Module):
    """conv -> batch norm -> LeakyReLU -> conv, joined with the input by concatenation, pooled."""

    def __init__(self, channels: int, filters: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.conv0 = _conv(channels, filters, kernel)
        self.norm0 = _norm(filters)
        self.conv1 = _conv(filters, filters, kernel)
        self.norm1 = _norm(filters + channels)
        self.act = nn.LeakyReLU(_SLOPE)
        self.pool = nn.MaxPool2d(pool)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, filters + channels, H / pool, W / pool)."""
        y = self.conv1(self.act(self.norm0(self.conv0(x))))
        joined: Tensor = self.norm1(torch.cat([y, x], dim=1))
        return self.pool(self.act(joined))  # type: ignore[no-any-return]


def dcnn_resnet(
    n_classes: int, settings: DcnnResnetSettings | None = None, size: int = 224
) -> Classifier:
    """The network of COVID-CXR (2020), from random weights.

    By default 3 blocks and Adam 1e-5 when binary, 4 and 2e-4 otherwise.

    Args:
        n_classes: number of classes.
        settings: of the layers; None for those that the original published.
        size: edge of the inputs in pixels; the hidden layer fits no other.

    Raises:
        ValueError: the poolings leave nothing of the image, or there are too many weights.
    """
    settings = settings or DcnnResnetSettings()
    edge = settings.last_edge(size, n_classes)
    blocks, channels = [], 3
    for filters in settings.block_filters(n_classes):
        blocks.append(ConcatBlock(channels, filters, settings.kernel, settings.pool))
        channels += filters
    dense = _he(nn.Linear(channels * edge * edge, settings.dense))
    embed = nn.Sequential(nn.Flatten(), nn.Dropout(settings.dropout), dense, nn.LeakyReLU(_SLOPE))
    head = nn.Linear(settings.dense, n_classes)
    nn.init.xavier_uniform_(head.weight)
    rate = 1e-5 if n_classes == 2 else 2e-4
    recipe = Recipe(rate, activity_l2=settings.activity_l2, prior_bias=True)
    # preprocessing brings each image to deviation 0.2, so this restores zero mean, unit variance
    return Classifier(
        nn.Sequential(*blocks), head, recipe, embed=embed, mean=0.5, std=0.2, dropout=0.0
    )


def _conv(channels: int, filters: int, kernel: int) -> nn.Conv2d:
    return _he(nn.Conv2d(channels, filters, kernel, padding=kernel // 2))


def _he(layer: Layer) -> Layer:
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # as Keras has them
