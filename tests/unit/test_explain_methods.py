from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from covid_cxr import registry
from covid_cxr.errors import BundleError, InputError, UnknownName
from covid_cxr.explain import EXPLAINERS, Options, cam, get, gradients
from covid_cxr.explain.contract import OPTIONS, QuadrantModel, dotted_film
from covid_cxr.explain.grid import enlarge, from_cells, mask_on_grid
from covid_cxr.models import zoo


def test_listing_the_explainers_imports_none() -> None:
    assert list(EXPLAINERS) == ["lime", "cam", "gradcam"]
    assert all(":" in target for target in EXPLAINERS.values())


def test_get_returns_the_function() -> None:
    assert get("cam") is cam.explain


def test_a_misspelt_explainer_is_no_other_explainer() -> None:
    with pytest.raises(UnknownName, match="unknown explainer 'gradcma': did you mean 'gradcam'"):
        get("gradcma")


def test_an_installed_plugin_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint("mine", "covid_cxr.explain.cam:explain", "covid_cxr.explainers")
    thief = EntryPoint("lime", "covid_cxr.explain.cam:explain", "covid_cxr.explainers")
    monkeypatch.setattr(registry, "entry_points", lambda group: [plugin, thief])
    assert get("mine") is cam.explain
    assert get("lime") is not cam.explain


def test_enlarge_by_hand() -> None:
    # Pixel centres at 0.25, 0.75, 1.25, 1.75 of two cells whose centres are at 0.5 and 1.5.
    fine = enlarge(np.array([[0, 4]], dtype=np.float32), (1, 4))
    assert fine.tolist() == [[0, 1, 3, 4]]


def test_mask_on_grid_by_hand() -> None:
    mask = np.zeros((4, 6), dtype=bool)
    mask[1, 4] = True  # grid cell (0, 1) of 2 x 2 looks at row 1.0, column 4.5
    assert mask_on_grid(mask, (2, 2)).tolist() == [[False, True], [False, False]]
    with pytest.raises(InputError, match="expected bool"):
        mask_on_grid(mask.astype(np.uint8), (2, 2))


def test_cam_of_three_classes_is_against_the_mean_of_the_others() -> None:
    maps = np.array([[[1, 2]], [[3, 5]], [[5, 11]]], dtype=np.float32)
    assert cam.margin(maps, 2).tolist() == [[3, 7.5]]  # 5 - (1 + 3) / 2, 11 - (2 + 5) / 2
    assert cam.margin(maps, 0).tolist() == [[-3, -6]]


def test_binary_cam_takes_the_log_odds_apart() -> None:
    model, film = QuadrantModel(), dotted_film()
    probability = model.probabilities(film[None])[0]
    maps = model.cam(film)
    assert maps is not None
    assert cam.margin(maps, 1).sum() / 16 == pytest.approx(
        np.log(probability[1] / probability[0]), abs=1e-5
    )


def test_cam_where_there_is_none_says_what_works() -> None:
    class _NoMap(QuadrantModel):
        def cam(self, image: np.ndarray) -> None:
            return None

    with pytest.raises(InputError, match=r"no class activation map.*use lime, or gradcam"):
        cam.explain(dotted_film(), _NoMap(), "covid-19", OPTIONS)


def test_gradcam_without_weights_says_what_works() -> None:
    with pytest.raises(InputError, match=r"ships no weights\.safetensors; use a bundle from your"):
        gradients.gradcam(dotted_film(), QuadrantModel(), "covid-19", OPTIONS)


class _Output(NamedTuple):
    logits: Tensor


class _TwoChannels(nn.Module):
    """Features: the image and its negative, on 2 x 2 cells; logits linear in their means."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.AvgPool2d(2))
        self.head = nn.Linear(2, 3, bias=False)
        with torch.no_grad():
            self.features[0].weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[0.0, 0.0], [2.0, 0.0], [8.0, 4.0]]))

    def forward(self, images: Tensor) -> _Output:
        return _Output(self.head(self.features(images).mean(dim=(2, 3))))


def test_gradcam_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Image 0..15; 2 x 2 means are 2.5, 4.5, 10.5, 12.5. Margin of class 2: weights
    # (8, 4) - ((0, 0) + (2, 0)) / 2 = (7, 4); each position's gradient is a quarter of that,
    # and so is its mean. Map: (7 * a - 4 * a) / 4 = 0.75 a.
    monkeypatch.setattr(gradients.zoo, "load_weights", lambda folder: _TwoChannels())
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    model = QuadrantModel(weights=Path("x"), classes=("normal", "pneumonia", "covid-19"))
    coarse = np.array([[2.5, 4.5], [10.5, 12.5]], dtype=np.float32) * 0.75
    found = gradients.gradcam(image, model, "covid-19", Options())
    np.testing.assert_allclose(found.attribution, from_cells(coarse, (4, 4)), rtol=1e-6)
    # Class 0: (0, 0) - (10, 4) / 2 = (-5, -2), so (-5 + 2) a / 4: negative values are kept.
    found = gradients.gradcam(image, model, "normal", Options())
    np.testing.assert_allclose(found.attribution, -from_cells(coarse, (4, 4)), rtol=1e-6)


def _bundle(folder: Path, architecture: str) -> nn.Module:
    torch.manual_seed(0)
    network = zoo.build(architecture, 2).eval()
    save_file(network.state_dict(), folder / "weights.safetensors")
    manifest = {"architecture": architecture, "classes": ["non-covid-19", "covid-19"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return network


@pytest.mark.parametrize("architecture", ["efficientnet-lite0", "densenet121"])
def test_gradcam_of_a_pooled_linear_head_is_its_cam(tmp_path: Path, architecture: str) -> None:
    # Selvaraju et al., section 3: for such a head Grad-CAM is the class activation map over h * w.
    network = _bundle(tmp_path, architecture)
    film = np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)
    with torch.no_grad():
        maps = network.cam(network(torch.from_numpy(film[None])).features)[0].numpy()
    model = QuadrantModel(weights=tmp_path)
    found = gradients.gradcam(film, model, "covid-19", OPTIONS).attribution
    expected = from_cells(cam.margin(maps, 1), (64, 64)) / maps[0].size
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    assert np.abs(expected).max() > 0


def test_gradcam_works_where_the_head_is_not_pooled(tmp_path: Path) -> None:
    _bundle(tmp_path, "dcnn-resnet")
    film = np.random.default_rng(0).random((1, 224, 224), dtype=np.float32)
    model = QuadrantModel(weights=tmp_path)
    found = gradients.gradcam(film, model, "covid-19", OPTIONS).attribution
    other = gradients.gradcam(film, model, "non-covid-19", OPTIONS).attribution
    assert found.shape == (224, 224)
    assert np.abs(found).max() > 0
    np.testing.assert_allclose(found, -other, atol=1e-6)


def test_a_folder_without_weights_is_a_bundle_error(tmp_path: Path) -> None:
    _bundle(tmp_path, "resnet18")
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match="weights"):
        gradients.gradcam(dotted_film(), QuadrantModel(weights=tmp_path), "covid-19", OPTIONS)
