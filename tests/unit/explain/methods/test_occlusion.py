from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from covid_cxr.explain import FillSettings, RegionSettings, get
from covid_cxr.explain.methods.occlusion import log_odds, windows
from covid_cxr.explain.settings import Fill
from covid_cxr.explain.superpixels import answers, filled, superpixels
from support.without_torch import BLOCK_TORCH


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@dataclass
class _Model:
    """Logits from a function of the images (N, S, S); keeps account of what it was asked."""

    logits: Callable[[np.ndarray], np.ndarray]
    classes: tuple[str, ...] = ("non-covid-19", "covid-19")
    bundle_id: str = "toy"
    weights: Path | None = None
    asked: list[np.ndarray] = field(default_factory=list)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        self.asked.append(images)
        return _softmax(self.logits(images[:, 0].astype(np.float64)))

    def cam(self, image: np.ndarray) -> None:
        return None


def _linear_model(reads: np.ndarray) -> _Model:
    """Log-odds of covid-19: the sum of `reads` times the radiograph."""
    return _Model(lambda images: np.einsum("nhw,chw->nc", images, np.stack([0 * reads, reads])))


def _corner() -> tuple[np.ndarray, _Model]:
    radiograph = np.zeros((1, 4, 4), dtype=np.float32)
    radiograph[0, 0, 0] = 1
    reads = np.zeros((4, 4))
    reads[0, 0] = 3
    return radiograph, _linear_model(reads)


@pytest.mark.parametrize(("fill", "left"), [("mean", 0.25), ("dark", 0.2), ("dataset", 0.5)])
def test_window_by_hand(fill: Fill, left: float) -> None:
    # Windows of 2 x 2 start at 0, 1 and 2. Only the first holds the corner, and takes
    # 3 (1 - left) from the log-odds. The corner lies in 1 window, those beside it in 2, the next
    # pixel on the diagonal in 4.
    radiograph, model = _corner()
    found = get("occlusion")(radiograph, model, "covid-19", FillSettings(fill=fill))
    expected = np.zeros((4, 4))
    expected[:2, :2] = np.array([[1, 1 / 2], [1 / 2, 1 / 4]]) * 3 * (1 - left)
    np.testing.assert_allclose(found.attribution, expected, atol=1e-6)
    assert found.parameters == {
        "window": 2,
        "windows": 9,
        "fill": fill,
        "against": "mean of the other classes",
    }
    assert (found.segments, found.weights, found.fidelity) == (None, (), None)
    other = get("occlusion")(radiograph, model, "non-covid-19", FillSettings(fill=fill))
    np.testing.assert_allclose(other.attribution, -expected, atol=1e-6)


def test_window_under_a_blur_takes_the_whole_radiographs_blur() -> None:
    radiograph = np.random.default_rng(0).random((1, 16, 16), dtype=np.float32)
    reads = np.zeros((16, 16))
    reads[8, 8] = 1
    found = get("occlusion")(
        radiograph, _linear_model(reads), "covid-19", FillSettings(fill="blur")
    )
    blurred = filled(radiograph[0], np.zeros((16, 16), np.int32), "blur")
    assert found.attribution[8, 8] == pytest.approx(radiograph[0, 8, 8] - blurred[8, 8], abs=1e-5)


@given(size=st.integers(1, 300))
def test_windows_cover_the_radiograph_and_stay_inside(size: int) -> None:
    places, edge = windows(size)
    times = np.zeros((size, size), dtype=int)
    for window in places:
        assert times[window].shape == (edge, edge)
        times[window] += 1
    assert times.min() >= 1
    assert times.max() <= 9  # two a direction, but three at the end of a row
    assert edge == min(size, max(2, round(size / 8)))


def test_windows_of_a_usual_radiograph() -> None:
    places, edge = windows(224)
    assert (len(places), edge) == (15**2, 28)
    assert places[0] == (slice(0, 28), slice(0, 28))
    assert places[1] == (slice(0, 28), slice(14, 42))
    assert places[-1] == (slice(196, 224), slice(196, 224))


def test_margin_by_hand() -> None:
    rows = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    # log(1/2) - log(1/4) = log 2; log 8 over the mean of two equal ones.
    assert log_odds(rows, 0)[0] == pytest.approx(math.log(2))
    assert log_odds(rows, 2)[1] == pytest.approx(math.log(8))


@given(npst.arrays(np.float64, (3, 4), elements=st.floats(-6, 6)), st.integers(0, 3))
def test_margin_is_that_of_the_logits(logits: np.ndarray, index: int) -> None:
    expected = logits[:, index] - np.delete(logits, index, axis=1).mean(axis=1)
    assert log_odds(_softmax(logits), index) == pytest.approx(expected, abs=1e-9)


def test_margin_of_a_model_of_probability_one_is_finite() -> None:
    sure = log_odds(np.array([[1.0, 0.0], [0.0, 1.0]]), 1)
    assert sure == pytest.approx([math.log(1e-12), -math.log(1e-12)])


@given(
    reads=npst.arrays(np.float64, (8, 8), elements=st.floats(-0.2, 0.2)),
    radiograph=npst.arrays(np.float32, (1, 8, 8), elements=st.floats(0, 1, width=32)),
    fill=st.sampled_from(["mean", "dark", "blur", "dataset"]),
    batch_size=st.integers(1, 20),
)
def test_a_region_of_a_linear_model_weighs_its_exact_effect(
    reads: np.ndarray, radiograph: np.ndarray, fill: Fill, batch_size: int
) -> None:
    options = RegionSettings(superpixels="grid", regions=9, fill=fill, batch_size=batch_size)
    found = get("occlusion-regions")(radiograph, _linear_model(reads), "covid-19", options)
    segments = superpixels(radiograph[0], options)
    assert np.array_equal(found.segments, segments)
    change = (radiograph[0].astype(np.float64) - filled(radiograph[0], segments, fill)) * reads
    exact = [change[segments == region].sum() for region in range(9)]
    assert found.weights == pytest.approx(exact, abs=1e-5)
    np.testing.assert_allclose(found.attribution, np.array(exact)[segments], atol=1e-5)


def test_regions_of_three_classes_against_the_mean_of_the_others() -> None:
    # Logits 4 a, 2 b and 8 c, each the brightness of one quarter of a 4 x 4 radiograph, all 1; the
    # hidden quarter goes to 0.5. Margin of covid-19: 8 c - (4 a + 2 b) / 2.
    def logits(images: np.ndarray) -> np.ndarray:
        a, b, c = images[:, 0, 0], images[:, 0, 3], images[:, 3, 0]
        return np.stack([4 * a, 2 * b, 8 * c], axis=1)

    model = _Model(logits, ("normal", "pneumonia", "covid-19"))
    options = RegionSettings(superpixels="grid", regions=4, fill="dataset")
    radiograph = np.ones((1, 4, 4), dtype=np.float32)
    found = get("occlusion-regions")(radiograph, model, "covid-19", options)
    assert found.weights == pytest.approx([-1, -0.5, 4, 0], abs=1e-5)
    assert (found.parameters["superpixels"], found.parameters["regions"]) == ("grid", 4)


def test_batches_share_one_buffer_and_are_no_larger_than_asked() -> None:
    radiograph, model = _corner()
    get("occlusion")(radiograph, model, "covid-19", FillSettings(batch_size=4))
    whole, *batches = model.asked
    assert whole.shape == (1, 1, 4, 4)
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert all(np.shares_memory(batches[0], batch) for batch in batches)
    assert not any(np.shares_memory(radiograph, images) for images in model.asked)
    assert all(images.dtype == np.float32 for images in model.asked)


def test_a_model_may_reuse_its_answer() -> None:
    radiograph, honest = _corner()
    expected = get("occlusion")(
        radiograph, honest, "covid-19", FillSettings(batch_size=3)
    ).attribution

    class _Reuses(_Model):
        kept = np.empty((3, 2))

        def probabilities(self, images: np.ndarray) -> np.ndarray:
            self.kept[: len(images)] = super().probabilities(images)
            return self.kept[: len(images)]

    model = _Reuses(honest.logits)
    found = get("occlusion")(radiograph, model, "covid-19", FillSettings(batch_size=3)).attribution
    assert np.array_equal(found, expected)


def test_no_more_is_asked_than_is_looked_at() -> None:
    radiograph, model = _corner()
    asked = answers(model.probabilities, (radiograph[0] * window for window in range(9)), 2)
    assert next(asked).shape == (2, 2)
    assert len(model.asked) == 1


def test_occlusion_and_flips_work_where_torch_cannot_be_imported() -> None:
    code = (
        f"{BLOCK_TORCH}\n"
        "from covid_cxr.explain import get\n"
        "import covid_cxr.explain.counterfactual\n"
        "get('occlusion'), get('occlusion-regions')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
