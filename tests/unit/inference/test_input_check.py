"""The input check: limits and reasons by hand, warnings, and the shipped network's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from covid_cxr.inference.input_check import (
    CUT_OFF,
    LOW_CONTRAST,
    NO_CHEST,
    OUT_OF_DISTRIBUTION,
    SATURATED,
    UPRIGHT,
    UPSIDE_DOWN,
    InputCheck,
    Limits,
    warnings_of,
)
from covid_cxr.inference.lungs import DISTANCE, FEATURES, MASKS, REASON_LOGITS, LungSegmenter
from covid_cxr.models.manifest import bundle_id
from covid_cxr.phantoms import draw
from covid_cxr.types import FINDINGS, Lungs
from research.lung_segmentation.export import SPEC

CHECK = InputCheck(
    reasons=(UPRIGHT, UPSIDE_DOWN, NO_CHEST),
    lungs_found=Limits(least_log_odds=0.5, farthest_distance=4),
    lungs_not_found=Limits(least_log_odds=1.5, farthest_distance=1),
)


def rejections(*samples: tuple[list[float], float], lungs_found: bool = True) -> list[str | None]:
    logits, distances = zip(*samples, strict=True)
    found = [lungs_found] * len(samples)
    return CHECK.rejections(np.array(logits, np.float32), np.array(distances), found)


def test_log_odds_by_hand() -> None:
    logits = np.array([[2, -2, 0], [-2, 2, 0], [0, 0, 3]], np.float32)
    # 2 - log(e^-2 + e^0); -2 - log(e^2 + 1); -log(1 + e^3)
    by_hand = [2 - np.log(np.exp(-2) + 1), -2 - np.log(np.exp(2) + 1), -np.log(1 + np.exp(3))]
    assert CHECK.log_odds(logits) == pytest.approx(by_hand, abs=1e-6)


def test_an_image_is_answered_within_both_limits() -> None:
    samples = [([2, -2, 0], 0.0), ([-2, 2, 0], 0.0), ([0, 0, 3], 5.0), ([2, -2, 0], 6.0)]
    assert rejections(*samples) == [None, UPSIDE_DOWN, NO_CHEST, OUT_OF_DISTRIBUTION]


def test_limits_are_stricter_where_no_lungs_are_found() -> None:
    samples = [([1.5, -1.5, 0], 1.0), ([2.6, -2.6, 0], 1.2)]  # log-odds 1.30 and 2.53
    assert rejections(*samples) == [None, None]
    assert rejections(*samples, lungs_found=False) == [NO_CHEST, OUT_OF_DISTRIBUTION]


def test_nan_is_rejected() -> None:
    nan = float("nan")
    first, second, third = rejections(([nan, 0, 0], 0.0), ([2, -2, 0], nan), ([2, -2, 0], 0.0))
    assert first is not None
    assert second == OUT_OF_DISTRIBUTION
    assert third is None


@pytest.mark.parametrize("reasons", [(), (UPRIGHT,), (NO_CHEST, UPSIDE_DOWN)])
def test_reasons_that_answer_all_or_nothing_are_an_error(reasons: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="reasons must hold"):
        InputCheck(**CHECK.model_dump() | {"reasons": reasons})


def test_poor_radiographs_get_warnings() -> None:
    rng = np.random.default_rng(0)
    good = rng.random((50, 50)).astype(np.float32) * np.float32(0.9) + np.float32(0.05)
    inside = np.zeros((10, 10), bool)
    inside[2:8, 2:4] = True
    assert warnings_of(good, Lungs(inside, inside[:, ::-1])) == ()
    assert warnings_of(0.4 + 0.2 * good, None) == (LOW_CONTRAST,)
    assert warnings_of(np.round(good), None) == (SATURATED,)
    to_the_edge = np.zeros((10, 10), bool)
    to_the_edge[:, :3] = True
    assert warnings_of(good, Lungs(to_the_edge, to_the_edge & False)) == (CUT_OFF,)


@settings(max_examples=200, deadline=None)
@given(
    spread=st.floats(0.25, 0.35),
    power=st.sampled_from([0.2, 1, 8]),
    rare=st.floats(0, 0.03),
    shape=st.sampled_from([(9, 40), (100, 90), (700, 60)]),
    seed=st.integers(0, 99),
)
def test_an_image_is_flat_where_its_percentiles_are_close(
    spread: float, power: float, rare: float, shape: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = 0.5 + spread * (rng.random(shape) ** power - 0.5)
    pixels[rng.random(shape) < rare] = 1  # a few pixels may lie anywhere
    pixels[rng.random(shape) < rare] = 0
    pixels = pixels.astype(np.float32)
    low, high = np.percentile(pixels, [1, 99])
    assert (LOW_CONTRAST in warnings_of(pixels, None)) == (high - low < 0.3)


@pytest.fixture(scope="module")
def sixteen() -> np.ndarray:
    """Preprocessed phantoms, half of them turned."""
    from covid_cxr import imaging

    pixels = [draw(FINDINGS[n % 3], n).pixels for n in range(16)]
    turned = [np.rot90(one).copy() if n % 2 else one for n, one in enumerate(pixels)]
    return np.stack([imaging.preprocess(one, SPEC) for one in turned])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 4])
def test_outputs_are_the_same_bit_for_bit_whatever_the_batch(
    sixteen: np.ndarray, size: int, threads: int
) -> None:
    names = (MASKS, FEATURES, REASON_LOGITS, DISTANCE)
    together = LungSegmenter(threads=1).outputs(sixteen, *names)
    segmenter = LungSegmenter(threads=threads)
    parts = [segmenter.outputs(sixteen[i : i + size], *names) for i in range(0, 16, size)]
    for whole, *pieces in zip(together, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_the_shipped_check_tells_upright_from_turned(sixteen: np.ndarray) -> None:
    segmenter = LungSegmenter(threads=1)
    check = segmenter.manifest.input_check
    assert check is not None
    logits, distances = segmenter.outputs(sixteen, REASON_LOGITS, DISTANCE)
    assert logits.shape == (16, len(check.reasons))
    assert distances.shape == (16,)
    is_upright = check.log_odds(logits) > check.lungs_found.least_log_odds
    assert is_upright.tolist() == [True, False] * 8


def test_network_and_limits_are_part_of_a_bundles_id() -> None:
    files = {"model.onnx": "a", "MODEL_CARD.md": "b"}
    more = ({}, {"lungs.onnx": "c"}, {"lungs.onnx": "c", "lungs.json": "d"}, {"lungs.json": "e"})
    ids = {bundle_id({**files, **extra}, SPEC, 0.5) for extra in more}
    assert len(ids) == 4
    assert bundle_id({**files, "MODEL_CARD.md": "x"}, SPEC, 0.5) in ids
    larger = SPEC.model_copy(update={"max_pixels": 5})
    assert bundle_id(files, larger, 0.5) == bundle_id(files, SPEC, 0.5)
