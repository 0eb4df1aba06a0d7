"""What a fingerprint keeps of an image, and what it forgets."""

import numpy as np
import pytest

from covid_cxr.cohort.dedup.fingerprint import fingerprint
from covid_cxr.phantoms import draw

RADIOGRAPH = draw("normal", 3).pixels


def test_ranks_of_equal_columns_are_worked_out_by_hand() -> None:
    # Columns 0, 1 and 3 of four grey values, each a quarter of 4096 pixels; their middle ranks
    # are 1/8, 3/8, 5/8 and 7/8 of 256: 32, 96, 160, 224.
    pixels = np.tile(np.repeat([0.1, 0.2, 0.6, 0.9], 64).astype(np.float32), (256, 1))
    pixels[:, :128] = pixels[:, :128][::-1]
    found = fingerprint(pixels[:, ::1])
    assert found.shape == (64, 64)
    assert found.dtype == np.uint8
    # Columns 0..15 are a flat border of 0.1 and are cut off (at most 30 %), so are 48..63.
    assert sorted(np.unique(found)) == [64, 192]
    assert found[0, 0] == 64
    assert found[0, 63] == 192


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_grey_values_may_change_as_long_as_their_order_stays(gamma: float) -> None:
    changed = fingerprint((0.8 * RADIOGRAPH**gamma + 0.1).astype(np.float32))
    assert np.abs(changed.astype(int) - fingerprint(RADIOGRAPH)).mean() < 4


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_flat_frame_is_cut_off(level: float) -> None:
    framed = np.pad(RADIOGRAPH, ((30, 0), (12, 40)), constant_values=level)
    # The image's own black rim goes with the frame, so neither is cut to the pixel.
    bare = fingerprint(RADIOGRAPH[4:-4, 4:-4])
    assert np.abs(fingerprint(framed).astype(int) - bare).mean() < 25
    assert np.abs(fingerprint(framed[::-1]).astype(int) - bare).mean() > 40


def test_one_grey_value_and_tiny_images_have_one_too() -> None:
    assert fingerprint(np.full((40, 50), 0.5, np.float32)).tolist() == [[128] * 64] * 64
    assert fingerprint(np.eye(32, dtype=np.float32)).shape == (64, 64)
