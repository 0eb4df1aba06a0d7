"""What several maps agree on, by hand and as a method of its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr.errors import InputError
from covid_cxr.explain import get
from covid_cxr.explain.methods.agreement import agreement
from covid_cxr.explain.methods.lime import LimeSettings
from covid_cxr.explain.rendering.overlay import limit
from covid_cxr.explain.rendering.zones import with_lungs
from covid_cxr.testing.explainers import QuadrantModel, dotted_input
from covid_cxr.types import FloatArray, Lungs


def _map(values: object) -> FloatArray:
    return np.asarray(values, dtype=np.float32)


def test_agreement_by_hand() -> None:
    one = _map([[4, 2, -4, 1, 0, -1]])  # its full strength is about 4
    other = _map([[0.05, 0.1, -0.1, -0.1, 0.1, -0.02]])  # and this one's 0.1
    scale = (limit(one), limit(other))
    expected = [0.05 / scale[1], 2 / scale[0], -1, 0, 0, -0.02 / scale[1]]
    assert agreement([one, other])[0] == pytest.approx(expected)


def test_one_method_agrees_with_itself() -> None:
    attribution = np.array([[1.0, -0.5], [0, 0.25]], dtype=np.float32)
    assert agreement([_map(attribution)]) == pytest.approx(
        np.clip(attribution / limit(attribution), -1, 1)
    )


def test_a_silent_method_agrees_with_nothing() -> None:
    loud, silent = _map(np.ones((2, 2))), _map(np.zeros((2, 2)))
    assert not agreement([loud, silent]).any()


@settings(deadline=None)
@given(seed=st.integers(0, 999), methods=st.integers(1, 4))
def test_agreement_is_no_stronger_than_any_method(seed: int, methods: int) -> None:
    rng = np.random.default_rng(seed)
    maps = [_map(rng.normal(size=(6, 6))) for _ in range(methods)]
    common = agreement(maps)
    assert common.dtype == np.float32
    assert agreement(maps[::-1]) == pytest.approx(common)
    for one in maps:
        scaled = np.clip(one / limit(one), -1, 1)
        assert (np.abs(common) <= np.abs(scaled) + 1e-6).all()
        assert (common * scaled >= 0).all()


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], "expected at least one"),
        ([np.ones((3, 3), np.float32)], r"\(2, 2\).*\(3, 3\)"),
    ],
)
def test_what_cannot_be_compared_is_rejected(others: list[FloatArray], message: str) -> None:
    first = [_map(np.ones((2, 2)))] if others else []
    with pytest.raises(InputError, match=message):
        agreement(first + others)


@pytest.mark.parametrize("has_cam", [True, False])
def test_agreement_is_an_explanation_with_zones_of_its_own(has_cam: bool) -> None:
    class _NoMap(QuadrantModel):
        def cam(self, image: np.ndarray) -> None:
            return None

    model = QuadrantModel() if has_cam else _NoMap()
    methods = ["cam", "lime", "occlusion"][not has_cam :]
    settings = LimeSettings(samples=300, superpixels="quickshift", seed=7)
    maps = [get(name)(dotted_input(), model, "covid-19", settings).attribution for name in methods]
    whole = get("agreement")(dotted_input(), model, "covid-19", settings)
    assert (whole.method, whole.label, whole.bundle) == ("agreement", "covid-19", "quadrant")
    assert whole.parameters == {**settings.record(), "methods": methods}
    assert (whole.segments, whole.fidelity, whole.seed) == (None, None, 7)
    np.testing.assert_array_equal(whole.attribution, agreement(maps))
    left = np.arange(64)[None].repeat(64, axis=0) >= 32  # the quadrant lies in its upper half
    zones = with_lungs(whole, Lungs(~left, left)).zones
    assert zones is not None
    assert zones.inside_lungs == 1
    assert zones.shares["upper left"] + zones.shares["middle left"] > 0.9
