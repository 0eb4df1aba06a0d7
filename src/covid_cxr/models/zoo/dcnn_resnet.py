"""The network of the original COVID-CXR system (2020), layer for layer."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from covid_cxr.models.zoo.classifier import Classifier, Recipe

_EDGE = 224
_FILTERS = 16
_GROWTH = 3
_EMBEDDING = 128
_SLOPE = 0.3  # Keras' LeakyReLU default

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class ConcatBlock(nn.Module):
    """conv -> batch norm -> LeakyReLU -> conv, joined with the input by concatenation, halved."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.conv0 = _conv(channels, filters)
        self.norm0 = _norm(filters)
        self.conv1 = _conv(filters, filters)
        self.norm1 = _norm(filters + channels)
        self.act = nn.LeakyReLU(_SLOPE)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, filters + channels, H / 2, W / 2)."""
        y = self.conv1(self.act(self.norm0(self.conv0(x))))
        joined: Tensor = self.norm1(torch.cat([y, x], dim=1))
        return self.pool(self.act(joined))  # type: ignore[no-any-return]


def dcnn_resnet(n_classes: int) -> Classifier:
    """Build it for 224 x 224: 3 blocks and Adam 1e-5 when binary, 4 and 2e-4 otherwise."""
    binary = n_classes == 2
    blocks, channels = [], 3
    for i in range(3 if binary else 4):
        blocks.append(ConcatBlock(channels, _FILTERS * _GROWTH**i))
        channels += _FILTERS * _GROWTH**i
    edge = _EDGE // 2 ** len(blocks)
    dense = _he(nn.Linear(channels * edge * edge, _EMBEDDING))
    embed = nn.Sequential(nn.Flatten(), nn.Dropout(0.4), dense, nn.LeakyReLU(_SLOPE))
    head = nn.Linear(_EMBEDDING, n_classes)
    nn.init.xavier_uniform_(head.weight)
    recipe = Recipe(1e-5 if binary else 2e-4, activity_l2=1e-4, prior_bias=True)
    # preprocessing brings each image to deviation 0.2, so this restores zero mean, unit variance
    return Classifier(
        nn.Sequential(*blocks), head, recipe, embed=embed, mean=0.5, std=0.2, dropout=0.0
    )


def _conv(channels: int, filters: int) -> nn.Conv2d:
    return _he(nn.Conv2d(channels, filters, 3, padding=1))


def _he(layer: Layer) -> Layer:
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # as Keras has them
