"""Every built-in architecture passes the contract; docs/how-to/extend has one that is whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from covid_cxr.models.zoo import ARCHITECTURES, dcnn_resnet, densenet, efficientnet, residual
from covid_cxr.models.zoo.classifier import Classifier, Recipe
from covid_cxr.testing.architectures import ArchitectureContract


def tiny(n_classes: int) -> Classifier:
    features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU())
    return Classifier(features, nn.Linear(4, n_classes), Recipe(1e-3))


class _BuiltIn(ArchitectureContract):
    # Takes up to 40 s; `check_parity` compares the two at every export of a bundle.
    test_exported_graph_agrees = None


class TestDcnnResNet(_BuiltIn):
    build = staticmethod(dcnn_resnet.dcnn_resnet)
    size = 224


class TestEfficientNetLite0(_BuiltIn):
    build = staticmethod(efficientnet.efficientnet_lite0)


class TestEfficientNetLite0Stride16(_BuiltIn):
    build = staticmethod(efficientnet.efficientnet_lite0_stride16)


class TestResNet18(_BuiltIn):
    build = staticmethod(residual.resnet18)


class TestResNet50(_BuiltIn):
    build = staticmethod(residual.resnet50)


class TestDenseNet121(_BuiltIn):
    build = staticmethod(densenet.densenet121)


def test_every_registered_architecture_is_tested() -> None:
    tested = {case.build for case in _BuiltIn.__subclasses__()}
    assert {f"{build.__module__}:{build.__name__}" for build in tested} == set(
        ARCHITECTURES.values()
    )


class BatchDependent(Classifier):
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        output = super().forward(images)
        return output._replace(logits=output.logits - output.logits.mean(dim=0))


def test_violations_are_detected() -> None:
    class Biased(ArchitectureContract):
        size = 32

        @staticmethod
        def build(n_classes: int) -> Classifier:
            features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU())
            return BatchDependent(features, nn.Linear(4, n_classes), Recipe(1e-3))

    with pytest.raises(
        AssertionError, match=r"and an image alone and in a batch differ by 0\.\d+, .* 0\.0001"
    ):
        Biased().test_an_image_does_not_depend_on_its_batch()
    with pytest.raises(AssertionError, match=r"head of the embedding differ by 0\.\d+, expected"):
        Biased().test_logits_are_linear_in_the_embedding()
    with pytest.raises(AssertionError, match=r"average of the maps differ by 0\.\d+, expected"):
        Biased().test_activation_maps_average_to_the_logits()

    class FrozenCopy(ArchitectureContract):
        size = 32

        @staticmethod
        def build(n_classes: int) -> Classifier:
            network = tiny(n_classes)
            network.unused = nn.Parameter(torch.zeros(1))
            return network

    with pytest.raises(AssertionError, match="unused"):
        FrozenCopy().test_every_weight_is_trained()
