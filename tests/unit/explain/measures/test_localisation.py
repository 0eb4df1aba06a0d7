from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from covid_cxr.errors import InputError
from covid_cxr.explain.measures.localisation import (
    agreement,
    hits,
    inside_lungs,
    mass,
    overlap,
    peak,
)
from covid_cxr.explain.resampling import enlarge, from_cells
from covid_cxr.types import Explanation


def _explanation(attribution: object) -> Explanation:
    grid = np.asarray(attribution, dtype=np.float32)
    return Explanation(method="cam", label="covid-19", attribution=grid)


def test_peak_is_the_maximum() -> None:
    assert peak(np.array([[1, -9], [3, 2]], dtype=np.float32)) == (1, 0)


def test_peak_of_a_region_is_its_pixel_nearest_to_the_centroid() -> None:
    # A U of fives: rows 0..2 of columns 0 and 4, all of row 3. Its centroid, (21/11, 2), lies in
    # the gap; the nearest of its pixels is (3, 2), 1.09 rows away, not (2, 0), 2 columns away.
    region = np.zeros((4, 5), dtype=np.float32)
    region[:, [0, 4]] = 5
    region[3] = 5
    assert peak(region) == (3, 2)


def test_peak_of_a_coarse_corner_cell_is_not_the_corner_of_the_radiograph() -> None:
    coarse = np.zeros((4, 4), dtype=np.float32)
    coarse[0, 3] = 1
    row, column = peak(enlarge(coarse, (64, 64))) or (-1, -1)
    assert 3 <= row <= 4  # flat over rows 0..7
    assert 59 <= column <= 60


def test_the_middle_of_a_region_speaks_not_its_strongest_rim_cell() -> None:
    cells = np.zeros((14, 14), dtype=np.float32)
    cells[4:9, 3:8] = 1.0
    cells[6, 7] = 1.3  # the rim
    row, column = peak(from_cells(cells, (224, 224))) or (-1, -1)
    assert abs(row - 16 * 6.5) <= 8
    assert 16 * 4 < column < 16 * 7
    strict = peak(enlarge(cells, (224, 224)))
    assert strict is not None
    assert strict[1] >= 16 * 7


@pytest.mark.parametrize("value", [0, -1])
def test_no_peak_where_nothing_supports_the_class(value: float) -> None:
    nothing = np.full((3, 3), value, dtype=np.float32)
    assert peak(nothing) is None
    assert not hits(_explanation(nothing), np.ones((3, 3), dtype=bool))


def test_hits_is_strict() -> None:
    explanation = _explanation([[0, 0, 0], [0, 0, 7], [0, 0, 0]])
    opacity = np.zeros((30, 60), dtype=bool)  # ten rows and twenty columns a cell
    opacity[10:20, 40:60] = True
    assert hits(explanation, opacity)
    assert not hits(explanation, np.roll(opacity, -10, axis=0))  # one cell beside
    assert not hits(explanation, ~opacity)


def test_a_strong_objection_is_no_peak() -> None:
    explanation = _explanation([[-100, 1]])
    assert hits(explanation, np.array([[False, True]]))


def test_inside_lungs_by_hand() -> None:
    explanation = _explanation([[1, -2], [3, 4]])
    left = np.array([[True, False], [True, False]])
    assert inside_lungs(explanation, left) == pytest.approx(0.4)  # (1 + 3) / 10
    assert inside_lungs(explanation, np.repeat(left, 50, axis=0)) == pytest.approx(0.4)


def test_inside_lungs_of_nothing_is_not_a_number() -> None:
    assert inside_lungs(_explanation(np.zeros((2, 2))), np.ones((2, 2), dtype=bool)) is None


@given(seed=st.integers(0, 999))
def test_inside_and_outside_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    explanation = _explanation(rng.normal(size=(8, 8)))
    lungs = rng.random((21, 13)) > 0.5
    inside, outside = inside_lungs(explanation, lungs), inside_lungs(explanation, ~lungs)
    assert inside is not None
    assert outside is not None
    assert inside + outside == pytest.approx(1)
    assert 0 <= inside <= 1


def test_a_mask_that_is_none_is_rejected() -> None:
    with pytest.raises(InputError, match=r"mask is bool \(3,\), expected bool \(H, W\)"):
        hits(_explanation([[1, 2]]), np.ones(3, dtype=bool))


def _grid(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def test_mass_counts_support_alone_by_hand() -> None:
    attribution = _grid([[1, -6], [3, 4]])
    assert mass(attribution, np.array([[True, True], [True, False]])) == pytest.approx(0.5)  # 4 / 8


def test_a_map_without_support_has_no_mass_anywhere() -> None:
    assert mass(_grid([[-1, 0], [0, -3]]), np.ones((2, 2), dtype=bool)) == 0


def test_overlap_takes_as_many_pixels_as_were_drawn_by_hand() -> None:
    # two drawn; the two strongest are 9 (drawn) and 8 (not): 1 in common, 3 in the union
    synthetic = np.array([[True, True], [False, False]])
    assert overlap(_grid([[9, 1], [8, 2]]), synthetic) == pytest.approx(1 / 3)


def test_overlap_shares_the_last_places_among_ties_by_hand() -> None:
    # Two drawn. 9 is above; the three fives share the one place left, and one of them is drawn:
    # in the mean 1 + 1/3 in common, 4 - 4/3 in the union.
    synthetic = np.array([[True, True], [False, False]])
    expected = (4 / 3) / (4 - 4 / 3)
    assert overlap(_grid([[9, 5], [5, 5]]), synthetic) == pytest.approx(expected)
    # whichever of the tied pixels comes first
    assert overlap(_grid([[5, 9], [5, 5]]), synthetic) == pytest.approx(expected)


def test_agreement_by_hand() -> None:
    attribution = _grid([[4, 3, 2, 1], [0, 0, -1, -2], [0] * 4, [0] * 4])
    opacities = np.zeros((8, 8), dtype=bool)  # two pixels a cell
    opacities[:2, 0:2] = opacities[:2, 4:6] = True  # the cells of 4 and 2
    lungs = np.zeros((4, 4), dtype=bool)
    lungs[0, :3] = True  # 4, 3 and 2
    found = agreement(attribution, opacities, lungs)
    assert found == pytest.approx(
        {
            "peak_hit": 1,
            "mass_opacities": 6 / 10,
            "iou": 1 / 3,  # of 4 and 3, the first
            "auprc": (1 + 2 / 3) / 2,  # precision 1 at the first drawn cell, 2 / 3 at the second
            "auprc_lungs": (1 + 2 / 3) / 2,
            "peak_lungs": 1,
            "mass_lungs": 9 / 10,
        }
    )


@given(seed=st.integers(0, 999))
def test_a_perfect_map_scores_one_and_its_inverse_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    synthetic = np.zeros((12, 12), dtype=bool)
    top, left = rng.integers(0, 8, 2)
    synthetic[top : top + 4, left : left + 4] = True
    perfect = _grid(np.where(synthetic, 1 + rng.random((12, 12)), 0))
    assert set(agreement(perfect, synthetic, synthetic).values()) == {1.0}
    inverse = agreement(_grid(~synthetic), synthetic, synthetic)
    assert inverse["peak_hit"] == inverse["mass_opacities"] == inverse["iou"] == 0
    assert inverse["auprc"] == pytest.approx(synthetic.mean())  # all its drawn pixels tie, last


@given(seed=st.integers(0, 999))
def test_auprc_is_sklearns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    attribution = _grid(rng.integers(-3, 4, (9, 9)))  # with many ties
    synthetic = rng.random((9, 9)) > 0.7
    synthetic[0, 0] = True
    expected = average_precision_score(synthetic.ravel(), attribution.ravel())
    assert agreement(attribution, synthetic)["auprc"] == pytest.approx(expected)


def test_a_constant_map_agrees_as_chance_does() -> None:
    synthetic = np.zeros((10, 10), dtype=bool)
    synthetic[:2] = True
    found = agreement(_grid(np.ones((10, 10))), synthetic)
    assert found["auprc"] == pytest.approx(0.2)
    assert found["mass_opacities"] == pytest.approx(0.2)
    assert found["iou"] == pytest.approx(4 / 36)  # 20 places, a fifth of them drawn


def test_without_lungs_there_are_no_measures_of_them() -> None:
    synthetic = np.eye(4, dtype=bool)
    assert set(agreement(_grid(np.eye(4)), synthetic)) == {
        "peak_hit",
        "mass_opacities",
        "iou",
        "auprc",
    }
    outside = agreement(_grid(np.eye(4)), synthetic, ~synthetic)
    assert "auprc_lungs" not in outside
    assert outside["mass_lungs"] == 0


def test_a_radiograph_without_opacities_is_rejected() -> None:
    with pytest.raises(InputError, match="no opacity is drawn"):
        agreement(_grid(np.eye(4)), np.zeros((4, 4), dtype=bool))
