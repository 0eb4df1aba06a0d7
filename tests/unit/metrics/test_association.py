"""Cramer's V by hand, and its interval over patients; Spearman's correlation as SciPy has it."""

import math

import numpy as np
import pytest
from scipy import stats

from covid_cxr.metrics.association import association, cramers_v, spearman


class TestCramersV:
    def test_two_by_two_by_hand(self):
        # All margins 40, n = 80: phi2 = (30*30 - 10*10)^2 / 40^4 = 0.25. Corrected 0.25 - 1/79;
        # both r'-1 and c'-1 are 1 - 1/79. V^2 = (0.25*79 - 1) / (79 - 1) = 18.75 / 78.
        table = np.array([[30.0, 10.0], [10.0, 30.0]])
        assert cramers_v(table) == pytest.approx(math.sqrt(18.75 / 78))

    def test_two_by_three_by_hand(self):
        # Rows 30, columns 20: phi2 = (400 + 100 + 0 + 0 + 100 + 400) / 600 - 1 = 2/3, n = 60.
        # Corrected 2/3 - 2/59 = 112/177; r'-1 = 58/59 is less than c'-1 = 114/59. V^2 = 112/174.
        table = np.array([[20.0, 10.0, 0.0], [0.0, 10.0, 20.0]])
        assert cramers_v(table) == pytest.approx(math.sqrt(112 / 174))

    def test_no_association_and_all(self):
        # Less association than chance would give is 0, not the root of something negative.
        assert cramers_v(np.full((2, 3), 10.0)) == 0
        assert cramers_v(np.diag([5.0, 7.0, 9.0])) == pytest.approx(1)

    def test_rows_and_columns_that_hold_nothing_play_no_part(self):
        table = np.array([[30.0, 10.0], [10.0, 30.0]])
        padded = np.pad(table, ((0, 3), (1, 0)))
        assert cramers_v(padded) == pytest.approx(float(cramers_v(table)))

    def test_many_tables_at_once(self):
        tables = np.random.default_rng(0).integers(1, 20, (7, 4, 3)).astype(float)
        assert cramers_v(tables) == pytest.approx([float(cramers_v(each)) for each in tables])

    def test_undefined_where_nothing_varies_or_every_case_has_a_level_of_its_own(self):
        assert math.isnan(cramers_v(np.array([[3.0, 4.0]])))
        assert math.isnan(cramers_v(np.array([[3.0, 0.0], [4.0, 0.0]])))
        assert math.isnan(cramers_v(np.array([[1.0, 0.0], [0.0, 1.0]])))

    def test_many_levels_that_say_nothing_are_little(self):
        # Uncorrected, 200 levels of 1000 cases have phi2 near 199 * 2 / 999 = 0.4, V = 0.45.
        rng = np.random.default_rng(1)
        cell = rng.integers(200, size=1000) * 3 + rng.integers(3, size=1000)
        assert cramers_v(np.bincount(cell, minlength=600).reshape(200, 3).astype(float)) < 0.15


class TestInterval:
    def draw(self, near_copies, seed=0):
        rng = np.random.default_rng(seed)
        level = rng.integers(3, size=300)
        finding = np.where(rng.random(300) < 0.5, level, rng.integers(3, size=300))
        return (np.repeat(each, near_copies) for each in (level, finding, np.arange(300)))

    def test_holds_the_value_and_comes_back_with_the_seed(self):
        found = association(*self.draw(1), seed=3)
        assert 0 < found.low < found.v < found.high < 1
        assert association(*self.draw(1), seed=3) == found
        assert association(*self.draw(1), seed=4) != found

    def test_more_images_of_the_same_patients_make_it_no_surer(self):
        one, four = (association(*self.draw(near_copies), seed=3) for near_copies in (1, 4))
        assert four.high - four.low == pytest.approx(one.high - one.low, rel=0.05)

    def test_covers_the_truth(self):
        # By construction P(level = finding) is 0.5 + 0.5/3 = 2/3 of 3 x 3 cells with even margins:
        # phi2 = 9 * (3 * (2/9)^2 + 6 * (1/18)^2) - 1 = 0.5, V = sqrt(0.5 / 2) = 0.5.
        found = [association(*self.draw(1, seed), seed=0) for seed in range(100)]
        assert sum(each.low <= 0.5 <= each.high for each in found) >= 88
        assert np.mean([each.v for each in found]) == pytest.approx(0.5, abs=0.02)

    def test_none_where_it_cannot_be_shown(self):
        level = np.repeat([0, 1], 20)
        found = association(level, level, np.arange(40), seed=0)
        assert found.v == pytest.approx(1)
        assert math.isnan(found.low) and math.isnan(found.high)

    def test_undefined_for_one_level_or_one_finding_or_one_patient(self):
        two, one = np.repeat([0, 1], 20), np.zeros(40, dtype=int)
        for level, finding, patient in ((one, two, two), (two, one, two), (two, two, one)):
            assert math.isnan(association(level, finding, patient, seed=0).v)


def test_spearman_is_scipys_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (2, 50))
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_a_constant_ranks_nothing():
    assert spearman([2, 2, 2], [1, 2, 3]) == spearman([2, 2], [2, 2]) == spearman([1], [2]) == 0
