"""Random layers, on a network that is small and a bundle folder that is just its weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from covid_cxr.errors import InputError
from covid_cxr.explain import get
from covid_cxr.explain.measures.sanity import STAGES, NetworkModel, cascade, randomise, similarity
from covid_cxr.models import zoo
from covid_cxr.models.zoo.classifier import Classifier, Recipe

EDGE = 64


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((2, 1, EDGE, EDGE)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder as far as the cascade reads it."""
    out = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    network = zoo.build("efficientnet-lite0-stride16", 2)
    manifest = {
        "preprocess": {"size": EDGE},
        "architecture": "efficientnet-lite0-stride16",
        "classes": ["non-covid-19", "covid-19"],
        "id": "abc",
        "temperature": 2.0,
    }
    (out / "manifest.json").write_text(json.dumps(manifest))
    safetensors.torch.save_file(network.state_dict(), out / "weights.safetensors")
    return out


def small() -> Classifier:
    torch.manual_seed(1)
    features = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
    )
    return Classifier(features, nn.Linear(6, 2), Recipe(1e-3)).eval()


def changed(before: dict[str, torch.Tensor], network: nn.Module) -> set[str]:
    after = network.state_dict()
    return {name.rsplit(".", 1)[0] for name in after if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("share", "layers"),
    [
        (0.0, {"head"}),
        (0.4, {"head", "features.4"}),  # two of five
        (0.6, {"head", "features.4", "features.3"}),
        (1.0, {"head", "features.4", "features.3", "features.1", "features.0"}),
    ],
)
def test_layers_are_set_back_from_the_head_down(
    share: float, layers: set[str], images: np.ndarray
) -> None:
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    randomise(network, share, images, seed=0)
    assert changed(before, network) == layers
    assert not network.training
    assert not any(each.training for each in network.modules())


def test_the_signal_does_not_die(images: np.ndarray) -> None:
    """Random batch norms take their statistics from images, so features have unit variance."""
    network = small()
    randomise(network, 1.0, images, seed=0)
    with torch.inference_mode():
        features = network(torch.from_numpy(images)).features
    np.testing.assert_allclose(features.std(dim=(0, 2, 3)), 1, atol=0.05)
    np.testing.assert_allclose(features.mean(dim=(0, 2, 3)), 0, atol=0.05)


def test_random_layers_follow_the_seed_and_leave_the_global_state_alone(
    images: np.ndarray,
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    heads = []
    for seed in (3, 3, 4):
        network = small_without_seeding()
        randomise(network, 0.0, images, seed)
        heads.append(network.head.weight.detach().clone())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    torch.manual_seed(5)
    randomise(small_fixed(), 1.0, images, 3)
    assert torch.equal(torch.rand(1), expected)


def small_without_seeding() -> Classifier:
    return Classifier(nn.Sequential(nn.Conv2d(3, 6, 3)), nn.Linear(6, 2), Recipe(1e-3)).eval()


def small_fixed() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        return small()


def test_a_layer_that_cannot_be_set_back_is_named(images: np.ndarray) -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.factor

    network = Classifier(Scale(), nn.Linear(3, 2), Recipe(1e-3)).eval()
    with pytest.raises(InputError, match="layer Scale cannot be set back"):
        randomise(network, 1.0, images, seed=0)


def test_a_network_answers_as_its_model_would(images: np.ndarray) -> None:
    network = small()
    model = NetworkModel(network, None, ("non-covid-19", "covid-19"), "x", temperature=2.0)
    with torch.inference_mode():
        logits = network(torch.from_numpy(images)).logits / 2
    np.testing.assert_allclose(
        model.probabilities(images), torch.softmax(logits, dim=1).numpy(), atol=1e-6
    )
    maps = model.cam(images[0])
    assert maps is not None
    bias = network.head.bias.detach().numpy() / 2
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + bias, logits[0], atol=1e-5)


def test_maps_fall_apart_with_the_network(folder: Path, images: np.ndarray) -> None:
    """For a method of the graph and one that reads the weights; the whole cascade, in order."""
    trained = NetworkModel(zoo.load_weights(folder), folder, ("non-covid-19", "covid-19"), "abc")
    image = images[0]
    before = {
        method: method(image, trained, "covid-19").attribution
        for method in (get("cam"), get("gradcam"))
    }
    correlations = {}
    for stage, model in cascade(folder, images, seed=1):
        assert model.weights is not None
        assert (model.temperature, model.bundle_id) == (2.0, f"abc-{stage}")
        for method, grid in before.items():
            after = method(image, model, "covid-19")
            correlations[stage, method] = similarity(grid, after.attribution)["spearman"]
        folders = model.weights
        # both methods look at the same random network: behind a pooled head they are one map
        scores = similarity(
            get("cam")(image, model, "covid-19").attribution,
            get("gradcam")(image, model, "covid-19").attribution,
        )
        assert scores["spearman"] > 0.999
    assert list(dict.fromkeys(stage for stage, _ in correlations)) == list(STAGES)
    assert not folders.exists()  # nothing is left behind
    assert all(value < 0.9 for value in correlations.values())


def test_a_bundle_without_weights_cannot_be_randomised(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"ships no weights\.safetensors"):
        next(cascade(tmp_path, images))


def test_similarity_by_hand() -> None:
    grid = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    assert similarity(grid, 7 * grid) == pytest.approx(
        {"spearman": 1, "spearman_strength": 1, "ssim": 1}
    )
    turned = similarity(grid, -grid)
    assert turned["spearman"] == pytest.approx(-1)
    assert turned["spearman_strength"] == pytest.approx(1)
    assert turned["ssim"] < 0
    assert similarity(grid, np.zeros_like(grid))["spearman"] == 0
