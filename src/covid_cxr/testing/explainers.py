"""The rules for explainers, as tests that a plugin can inherit.

    class TestMyExplainer(ExplainerContract):
        explain = staticmethod(my_package.explain)
        settings = {"masks": 500}

A method that reads the bundle's weights also overrides `model` and `opposed`, to hand over the
same toy models with `weights` that lead to a network which computes the same. A method whose
numbers add up to something, by its theory, overrides `adds_up`. Run by pytest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import ArrayLike

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Explainer, Method
from covid_cxr.types import Explanation, FloatArray

SIZE = 64
SPACING = 8
QUADRANT = (slice(0, SIZE // 2), slice(SIZE // 2, SIZE))  # upper right on the page
OPPOSITE = (slice(SIZE // 2, SIZE), slice(0, SIZE // 2))  # lower left
SEED = 7


def dotted_input() -> FloatArray:
    """Return (1, S, S): dark ground (0.2) with a bright dot (1.0) in the middle of each tile."""
    dotted = np.full((1, SIZE, SIZE), 0.2, dtype=np.float32)
    dotted[0, SPACING // 2 :: SPACING, SPACING // 2 :: SPACING] = 1.0
    return dotted


def dots_of_quadrant(quadrant: tuple[slice, slice] = QUADRANT) -> FloatArray:
    """Return (S, S): 1 at the 16 dots of the quadrant and 0 elsewhere."""
    reads = np.zeros((SIZE, SIZE), dtype=np.float32)
    reads[quadrant] = dotted_input()[0][quadrant] == 1.0
    return reads


@dataclass(frozen=True)
class QuadrantModel:
    """A model whose log-odds of `covid-19` are the mean brightness of 16 dots in one quadrant.

    Hiding a part of that quadrant, whatever is put in its place, can only dim its dots: the
    quadrant supports `covid-19`, speaks against `non-covid-19`, and the rest says nothing.
    """

    weights: Path | None = None
    classes: tuple[str, ...] = ("non-covid-19", "covid-19")
    bundle_id: str = "quadrant"

    def reads(self) -> FloatArray:
        """Return (S, S): the log-odds of `covid-19` are the sum of these times the input."""
        return dots_of_quadrant() * np.float32(1 / 16)

    def log_odds(self, images: FloatArray) -> FloatArray:
        """Return (N,), of `covid-19`, for images (N, 1, S, S)."""
        sums: FloatArray = (images[:, 0] * self.reads()).sum(axis=(1, 2))
        return sums

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Return (N, 2): the logits are -m/2 and +m/2, m the log-odds."""
        covid = 1 / (1 + np.exp(-self.log_odds(images)))
        return np.stack([1 - covid, covid], axis=1).astype(np.float32)

    def cam(self, image: FloatArray) -> FloatArray | None:
        """Return (2, 8, 8): per tile, its share of the logit, which is the mean over tiles."""
        tiles = (image[0] * self.reads()).reshape(SIZE // SPACING, SPACING, -1, SPACING)
        shares = tiles.sum(axis=(1, 3)) * (SIZE // SPACING) ** 2 / 2
        return np.stack([-shares, shares]).astype(np.float32)


@dataclass(frozen=True)
class OpposedModel(QuadrantModel):
    """As `QuadrantModel`, less half the mean brightness of the 16 dots in the quadrant opposite.

    By hand, on the dotted input: log-odds 1 - 1/2 = 1/2. The upper right supports `covid-19` with
    1, the lower left speaks against it with 1/2, and the other two quadrants say nothing.
    """

    bundle_id: str = "opposed"

    def reads(self) -> FloatArray:
        """Return (S, S): 1/16 at the dots of the one quadrant, -1/32 at those of the other."""
        effect = np.float32(1 / 16)
        return dots_of_quadrant() * effect - dots_of_quadrant(OPPOSITE) * (effect / 2)


class ExplainerContract:
    """Inherit, name your function `explain`, and let pytest collect the class."""

    explain: ClassVar[Method]
    # The settings that the method is run with, where they are not its defaults.
    settings: ClassVar[Mapping[str, object]] = {}
    # The largest attribution of one pixel. The toy models' log-odds change by at most 1, and so
    # does a method's attribution in their units; a method in other units states its own bound.
    largest: ClassVar[float] = 1.0
    # The largest share of all attribution that lies where the toy models do not look.
    off_target: ClassVar[float] = 0.25

    def model(self) -> QuadrantModel:
        """Return the toy model; override where the method needs `weights`."""
        return QuadrantModel()

    def opposed(self) -> QuadrantModel:
        """Return the toy model with a quadrant against; override where it needs `weights`."""
        return OpposedModel()

    def adds_up(
        self, explanation: Explanation, model: QuadrantModel
    ) -> tuple[ArrayLike, ArrayLike] | None:
        """Return a property of an explanation and the value that the method's theory demands.

        Args:
            explanation: of `covid-19` on the dotted input, made with `settings`.
            model: the toy model that was explained.

        Returns:
            Numbers or arrays of one shape; None, unless overridden: the theory promises nothing.
        """
        return None

    def run(
        self,
        image: FloatArray,
        model: QuadrantModel,
        label: str = "covid-19",
        **changes: object,
    ) -> Explanation:
        """Return an explanation by the method, wrapped as an installed one is."""
        explainer = Explainer.of("tested", self.explain)
        settings = explainer.configure({"seed": SEED, **self.settings, **changes})
        return explainer(image, model, label, settings)

    def explained(self, model: QuadrantModel, label: str = "covid-19") -> Explanation:
        """Return the explanation of the dotted input."""
        return self.run(dotted_input(), model, label)

    def test_names_what_it_explained(self) -> None:
        """Label, bundle, seed and settings are recorded."""
        explanation = self.explained(self.model())
        recorded = (explanation.label, explanation.bundle, explanation.seed)
        assert recorded == ("covid-19", "quadrant", SEED), f"recorded {recorded}"
        missing = set(self.settings) - set(explanation.parameters) - {"seed", "batch_size"}
        assert not missing, f"settings {sorted(missing)} are not among the recorded parameters"
        json.dumps(dict(explanation.parameters), allow_nan=False)

    def test_map_is_finite_float32_on_the_input_grid(self) -> None:
        """Shape (S, S), float32, no NaN and no infinity."""
        attribution = self.explained(self.model()).attribution
        found = (attribution.shape, attribution.dtype.name)
        assert found == ((SIZE, SIZE), "float32"), f"map is {found}, expected float32 (64, 64)"
        infinite = int((~np.isfinite(attribution)).sum())
        assert infinite == 0, f"{infinite} of {attribution.size} values are not finite"

    def test_map_is_bounded(self) -> None:
        """No pixel exceeds `largest`, and some pixel is not zero."""
        for model in (self.model(), self.opposed()):
            most = float(np.abs(self.explained(model).attribution).max())
            assert 0 < most <= self.largest * (1 + 1e-5), (
                f"largest attribution of a pixel is {most:.4g}, expected more than 0 and at most "
                f"{self.largest:g}; a method in other units states its own `largest`"
            )

    def test_blank_input_has_an_explanation(self) -> None:
        """An input without structure gets finite numbers within the same bound."""
        blank = np.full((1, SIZE, SIZE), 0.2, dtype=np.float32)
        most = float(np.abs(self.run(blank, self.model()).attribution).max())
        assert most <= self.largest, (
            f"largest attribution of a blank input is {most:.4g}, expected at most {self.largest:g}"
        )

    def test_regions_and_weights_agree(self) -> None:
        """With regions: numbered 0..n-1, one weight each, and the map is their weights."""
        explanation = self.explained(self.model())
        weights, segments = explanation.weights, explanation.segments
        if segments is None:
            assert weights == (), f"{len(weights)} weights without regions"
            return
        assert segments.dtype == np.int32, f"regions are {segments.dtype}, expected int32"
        numbers = np.unique(segments).tolist()
        assert numbers == list(range(len(weights))), (
            f"regions are numbered {numbers}, expected 0 to {len(weights) - 1}, one a weight"
        )
        np.testing.assert_allclose(
            explanation.attribution, np.asarray(weights)[segments], rtol=1e-5
        )

    def test_fidelity_is_at_most_one(self) -> None:
        """A fidelity, where there is one, is a coefficient of determination."""
        fidelity = self.explained(self.model()).fidelity
        assert fidelity is None or fidelity <= 1, f"fidelity is {fidelity}, expected at most 1"

    def test_positive_supports_the_class(self) -> None:
        """The quadrant that raises the class is positive and outweighs all else."""
        attribution = self.explained(self.model()).attribution
        inside = float(attribution[QUADRANT].sum())
        assert inside > 0, f"the supporting quadrant sums to {inside:.4g}, expected more than 0"
        self._check_off_target(attribution, QUADRANT)

    def test_negative_speaks_against_the_class(self) -> None:
        """The same quadrant is negative when the other class is explained."""
        inside = float(self.explained(self.model(), "non-covid-19").attribution[QUADRANT].sum())
        assert inside < 0, f"the opposing quadrant sums to {inside:.4g}, expected less than 0"

    def test_signs_of_a_linear_model(self) -> None:
        """Worked out by hand: see `OpposedModel`. Of the effects 1 and -1/2, 1 weighs more."""
        attribution = self.explained(self.opposed()).attribution
        support = float(attribution[QUADRANT].sum())
        against = float(attribution[OPPOSITE].sum())
        assert support > -against > 0, (
            f"the quadrants of effect 1 and -1/2 sum to {support:.4g} and {against:.4g}, expected "
            "one above 0, one below, and the first the larger"
        )
        self._check_off_target(attribution, QUADRANT, OPPOSITE)

    def test_other_class_turns_the_signs_round(self) -> None:
        """Evidence for one of two classes is evidence against the other."""
        attribution = self.explained(self.opposed(), "non-covid-19").attribution
        support, against = float(attribution[OPPOSITE].sum()), float(attribution[QUADRANT].sum())
        assert against < 0 < support, (
            f"for the other class the quadrants sum to {against:.4g} and {support:.4g}, expected "
            "the first below 0 and the second above"
        )

    def test_adds_up_as_the_theory_promises(self) -> None:
        """Completeness, where there is a promise, on both toy models."""
        for model in (self.model(), self.opposed()):
            explanation = self.explained(model)
            promise = self.adds_up(explanation, model)
            if promise is not None:
                actual, expected = (np.asarray(value, dtype=np.float64) for value in promise)
                np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)

    def test_batch_size_does_not_matter(self) -> None:
        """Images handed over by seven or by 64 give the same map, but for rounding."""
        few = self.run(dotted_input(), self.model(), batch_size=7).attribution
        most = float(np.abs(few - self.explained(self.model()).attribution).max())
        assert most <= 1e-4 * self.largest, (
            f"maps made 7 and 64 images at a time differ by {most:.3g}, "
            f"expected at most {1e-4 * self.largest:.3g}"
        )

    def test_same_seed_same_answer(self) -> None:
        """Two calls agree to the last bit."""
        first = self.explained(self.model())
        second = self.explained(self.model())
        unequal = int((first.attribution != second.attribution).sum())
        assert unequal == 0, f"{unequal} of {first.attribution.size} values differ, same seed"
        assert (first.weights, first.fidelity) == (second.weights, second.fidelity)

    def test_does_not_change_the_image(self) -> None:
        """The caller's array may be read-only and is not changed."""
        image = dotted_input()
        image.setflags(write=False)
        self.run(image, self.model())
        assert np.array_equal(image, dotted_input()), "the caller's image was written to"

    def test_settings_have_bounds(self) -> None:
        """Every number among the method's own settings is rejected where it is absurd."""
        explainer = Explainer.of("tested", self.explain)
        for name, field in explainer.settings.model_fields.items():
            if isinstance(field.default, int | float) and not isinstance(field.default, bool):
                for value in (10**12, -(10**12), "nan"):
                    with pytest.raises(InputError):
                        explainer.configure({name: value})
                        pytest.fail(f"setting {name}={value} is accepted; give its Field bounds")

    def _check_off_target(self, attribution: FloatArray, *quadrants: tuple[slice, slice]) -> None:
        """Check the share of all attribution that lies outside of `quadrants`."""
        strength = np.abs(attribution)
        outside = strength.copy()
        for quadrant in quadrants:
            outside[quadrant] = 0
        share = float(outside.sum() / strength.sum())
        assert share <= self.off_target, (
            f"{share:.3f} of all attribution lies where the toy model does not look, expected at "
            f"most {self.off_target:g}"
        )
