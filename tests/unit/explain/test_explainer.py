"""The wrapper of explainers: what it checks before and after a method, and what it records."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import Field

from covid_cxr import explain
from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain import Attribution, Explainer, Model, Settings
from covid_cxr.testing.explainers import QuadrantModel, dotted_input
from covid_cxr.types import FloatArray, Lungs

LUNGS = Lungs(np.ones((2, 2), bool), np.zeros((2, 2), bool))


class ScaleSettings(Settings):
    scale: float = Field(2.0, gt=0, le=10, description="factor")


def scaled(image: FloatArray, model: Model, index: int, settings: ScaleSettings) -> FloatArray:
    return image[0] * settings.scale + index + settings.rng.integers(5)


def plain(image: FloatArray, model: Model, index: int) -> Attribution:
    return Attribution(image[0], {"note": 3}, fidelity=0.5)


def test_the_record_is_filled_from_class_settings_and_seed() -> None:
    explainer = Explainer.of("scaled", scaled)
    settings = explainer.configure({"scale": "3", "seed": 4, "batch_size": 2})
    found = explainer(dotted_input(), QuadrantModel(), "covid-19", settings, lungs=LUNGS)
    offset = np.random.default_rng(4).integers(5)
    np.testing.assert_allclose(found.attribution, dotted_input()[0] * 3 + 1 + offset, rtol=1e-6)
    assert (found.method, found.label, found.bundle) == ("scaled", "covid-19", "quadrant")
    assert (found.seed, found.parameters) == (4, {"scale": 3.0})


def test_a_method_without_settings_needs_three_parameters() -> None:
    found = Explainer.of("plain", plain)(dotted_input(), QuadrantModel(), "covid-19")
    assert (found.parameters, found.fidelity, found.seed) == ({"note": 3}, 0.5, 0)


def test_a_method_is_given_the_lungs() -> None:
    def asks(image: FloatArray, model: Model, index: int, settings: Settings) -> FloatArray:
        assert settings.lungs is LUNGS
        return image[0]

    explainer = Explainer.of("asks", asks)
    explainer(dotted_input(), QuadrantModel(), "covid-19", lungs=LUNGS)
    with pytest.raises(UnknownName, match="setting of asks 'lungs'"):
        explainer.configure({"lungs": None})


def test_image_and_class_are_checked_before_the_method_runs() -> None:
    def never(image: FloatArray, model: Model, index: int) -> FloatArray:
        raise AssertionError

    explainer, damaged = Explainer.of("never", never), dotted_input()
    damaged[0, 0, 0] = np.nan
    for image in (dotted_input()[None], dotted_input().astype(np.float64), damaged):
        with pytest.raises(InputError, match=r"^image .* preprocess"):
            explainer(image, QuadrantModel(), "covid-19")
    with pytest.raises(UnknownName, match=r"covid19.*non-covid-19"):
        explainer(dotted_input(), QuadrantModel(), "covid19")


def test_settings_of_another_method_are_rejected() -> None:
    with pytest.raises(InputError, match="'scaled' was given Settings, expected ScaleSettings"):
        Explainer.of("scaled", scaled)(dotted_input(), QuadrantModel(), "covid-19", Settings())


@pytest.mark.parametrize(
    "wrong", [np.ones((1, 64, 64)), np.ones((3, 3)), np.full((64, 64), np.inf)]
)
def test_a_wrong_map_names_the_method(wrong: FloatArray) -> None:
    def faulty(image: FloatArray, model: Model, index: int) -> FloatArray:
        return wrong

    with pytest.raises(InputError, match=r"'faulty' returned a map of shape .* finite \(64, 64\)"):
        Explainer.of("faulty", faulty)(dotted_input(), QuadrantModel(), "covid-19")


def _two(image: FloatArray, model: Model) -> FloatArray:
    return image[0]


def _untyped(image, model, index, settings):  # type: ignore[no-untyped-def]
    return image[0]


@pytest.mark.parametrize("method", [_two, _untyped, 3])
def test_a_wrong_signature_is_one_line_that_names_the_method(method: Callable) -> None:
    with pytest.raises(InputError, match=r"^explainer 'mine' .*(expected|signature)") as error:
        Explainer.of("mine", method)
    assert "\n" not in str(error.value)


def test_settings_by_name() -> None:
    assert explain.settings_of("gradcam").names() == ("seed", "batch_size")
    assert "samples" in explain.settings_of("lime").names()
    found = explain.explain_image(
        *("occlusion", QuadrantModel(), dotted_input(), "covid-19"), fill="dark", seed="3"
    )
    assert (found.parameters["fill"], found.seed) == ("dark", 3)
    with pytest.raises(
        UnknownName, match="unknown setting of occlusion 'fil': did you mean 'fill'"
    ):
        explain.explain_image("occlusion", QuadrantModel(), dotted_input(), "covid-19", fil="dark")


def test_assignments_are_yaml() -> None:
    values = explain.parse(["samples=30", "kernel-width=0.5", "stopping_reliability=null"])
    assert values == {"samples": 30, "kernel_width": 0.5, "stopping_reliability": None}
    for wrong, message in (
        (["samples"], "'samples' is not name=value"),
        (["=3"], "'=3' is not name=value"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a=["], "not YAML"),
    ):
        with pytest.raises(InputError, match=message):
            explain.parse(wrong)
