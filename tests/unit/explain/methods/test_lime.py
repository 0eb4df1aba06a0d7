from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lime.lime_base import LimeBase
from lime.lime_image import LimeImageExplainer
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances

from covid_cxr.errors import InputError
from covid_cxr.explain import get
from covid_cxr.explain.methods.lime import (
    ORIGINAL,
    LimeSettings,
    fit,
    kernel,
    lime,
    perturbed,
    reliability,
)
from covid_cxr.explain.sampling import sample_masks
from covid_cxr.explain.superpixels import superpixels
from support.without_torch import BLOCK_TORCH


def _image(size: int = 96, seed: int = 0) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).random((size, size)), 4)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def _original(**changes: int) -> LimeSettings:
    return ORIGINAL.model_copy(update=changes)


def test_one_region_by_hand() -> None:
    # Shown: distance 0, weight 1. Fill: distance 1, weight exp(-1/3.0625)^(1/2) = 0.8493659.
    covered = math.exp(-1 / 1.75**2 / 2)
    (model,) = fit(np.array([[True], [False]]), [[0.9], [0.1]])
    scatter = 1 * covered / (1 + covered)  # weighted sum of squares about the weighted mean
    slope = 0.8 * scatter / (scatter + 1)  # ridge, alpha 1
    mean_shown, mean_answer = 1 / (1 + covered), (0.9 + 0.1 * covered) / (1 + covered)
    assert model.weights == pytest.approx([slope])
    assert slope == pytest.approx(0.2517823, abs=1e-6)
    assert model.intercept == pytest.approx(mean_answer - mean_shown * slope)
    # Of the answers' spread 0.8 the line leaves 0.8 - slope, so R2 = 1 - (1 - slope / 0.8)^2.
    assert model.fidelity == pytest.approx(1 - (1 - slope / 0.8) ** 2)


def test_kernel_by_hand() -> None:
    masks = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    # Cosines with all ones: 1, 1 / (1 * 2) = 0.5, and 0 for the empty row.
    expected = [1, math.exp(-0.25 / 3.0625 / 2), math.exp(-1 / 3.0625 / 2)]
    assert kernel(masks) == pytest.approx(expected)


@given(seed=st.integers(0, 1000), regions=st.integers(1, 40))
def test_kernel_is_that_of_cosine_distance(seed: int, regions: int) -> None:
    masks = sample_masks(regions, 20, seed)
    masks[1] = False
    distance = pairwise_distances(masks.astype(float), masks[:1].astype(float), metric="cosine")
    assert kernel(masks) == pytest.approx(np.sqrt(np.exp(-(distance.ravel() ** 2) / 1.75**2)))


@pytest.mark.parametrize("regions", [7, 40, 120])
def test_fit_equals_scikit_learn_and_the_lime_package(regions: int) -> None:
    rng = np.random.default_rng(regions)
    masks = sample_masks(regions, 500, seed=3)
    answers = 1 / (1 + np.exp(masks @ rng.normal(0, 0.5, regions) + rng.normal(0, 0.1, 500)))
    ours, opposite = fit(masks, np.stack([answers, 1 - answers], axis=1))
    np.testing.assert_allclose(opposite.weights, -ours.weights, atol=1e-12)

    features, weight = masks.astype(float), kernel(masks)
    ridge = Ridge(alpha=1).fit(features, answers, sample_weight=weight)
    np.testing.assert_allclose(ours.weights, ridge.coef_, atol=1e-6)
    assert ours.intercept == pytest.approx(ridge.intercept_, abs=1e-6)
    assert ours.fidelity == pytest.approx(ridge.score(features, answers, weight), abs=1e-6)

    package = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 1.75**2)), random_state=0)
    distance = pairwise_distances(features, features[:1], metric="cosine").ravel()
    intercept, weights, score, _ = package.explain_instance_with_data(
        features, answers[:, None], distance, 0, num_features=100_000
    )
    theirs = dict(weights)
    np.testing.assert_allclose(ours.weights, [theirs[i] for i in range(regions)], atol=1e-6)
    assert (ours.intercept, ours.fidelity) == pytest.approx((intercept, score), abs=1e-6)


def test_a_model_that_never_changes_its_mind_has_no_fidelity() -> None:
    (model,) = fit(sample_masks(5, 50, 0), np.full((50, 1), 0.25))
    assert model.fidelity is None
    assert model.weights == pytest.approx(np.zeros(5))
    assert model.intercept == pytest.approx(0.25)


def test_masks_show_everything_first_and_are_bernoulli_after() -> None:
    masks = sample_masks(regions=50, samples=1000, seed=0)
    assert masks[0].all()
    assert 0.49 < masks[1:].mean() < 0.51
    assert np.array_equal(masks, sample_masks(50, 1000, seed=0))
    assert not np.array_equal(masks, sample_masks(50, 1000, seed=1))


def test_hidden_regions_get_their_own_mean() -> None:
    image = np.array([[0.0, 0.2], [0.5, 0.9]], dtype=np.float32)
    segments = np.array([[0, 0], [1, 1]], dtype=np.int32)
    masks = np.array([[True, True], [False, True], [True, False]])
    np.testing.assert_allclose(
        [*perturbed(image, segments, masks, ORIGINAL)],
        [image, [[0.1, 0.1], [0.5, 0.9]], [[0.0, 0.2], [0.7, 0.7]]],
        atol=1e-7,
    )


def test_lime_finds_the_region_a_plain_function_reads() -> None:
    radiograph = _image()[None]
    segments = superpixels(radiograph[0], ORIGINAL)
    target = int(segments[48, 48])
    centre = radiograph[0] - radiograph[0][segments == target].mean()
    reads = np.where(segments == target, centre, 0)

    def predict_proba(images: np.ndarray) -> np.ndarray:
        score = (images[:, 0] * reads).sum(axis=(1, 2)) / (centre * reads).sum()
        return np.stack([1 - score, score], axis=1)

    found, (_, model) = lime(radiograph, predict_proba, _original(samples=400))
    # Shown it scores 1, hidden 0: the weight is 1 but for the ridge, which sees about
    # 400 / 4 * 0.97 of spread, and every other region's is nought.
    assert np.array_equal(found, segments)
    assert model.weights[target] == pytest.approx(0.99, abs=0.01)
    assert np.abs(np.delete(model.weights, target)).max() < 0.01
    assert model.fidelity > 0.99


def test_batch_size_does_not_change_the_answer() -> None:
    radiograph = _image(48)[None]

    def predict_proba(images: np.ndarray) -> np.ndarray:
        return images.std(axis=(1, 2, 3))[:, None]

    _, (one,) = lime(radiograph, predict_proba, _original(samples=50, batch_size=1))
    _, (all_at_once,) = lime(radiograph, predict_proba, _original(samples=50, batch_size=500))
    np.testing.assert_allclose(one.weights, all_at_once.weights, atol=1e-7)


@pytest.mark.parametrize("answer", [(), (3,), (2, 2), (10, 0)])
def test_a_wrong_answer_of_predict_proba_is_named(answer: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="predict_proba answered 10 images with shape"):
        lime(_image(32)[None], lambda images: np.zeros(answer), _original(samples=10))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 9}, "samples of lime is 9, expected greater than or equal to 10"),
        ({"samples": 10**9}, "samples of lime is 1000000000, expected less than or equal to 20000"),
        ({"batch_size": 0}, "batch_size of lime is 0, expected greater than or equal to 1"),
        ({"regions": 1}, "regions of lime is 1, expected greater than or equal to 2"),
        ({"regions": 100_000}, "regions of lime is 100000, expected less than or equal to 1000"),
        ({"kernel_width": 0}, "kernel_width of lime is 0, expected greater than 0"),
        ({"kernel_width": float("nan")}, "kernel_width of lime is nan, expected a finite number"),
        ({"stopping_reliability": 1.0}, "stopping_reliability of lime is 1.0, expected less than"),
        ({"fill": "black"}, "fill of lime is 'black', expected 'mean', 'dark', 'blur' or"),
        ({"seed": 1.5}, "seed of lime is 1.5, expected a valid integer"),
    ],
)
def test_settings_out_of_bounds(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        get("lime").configure(values)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore")
def test_parity_with_the_lime_package_from_picture_to_weights() -> None:
    """The package itself, with our regions and a float64 model: the same weights to 1e-6."""
    radiograph = _image(48)
    segments = superpixels(radiograph, ORIGINAL)
    reads = np.random.default_rng(5).normal(size=radiograph.shape)

    def score(grey: np.ndarray) -> np.ndarray:
        expected = 1 / (1 + np.exp(-(grey.astype(np.float64) * reads).sum(axis=(1, 2)) / 5))
        return np.stack([1 - expected, expected], axis=1)

    samples, seed = 300, 11
    theirs = LimeImageExplainer(kernel_width=1.75, random_state=seed).explain_instance(
        np.repeat(radiograph[..., None], 3, axis=2).astype(np.float64),
        lambda pictures: score(pictures[..., 0]),
        labels=(1,),
        top_labels=None,
        num_features=10_000,
        num_samples=samples,
        segmentation_fn=lambda picture: segments,
    )
    # The package's own draws: a number it uses for the segmentation, then its masks.
    random = np.random.RandomState(seed)
    random.randint(0, 1000)
    regions = int(segments.max()) + 1
    masks = random.randint(0, 2, samples * regions).reshape(samples, regions).astype(bool)
    masks[0] = True
    images = np.stack([*perturbed(radiograph, segments, masks, ORIGINAL)])
    answers = score(images)
    _, ours = fit(masks, answers)
    expected = dict(theirs.local_exp[1])
    np.testing.assert_allclose(ours.weights, [expected[i] for i in range(regions)], atol=1e-6)
    assert ours.fidelity == pytest.approx(theirs.score, abs=1e-6)


def test_early_stop_takes_fewer_samples_and_says_how_many() -> None:
    radiograph = _image(64)[None]
    segments = superpixels(radiograph[0], LimeSettings(superpixels="grid", regions=16))
    share = np.bincount(segments.ravel()) / segments.size

    def predict_proba(images: np.ndarray) -> np.ndarray:
        means = np.stack([np.bincount(segments.ravel(), image.ravel()) for image in images[:, 0]])
        score = 0.5 + (means / segments.size * np.arange(16)).sum(axis=1) / 40
        return np.stack([1 - score, score], axis=1) * share.sum()

    options = LimeSettings(
        samples=2000, superpixels="grid", regions=16, fill="dark", stopping_reliability=None
    )
    _, (_, whole) = lime(radiograph, predict_proba, options)
    _, (_, early) = lime(
        radiograph, predict_proba, options.model_copy(update={"stopping_reliability": 0.9})
    )
    assert whole.samples == 2000
    assert 128 <= early.samples < 500
    order = np.argsort(whole.weights), np.argsort(early.weights)
    assert np.corrcoef(np.argsort(order[0]), np.argsort(order[1]))[0, 1] > 0.95


def test_a_model_of_noise_is_never_called_stable() -> None:
    radiograph, rng = _image(64)[None], np.random.default_rng(0)

    def predict_proba(images: np.ndarray) -> np.ndarray:
        score = rng.random(len(images))
        return np.stack([1 - score, score], axis=1)

    options = LimeSettings(samples=400, superpixels="grid", regions=36, stopping_reliability=0.9)
    _, (_, model) = lime(radiograph, predict_proba, options)
    assert model.samples == 400


def test_reliability_by_simulation() -> None:
    """Noise that halves' weights share a known part with: the step-up gives the whole's."""
    rng = np.random.default_rng(3)
    effects, found = rng.normal(size=30), []
    twins = []
    for seed in range(40):
        masks = sample_masks(30, 201, seed)
        answers = (masks @ effects + rng.normal(0, 6, 201))[:, None]
        found.append(reliability(masks, answers))
        again = sample_masks(30, 201, 1000 + seed)
        both = [
            fit(each, (each @ effects + rng.normal(0, 6, 201))[:, None])[0].weights
            for each in (masks, again)
        ]
        twins.append(spearmanr(*both).statistic)
    assert np.mean(found) == pytest.approx(np.mean(twins), abs=0.06)


def test_reliability_of_a_constant_is_none() -> None:
    masks = sample_masks(8, 100, 0)
    assert reliability(masks, np.full((100, 2), 0.5)) == 0


def test_lime_and_pictures_work_where_torch_cannot_be_imported() -> None:
    code = (
        f"{BLOCK_TORCH}\n"
        "import covid_cxr.explain.rendering.writing, covid_cxr.explain.measures.localisation\n"
        "from covid_cxr.errors import MissingDependency\n"
        "from covid_cxr.explain import get\n"
        "for name in ('lime', 'cam', 'occlusion', 'occlusion-regions', 'agreement'): get(name)\n"
        "try: get('gradcam')\n"
        "except MissingDependency as error: assert 'torch' in str(error)\n"
        "else: raise SystemExit('gradcam was imported without torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
