from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from covid_cxr.explain import EXPLAINERS, cam, gradients, lime
from covid_cxr.explain.contract import (
    SPACING,
    ExplainerContract,
    QuadrantModel,
    dots_of_quadrant,
)


class TestLime(ExplainerContract):
    explain = staticmethod(lime.explain)


class TestCam(ExplainerContract):
    explain = staticmethod(cam.explain)


class _Output(NamedTuple):
    logits: Tensor


class _Dots(nn.Module):
    """(N, 1, 64, 64) -> (N, 1, 8, 8): the brightness of the quadrant's dots, tile by tile."""

    def forward(self, images: Tensor) -> Tensor:
        reads = torch.from_numpy(dots_of_quadrant())
        return nn.functional.avg_pool2d(images * reads, SPACING) * SPACING**2


class _QuadrantNetwork(nn.Module):
    """The torch twin of `QuadrantModel`: logits -m/2 and +m/2, m the mean of the 16 dots."""

    def __init__(self) -> None:
        super().__init__()
        self.features = _Dots()

    def forward(self, images: Tensor) -> _Output:
        mean = self.features(images).sum(dim=(1, 2, 3)) / 16
        return _Output(torch.stack([-mean / 2, mean / 2], dim=1))


class TestGradCam(ExplainerContract):
    explain = staticmethod(gradients.gradcam)

    @pytest.fixture(autouse=True)
    def _network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gradients.zoo, "load_weights", lambda folder: _QuadrantNetwork())

    def model(self) -> QuadrantModel:
        return QuadrantModel(weights=Path("bundle"))


def test_the_torch_twin_answers_like_the_toy_model() -> None:
    images = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    twin = _QuadrantNetwork()(images).logits.softmax(dim=1).numpy()
    assert twin == pytest.approx(QuadrantModel().probabilities(images.numpy()), abs=1e-6)


def test_every_registered_explainer_is_held_to_the_contract() -> None:
    held = {
        f"{case.explain.__module__}:{case.explain.__name__}"
        for case in ExplainerContract.__subclasses__()
    }
    assert set(EXPLAINERS.values()) <= held
