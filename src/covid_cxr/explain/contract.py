"""The rules every explainer is held to, as tests that a plugin can inherit.

    class TestMyExplainer(ExplainerContract):
        explain = staticmethod(my_package.explain)

A method that reads the bundle's weights also overrides `model`, to hand over a `QuadrantModel`
whose `weights` lead to a network that computes the same. Run by pytest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.base import Explainer, Options
from covid_cxr.types import FloatArray

SIZE = 64
SPACING = 8
QUADRANT = (slice(0, SIZE // 2), slice(SIZE // 2, SIZE))  # upper right on the page
OPTIONS = Options(samples=300, seed=7, batch_size=64)


def dotted_film() -> FloatArray:
    """Return (1, S, S): dark ground (0.2) with a bright dot (1.0) in the middle of each tile."""
    film = np.full((1, SIZE, SIZE), 0.2, dtype=np.float32)
    film[0, SPACING // 2 :: SPACING, SPACING // 2 :: SPACING] = 1.0
    return film


def dots_of_quadrant() -> FloatArray:
    """Return (S, S): what the model reads, 1 at the dots of the quadrant and 0 elsewhere."""
    reads = np.zeros((SIZE, SIZE), dtype=np.float32)
    reads[QUADRANT] = dotted_film()[0][QUADRANT] == 1.0
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

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Return (N, 2): the logits are -m/2 and +m/2, m the mean brightness of the dots."""
        reads = dots_of_quadrant()
        log_odds = (images[:, 0] * reads).sum(axis=(1, 2)) / reads.sum()
        covid = 1 / (1 + np.exp(-log_odds))
        return np.stack([1 - covid, covid], axis=1).astype(np.float32)

    def cam(self, image: FloatArray) -> FloatArray | None:
        """Return (2, 8, 8): per tile, the logit's share of that tile."""
        tiles = (image[0] * dots_of_quadrant()).reshape(SIZE // SPACING, SPACING, -1, SPACING)
        shares = tiles.sum(axis=(1, 3)) / 2
        return np.stack([-shares, shares]).astype(np.float32)


class ExplainerContract:
    """Inherit, name your function `explain`, and let pytest collect the class."""

    explain: ClassVar[Explainer]

    def model(self) -> QuadrantModel:
        """Return the toy model; override where the method needs `weights`."""
        return QuadrantModel()

    def test_names_what_it_explained(self) -> None:
        """Label, bundle and seed are those given; the method has a name."""
        found = self.explain(dotted_film(), self.model(), "covid-19", OPTIONS)
        assert (found.label, found.bundle, found.seed) == ("covid-19", "quadrant", 7)
        assert found.method

    def test_map_is_finite_float32_on_the_input_grid(self) -> None:
        """Shape (S, S), float32, no NaN and no infinity."""
        found = self.explain(dotted_film(), self.model(), "covid-19", OPTIONS).attribution
        assert found.shape == (SIZE, SIZE)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()

    def test_regions_and_weights_agree(self) -> None:
        """With regions: numbered 0..n-1, one weight each, and the map is their weights."""
        found = self.explain(dotted_film(), self.model(), "covid-19", OPTIONS)
        if found.segments is None:
            assert found.weights == ()
            return
        assert found.segments.dtype == np.int32
        assert np.unique(found.segments).tolist() == list(range(len(found.weights)))
        expected = np.asarray(found.weights)[found.segments]
        np.testing.assert_allclose(found.attribution, expected, rtol=1e-5)

    def test_fidelity_is_at_most_one(self) -> None:
        """A fidelity, where there is one, is a coefficient of determination."""
        fidelity = self.explain(dotted_film(), self.model(), "covid-19", OPTIONS).fidelity
        assert fidelity is None or fidelity <= 1

    def test_positive_supports_the_class(self) -> None:
        """The quadrant that raises the class is positive and outweighs all else."""
        found = self.explain(dotted_film(), self.model(), "covid-19", OPTIONS).attribution
        inside = found[QUADRANT].sum()
        assert inside > 0
        assert np.abs(found).sum() - np.abs(found[QUADRANT]).sum() < 0.25 * inside

    def test_negative_speaks_against_the_class(self) -> None:
        """The same quadrant is negative when the other class is explained."""
        found = self.explain(dotted_film(), self.model(), "non-covid-19", OPTIONS).attribution
        assert found[QUADRANT].sum() < 0

    def test_same_seed_same_answer(self) -> None:
        """Two calls agree to the last bit."""
        first = self.explain(dotted_film(), self.model(), "covid-19", OPTIONS)
        second = self.explain(dotted_film(), self.model(), "covid-19", OPTIONS)
        assert np.array_equal(first.attribution, second.attribution)
        assert (first.weights, first.fidelity) == (second.weights, second.fidelity)

    def test_leaves_the_image_alone(self) -> None:
        """The caller's array may be read-only and is not written to."""
        image = dotted_film()
        image.setflags(write=False)
        self.explain(image, self.model(), "covid-19", OPTIONS)
        assert np.array_equal(image, dotted_film())

    def test_unknown_label_is_refused(self) -> None:
        """The error names the label and the classes there are."""
        message = self._refusal(dotted_film(), "covid19", UnknownName)
        assert "covid19" in message
        assert "non-covid-19" in message

    def test_wrong_image_is_refused(self) -> None:
        """A batch, a wrong type and a hole in the picture are input errors, one line each."""
        hole = dotted_film()
        hole[0, 0, 0] = np.nan
        for image in (dotted_film()[None], dotted_film().astype(np.float64), hole):
            assert "\n" not in self._refusal(image, "covid-19", InputError)  # type: ignore[arg-type]

    def _refusal(self, image: FloatArray, label: str, kind: type[InputError]) -> str:
        try:
            self.explain(image, self.model(), label, OPTIONS)
        except kind as error:
            return str(error)
        raise AssertionError(f"{kind.__name__} was not raised")
