"""ResNets from MONAI, trained from scratch (no ImageNet weights come with pip)."""

from __future__ import annotations

from typing import Any

from monai.networks import nets
from torch import nn

from covid_cxr.models.zoo.classifier import Classifier, Recipe


def resnet18(n_classes: int) -> Classifier:
    """ResNet-18 (He et al., CVPR 2016), from random weights."""
    return _classifier(nets.resnet18(**_options()), 512, n_classes)


def resnet50(n_classes: int) -> Classifier:
    """ResNet-50 with bottlenecks (He et al., CVPR 2016), from random weights."""
    return _classifier(nets.resnet50(**_options()), 2048, n_classes)


def _options() -> dict[str, Any]:
    # MONAI's first stride is 1, made for small volumes; radiographs take the paper's 2
    return {"spatial_dims": 2, "n_input_channels": 3, "conv1_t_stride": 2, "feed_forward": False}


def _classifier(network: nn.Module, width: int, n_classes: int) -> Classifier:
    stem = (network.conv1, network.bn1, network.act, network.maxpool)
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    features = nn.Sequential(*stem, *stages)  # type: ignore[arg-type]
    return Classifier(features, nn.Linear(width, n_classes), Recipe(3e-4))
