from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from covid_cxr.explain import EXPLAINERS, Model
from covid_cxr.explain.methods import agreement, cam, gradients, lime, occlusion
from covid_cxr.explain.superpixels import region_means
from covid_cxr.testing.explainers import (
    SPACING,
    ExplainerContract,
    OpposedModel,
    QuadrantModel,
    dotted_input,
)
from covid_cxr.types import Explanation, FloatArray

TOYS = {"quadrant": QuadrantModel(), "opposed": OpposedModel()}


QUICKSHIFT = {"samples": 300, "superpixels": "quickshift", "stopping_reliability": None}


class TestLime(ExplainerContract):
    explain = staticmethod(lime.explain)
    settings = QUICKSHIFT


class TestLimeAsItIsByDefault(ExplainerContract):
    explain = staticmethod(lime.explain)


class TestOcclusion(ExplainerContract):
    explain = staticmethod(occlusion.explain)

    def adds_up(
        self, explanation: Explanation, model: QuadrantModel
    ) -> tuple[ArrayLike, ArrayLike] | None:
        # Windows are 8 wide and move by 4, dots lie 8 apart: every window with a dot has just one
        # and leaves its own mean of it, (63 * 0.2 + 1) / 64 = 0.2125. So each window over a dot
        # tells the same fall, and so does their mean.
        effects = model.reads() * (1 - 0.2125)
        return explanation.attribution[dots(model)], effects[dots(model)]


class TestOcclusionOfRegions(ExplainerContract):
    explain = staticmethod(occlusion.explain_regions)
    settings: ClassVar[Mapping[str, object]] = {"superpixels": "quickshift"}

    def adds_up(
        self, explanation: Explanation, model: QuadrantModel
    ) -> tuple[ArrayLike, ArrayLike] | None:
        # The model is linear in the pixels, so a region's effect is what it reads there times
        # how far each pixel is from the region's mean.
        assert explanation.segments is not None
        pixels = dotted_input()[0]
        change = pixels - region_means(pixels, explanation.segments)[explanation.segments]
        effects = np.bincount(explanation.segments.ravel(), (model.reads() * change).ravel())
        assert np.count_nonzero(effects) > 10
        return explanation.weights, effects


def dots(model: QuadrantModel) -> np.ndarray:
    return model.reads() != 0


class TestAgreement(ExplainerContract):
    explain = staticmethod(agreement.explain)
    settings = QUICKSHIFT


class TestCam(ExplainerContract):
    explain = staticmethod(cam.explain)
    largest = 4.0  # a logit is the mean over 64 tiles, of which 16 speak

    def adds_up(
        self, explanation: Explanation, model: QuadrantModel
    ) -> tuple[ArrayLike, ArrayLike] | None:
        # The toy head has no bias: the mean of the map before smoothing is the margin itself.
        maps = model.cam(dotted_input())
        assert maps is not None
        return cam.margin(maps, 1).mean(), log_odds(model, dotted_input())


def log_odds(model: QuadrantModel, image: np.ndarray) -> float:
    against, support = model.probabilities(image[None])[0].astype(np.float64)
    return float(np.log(support / against))


class _Output(NamedTuple):
    logits: Tensor
    features: Tensor


class Twin(nn.Module):
    """The torch twin of a toy model: logits -m/2 and +m/2, m its log-odds.

    Features (N, 2, 8, 8): what speaks for and what speaks against, tile by tile, neither below 0,
    as those of a rectified network. The head is linear over their means.
    """

    def __init__(self, toy: QuadrantModel) -> None:
        super().__init__()
        reads = torch.from_numpy(toy.reads())
        self.reads = torch.stack([reads.clamp(min=0), (-reads).clamp(min=0)])
        self.head = torch.tensor([[-0.5, 0.5], [0.5, -0.5]])

    def forward(self, images: Tensor) -> _Output:
        sums = nn.functional.avg_pool2d(images * self.reads, SPACING) * SPACING**2
        features = sums * (sums.shape[2] * sums.shape[3])
        return _Output(features.mean(dim=(2, 3)) @ self.head.T, features)


class _WithWeights(ExplainerContract):
    """For a method that loads the bundle's network: the folder's name says which toy's twin."""

    @pytest.fixture(autouse=True)
    def _network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gradients.zoo, "load_weights", lambda folder: Twin(TOYS[folder.name]))

    def model(self) -> QuadrantModel:
        return QuadrantModel(weights=Path("quadrant"))

    def opposed(self) -> QuadrantModel:
        return OpposedModel(weights=Path("opposed"))


class TestGradCam(_WithWeights):
    explain = staticmethod(gradients.gradcam)


class TestGradCamPlusPlus(_WithWeights):
    explain = staticmethod(gradients.gradcam_plus_plus)
    # Features of 4, gradients of 1/64 each: 64 * (1/64) / (2 + 1/64 * 16 * 4) = 1/3, times 4.
    largest = 4 / 3


class TestIntegratedGradients(_WithWeights):
    explain = staticmethod(gradients.integrated_gradients)

    def adds_up(
        self, explanation: Explanation, model: QuadrantModel
    ) -> tuple[ArrayLike, ArrayLike] | None:
        grey = np.full_like(dotted_input(), 0.5)
        difference = log_odds(model, dotted_input()) - log_odds(model, grey)
        return explanation.attribution.sum(), difference


@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS.keys())
def test_the_torch_twin_answers_like_the_toy_model(toy: QuadrantModel) -> None:
    images = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    twin = Twin(toy)(images).logits.softmax(dim=1).numpy()
    assert twin == pytest.approx(toy.probabilities(images.numpy()), abs=1e-6)


def test_the_opposed_model_by_hand() -> None:
    image = dotted_input()
    assert log_odds(OpposedModel(), image) == pytest.approx(0.5, abs=1e-6)
    image[0, 32:, :32] = 0
    assert log_odds(OpposedModel(), image) == pytest.approx(1, abs=1e-6)


def test_a_broken_promise_is_noticed() -> None:
    class Liar(ExplainerContract):
        explain = staticmethod(occlusion.explain_regions)

        def adds_up(
            self, explanation: Explanation, model: QuadrantModel
        ) -> tuple[ArrayLike, ArrayLike] | None:
            return np.sum(explanation.weights), 2 * np.sum(explanation.weights)

    with pytest.raises(AssertionError, match="Not equal"):
        Liar().test_adds_up_as_the_theory_promises()


def test_a_map_that_ignores_what_speaks_against_is_noticed() -> None:
    class Rectified(ExplainerContract):
        @staticmethod
        def explain(image: FloatArray, model: Model, index: int) -> FloatArray:
            return np.maximum(cam.explain(image, model, index).attribution, 0)

    with pytest.raises(AssertionError, match=r"sum to [0-9]+ and 0[0-9.]+, expected one above 0"):
        Rectified().test_signs_of_a_linear_model()
    # cam is in units of its own
    with pytest.raises(AssertionError, match=r"pixel is [1-4]\.[0-9]+, expected .* at most 1;"):
        Rectified().test_map_is_bounded()


def _tested(case: type[ExplainerContract]) -> set[str]:
    below = {name for subclass in case.__subclasses__() for name in _tested(subclass)}
    explain = getattr(case, "explain", None)
    if explain is None or not case.__name__.startswith("Test"):  # pytest would not run it
        return below
    return below | {f"{explain.__module__}:{explain.__name__}"}


def test_every_registered_explainer_is_tested_to_the_contract() -> None:
    assert set(EXPLAINERS.values()) <= _tested(ExplainerContract)
