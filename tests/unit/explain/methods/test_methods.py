from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from safetensors.torch import save_file
from torch import Tensor, nn

import covid_cxr
from covid_cxr import explain, registry
from covid_cxr.errors import BundleError, InputError, UnknownName
from covid_cxr.explain import EXPLAINERS, Settings, get
from covid_cxr.explain.methods import cam, gradients
from covid_cxr.explain.resampling import enlarge, from_cells, mask_on_grid
from covid_cxr.inference.explaining import check_method
from covid_cxr.models import zoo
from covid_cxr.testing.explainers import QuadrantModel, dotted_input
from covid_cxr.types import FloatArray

Baseline = Literal["dataset", "dark", "blur"]


def test_listing_the_explainers_imports_none() -> None:
    assert list(EXPLAINERS) == [
        *("lime", "occlusion", "occlusion-regions", "agreement", "cam"),
        *("gradcam", "gradcam++", "integrated-gradients"),
    ]
    assert all(":" in target for target in EXPLAINERS.values())


def test_get_returns_the_function() -> None:
    assert get("cam").method is cam.explain


def test_a_misspelt_explainer_is_no_other_explainer() -> None:
    with pytest.raises(UnknownName, match="unknown explainer 'gradcma': did you mean 'gradcam'"):
        get("gradcma")


def test_an_installed_plugin_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint("mine", "covid_cxr.explain.methods.cam:explain", "covid_cxr.explainers")
    thief = EntryPoint("lime", "covid_cxr.explain.methods.cam:explain", "covid_cxr.explainers")
    monkeypatch.setattr(registry, "entry_points", lambda group: [plugin, thief])
    assert get("mine").method is cam.explain
    assert get("lime").method is not cam.explain


class NeedsWeights(Settings):
    needs: ClassVar[str | None] = explain.WEIGHTS


def reads_weights(
    image: FloatArray, model: explain.Model, index: int, settings: NeedsWeights
) -> FloatArray:
    return image[0]


def test_a_plugin_says_what_it_needs_of_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint("mine", f"{__name__}:reads_weights", explain.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [plugin])
    shipped = covid_cxr.default_bundle()  # without weights
    with pytest.raises(InputError, match=r"'mine' needs weights .* explained by lime, .*, cam$"):
        check_method(shipped, "mine")
    monkeypatch.setattr(NeedsWeights, "needs", None)
    check_method(shipped, "mine")


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
    model, radiograph = QuadrantModel(), dotted_input()
    probability = model.probabilities(radiograph[None])[0]
    maps = model.cam(radiograph)
    assert maps is not None
    assert cam.margin(maps, 1).mean() == pytest.approx(
        np.log(probability[1] / probability[0]), abs=1e-5
    )


def test_cam_where_there_is_none_says_what_works() -> None:
    class _NoMap(QuadrantModel):
        def cam(self, image: np.ndarray) -> None:
            return None

    with pytest.raises(InputError, match=r"no class activation map.*use lime, or gradcam"):
        get("cam")(dotted_input(), _NoMap(), "covid-19")


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "integrated-gradients"])
def test_a_method_without_its_weights_says_what_works(method: str) -> None:
    with pytest.raises(InputError, match=r"ships no weights\.safetensors; use a bundle from your"):
        get(method)(dotted_input(), QuadrantModel(), "covid-19")


class _Output(NamedTuple):
    logits: Tensor
    features: Tensor


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
        features = self.features(images)
        return _Output(self.head(features.mean(dim=(2, 3))), features)


def test_gradcam_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Image 0..15; 2 x 2 means are 2.5, 4.5, 10.5, 12.5. Margin of class 2: weights
    # (8, 4) - ((0, 0) + (2, 0)) / 2 = (7, 4); each position's gradient is a quarter of that,
    # and so is its mean. Map: (7 * a - 4 * a) / 4 = 0.75 a.
    monkeypatch.setattr(gradients.zoo, "load_weights", lambda folder: _TwoChannels())
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    model = QuadrantModel(weights=Path("x"), classes=("normal", "pneumonia", "covid-19"))
    coarse = np.array([[2.5, 4.5], [10.5, 12.5]], dtype=np.float32) * 0.75
    found = get("gradcam")(image, model, "covid-19")
    np.testing.assert_allclose(found.attribution, from_cells(coarse, (4, 4)), rtol=1e-6)
    # Class 0: (0, 0) - (10, 4) / 2 = (-5, -2), so (-5 + 2) a / 4: negative values are kept.
    found = get("gradcam")(image, model, "normal")
    np.testing.assert_allclose(found.attribution, -from_cells(coarse, (4, 4)), rtol=1e-6)


def _bundle(folder: Path, architecture: str) -> nn.Module:
    torch.manual_seed(0)
    network = zoo.build(architecture, 2).eval()
    save_file(network.state_dict(), folder / "weights.safetensors")
    manifest = {
        "architecture": architecture,
        "classes": ["non-covid-19", "covid-19"],
        "preprocess": {"size": 224},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return network


@pytest.mark.parametrize("architecture", ["efficientnet-lite0", "densenet121"])
def test_gradcam_of_a_pooled_linear_head_is_its_cam(tmp_path: Path, architecture: str) -> None:
    # Selvaraju et al., section 3: for such a head Grad-CAM is the class activation map over h * w.
    network = _bundle(tmp_path, architecture)
    radiograph = np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)
    with torch.no_grad():
        maps = network.cam(network(torch.from_numpy(radiograph[None])).features)[0].numpy()
    model = QuadrantModel(weights=tmp_path)
    found = get("gradcam")(radiograph, model, "covid-19").attribution
    expected = from_cells(cam.margin(maps, 1), (64, 64)) / maps[0].size
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    assert np.abs(expected).max() > 0


def test_gradcam_works_where_the_head_is_not_pooled(tmp_path: Path) -> None:
    _bundle(tmp_path, "dcnn-resnet")
    radiograph = np.random.default_rng(0).random((1, 224, 224), dtype=np.float32)
    model = QuadrantModel(weights=tmp_path)
    found = get("gradcam")(radiograph, model, "covid-19").attribution
    other = get("gradcam")(radiograph, model, "non-covid-19").attribution
    assert found.shape == (224, 224)
    assert np.abs(found).max() > 0
    np.testing.assert_allclose(found, -other, atol=1e-6)


def test_a_folder_without_weights_is_a_bundle_error(tmp_path: Path) -> None:
    _bundle(tmp_path, "resnet18")
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match="weights"):
        get("gradcam")(dotted_input(), QuadrantModel(weights=tmp_path), "covid-19")


class _OneChannel(nn.Module):
    """Features: the image itself, at least 0; logits -m/2 and +m/2, m its weighted sum."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, images: Tensor) -> _Output:
        features = images.clone()
        margin = (features * self.weights).sum(dim=(1, 2, 3))
        return _Output(torch.stack([-margin / 2, margin / 2], dim=1), features)


def _cells(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module, radiograph: list[list[float]]
) -> float:
    """Return the weight that Grad-CAM++ gives the one channel: the map over the features."""
    monkeypatch.setattr(gradients.zoo, "load_weights", lambda folder: network)
    monkeypatch.setattr(gradients, "from_cells", lambda cells, shape: cells)
    model = QuadrantModel(weights=Path("x"))
    image = np.array([radiograph], dtype=np.float32)
    found = get("gradcam++")(image, model, "covid-19")
    weight = found.attribution / image[0]
    assert weight == pytest.approx(np.full_like(weight, weight[0, 0]))
    return float(weight[0, 0])


def test_gradcam_plus_plus_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Features sum to 10. Gradients 1 and 0.1 support with 1 / (2 + 1 * 10) and 0.1 / (2 + 1);
    # -0.2 speaks against with 0.2 / (2 + 2); 0 says nothing.
    network = _OneChannel([[1.0, 0.1], [-0.2, 0.0]])
    weight = _cells(monkeypatch, network, [[1.0, 2.0], [3.0, 4.0]])
    assert weight == pytest.approx(1 / 12 + 0.1 / 3 - 0.2 / 4)


def test_gradcam_plus_plus_is_the_papers_for_positive_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Equations 5 and 10 of the paper, by differentiating Y = exp(S) three times.
    slopes = [[0.3, 0.05], [0.2, 0.7]]
    radiograph = [[0.1, 0.5], [0.2, 0.9]]
    features = torch.tensor(radiograph, dtype=torch.float64, requires_grad=True)
    score = (features * torch.tensor(slopes, dtype=torch.float64)).sum().exp()
    weight = 0.0
    for position in np.ndindex(2, 2):
        grads = [score]
        for _ in range(3):
            (grad,) = torch.autograd.grad(grads[-1], features, create_graph=True)
            grads.append(grad[position])
        first, second, third = (each.item() for each in grads[1:])
        alpha = second / (2 * second + features.sum().item() * third)
        weight += alpha * max(first, 0)
    found = _cells(monkeypatch, _OneChannel(slopes), radiograph)
    assert found == pytest.approx(weight / score.item(), rel=1e-5)


def test_gradcam_is_captums(tmp_path: Path) -> None:
    network = _bundle(tmp_path, "resnet18")
    radiograph = np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)

    def margin(images: Tensor) -> Tensor:
        logits: Tensor = network(images).logits
        return logits[:, 1] - logits[:, 0]

    images = torch.from_numpy(radiograph[None].copy()).requires_grad_()
    cells = LayerGradCam(margin, network.features).attribute(images)[0, 0].detach().numpy()
    found = get("gradcam")(radiograph, QuadrantModel(weights=tmp_path), "covid-19")
    expected = from_cells(cells, (64, 64))
    np.testing.assert_allclose(found.attribution, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("architecture", ["efficientnet-lite0-stride16", "dcnn-resnet"])
def test_gradcam_plus_plus_of_the_other_class_is_the_negative(
    tmp_path: Path, architecture: str
) -> None:
    _bundle(tmp_path, architecture)
    radiograph = np.random.default_rng(0).random((1, 224, 224), dtype=np.float32)
    model = QuadrantModel(weights=tmp_path)
    found = get("gradcam++")(radiograph, model, "covid-19").attribution
    other = get("gradcam++")(radiograph, model, "non-covid-19").attribution
    assert np.abs(found).max() > 0
    np.testing.assert_allclose(found, -other, atol=1e-5 * np.abs(found).max())


class _Squares(nn.Module):
    """Three classes; logits 0, 2 and the sum of squares of the pixels."""

    def forward(self, images: Tensor) -> _Output:
        squares = (images**2).sum(dim=(1, 2, 3))
        flat = torch.zeros_like(squares)
        return _Output(torch.stack([flat, flat + 2, squares], dim=1), images)


@pytest.mark.parametrize(("baseline", "start"), [("dataset", 0.5), ("dark", 0.2)])
def test_integrated_gradients_by_hand(
    monkeypatch: pytest.MonkeyPatch, baseline: Baseline, start: float
) -> None:
    # Along the way from b to x a pixel's gradient is 2 (b + t (x - b)), whose mean is b + x:
    # its share is (x - b)(x + b) = x^2 - b^2.
    monkeypatch.setattr(gradients.zoo, "load_weights", lambda folder: _Squares())
    model = QuadrantModel(weights=Path("x"), classes=("normal", "pneumonia", "covid-19"))
    image = np.array([[[0.0, 0.5], [0.6, 1.0]]], dtype=np.float32)
    found = get("integrated-gradients")(
        image, model, "covid-19", gradients.IntegratedGradientsSettings(baseline=baseline)
    )
    np.testing.assert_allclose(found.attribution, image[0] ** 2 - start**2, atol=1e-6)
    assert found.parameters["baseline"] == baseline
    # Squares sum to 0.25 + 0.36 + 1; the other two logits are 1 in the mean.
    assert found.parameters["margin"] == pytest.approx(1.61 - 1)
    assert found.parameters["margin_of_baseline"] == pytest.approx(4 * start**2 - 1)
    assert found.parameters["completeness_delta"] == pytest.approx(0, abs=1e-5)
    # Class "normal": 0 less the mean of 2 and the squares, so half of each share, against it.
    found = get("integrated-gradients")(
        image, model, "normal", gradients.IntegratedGradientsSettings(baseline=baseline)
    )
    np.testing.assert_allclose(found.attribution, (start**2 - image[0] ** 2) / 2, atol=1e-6)


def test_integrated_gradients_from_a_blurred_radiograph() -> None:
    radiograph = dotted_input()
    start = gradients.baseline(radiograph, gradients.IntegratedGradientsSettings(baseline="blur"))
    assert start.shape == radiograph.shape
    assert float(start.std()) < 0.1 * float(radiograph.std())
    assert float(start.mean()) == pytest.approx(float(radiograph.mean()), abs=1e-3)


@pytest.mark.parametrize(
    # Steps are coarse for a deep network of kinks with a head that was never trained, whose
    # margins hardly differ: what is missed is said, and it is little where there are few kinks.
    ("architecture", "size", "bound", "baseline"),
    [("dcnn-resnet", 224, 0.05, "dataset"), ("efficientnet-lite0", 64, np.inf, "blur")],
)
def test_integrated_gradients_add_up_or_say_what_is_missing(
    tmp_path: Path, architecture: str, size: int, bound: float, baseline: Baseline
) -> None:
    network = _bundle(tmp_path, architecture)
    radiograph = np.random.default_rng(0).random((1, size, size), dtype=np.float32)
    options = gradients.IntegratedGradientsSettings(steps=16, baseline=baseline, batch_size=8)
    model = QuadrantModel(weights=tmp_path)
    found = get("integrated-gradients")(radiograph, model, "covid-19", options)
    ends = torch.from_numpy(np.stack([radiograph, gradients.baseline(radiograph, options)]))
    with torch.no_grad():
        logits = network(ends).logits
    margins = (logits[:, 1] - logits[:, 0]).numpy()
    difference = float(margins[0] - margins[1])
    missed = float(found.attribution.astype(np.float64).sum()) - difference
    assert abs(missed) <= bound * abs(difference)
    assert found.parameters["completeness_delta"] == pytest.approx(missed, abs=1e-4)
    assert found.parameters["margin"] == pytest.approx(margins[0], abs=1e-4)
    assert found.parameters["margin_of_baseline"] == pytest.approx(margins[1], abs=1e-4)


@pytest.mark.parametrize(
    ("batch_size", "steps", "most"),
    [(5, 20, 5), (64, 64, 16)],
)
def test_steps_and_batches_of_integrated_gradients(
    monkeypatch: pytest.MonkeyPatch, batch_size: int, steps: int, most: int
) -> None:
    asked: list[int] = []

    class _Counts(_Squares):
        def forward(self, images: Tensor) -> _Output:
            asked.append(len(images))
            return super().forward(images)

    monkeypatch.setattr(gradients.zoo, "load_weights", lambda folder: _Counts())
    model = QuadrantModel(weights=Path("x"))
    options = gradients.IntegratedGradientsSettings(steps=steps, batch_size=batch_size)
    found = get("integrated-gradients")(dotted_input(), model, "covid-19", options)
    assert found.parameters["steps"] == steps
    assert max(asked) == most  # a backward pass remembers every layer of each image
    assert steps <= sum(asked) <= steps + 4  # and both ends, by captum and by us


def test_weights_are_read_once_until_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bundle(tmp_path, "resnet18")
    load, loads = zoo.load_weights, []
    monkeypatch.setattr(
        gradients.zoo, "load_weights", lambda folder: loads.append(folder) or load(folder)
    )
    model = QuadrantModel(weights=tmp_path)
    first = get("gradcam")(dotted_input(), model, "covid-19").attribution
    get("gradcam++")(dotted_input(), model, "covid-19")
    get("integrated-gradients")(
        dotted_input(), model, "covid-19", gradients.IntegratedGradientsSettings(steps=10)
    )
    again = get("gradcam")(dotted_input(), model, "covid-19").attribution
    assert len(loads) == 1
    assert np.array_equal(first, again)

    weights = {name: value * 1.5 for name, value in load(tmp_path).state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    changed = get("gradcam")(dotted_input(), model, "covid-19").attribution
    assert len(loads) == 2
    assert not np.allclose(first, changed)
