"""DenseNet-121 from MONAI, trained from scratch."""

from __future__ import annotations

from monai.networks.nets import DenseNet121
from torch import nn

from covid_cxr.models.zoo.classifier import Classifier, Recipe


def densenet121(n_classes: int) -> Classifier:
    """DenseNet-121 (Huang et al., CVPR 2017), from random weights."""
    network = DenseNet121(spatial_dims=2, in_channels=3, out_channels=n_classes)
    features = nn.Sequential(network.features, nn.ReLU())
    return Classifier(features, nn.Linear(1024, n_classes), Recipe(3e-4))
