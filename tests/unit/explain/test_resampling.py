"""Maps of a part of a radiograph, brought back to where they belong."""

from __future__ import annotations

import numpy as np

from covid_cxr.explain.resampling import on_radiograph
from covid_cxr.imaging.crop import crop
from covid_cxr.types import WHOLE, Box, Explanation

MAP = np.arange(16, dtype=np.float32).reshape(4, 4)
FIELD = Box(0.25, 0.5, 0.75, 1.0)


def test_a_map_of_the_whole_radiograph_stays() -> None:
    whole = Explanation("cam", "covid-19", MAP)
    assert on_radiograph(whole, WHOLE) is whole


def test_a_map_lies_in_its_field_and_nothing_outside() -> None:
    found = on_radiograph(Explanation("cam", "covid-19", np.ones((8, 8), np.float32)), FIELD)
    expected = np.zeros((8, 8), np.float32)
    expected[2:6, 4:] = 1
    np.testing.assert_array_equal(found.attribution, expected)
    assert found.segments is None


def test_regions_keep_their_numbers_and_outside_weighs_nothing() -> None:
    segments = np.repeat([[0], [0], [1], [2]], 4, axis=1).astype(np.int32)
    weights = (0.5, -1.0, 2.0)
    made = Explanation("lime", "covid-19", MAP, segments=segments, weights=weights)
    found = on_radiograph(made, FIELD)
    assert found.weights == (0.5, -1.0, 2.0, 0.0)
    assert found.segments is not None
    assert set(np.unique(crop(found.segments, FIELD))) <= {0, 1, 2}
    assert (found.segments == 3).sum() == 16 - 4  # half of two of four columns is the field
    assert made.segments is segments  # not written to
