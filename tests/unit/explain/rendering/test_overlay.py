from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.rendering.contours import (
    coverage,
    distance,
    smooth_mask,
    strongest,
    strongest_regions,
)
from covid_cxr.explain.rendering.overlay import PALETTES, OverlayStyle, blend, draw_overlay, limit
from covid_cxr.types import Explanation
from support.explanations import cloud, halves, lungs


def test_green_supports_and_red_speaks_against() -> None:
    overlay = draw_overlay(np.full((400, 300), 100, dtype=np.uint8), halves()).astype(int)
    left, right = overlay[200, 50], overlay[200, 250]
    assert left[1] > left[0] + 40  # greener than red
    assert right[0] > right[1] + 20
    # Full colour is the 99th percentile, 0.5: opacity 0.6 on the left and 0.3 on the right.
    assert left.tolist() == pytest.approx([0.4 * 100 + 0.6 * c for c in (20, 190, 110)], abs=1)
    assert right.tolist() == pytest.approx([0.7 * 100 + 0.3 * c for c in (235, 70, 40)], abs=1)


def test_no_attribution_leaves_the_radiograph_grey() -> None:
    grey = np.arange(400 * 300, dtype=np.uint32).reshape(400, 300).astype(np.uint8)
    overlay = draw_overlay(grey, halves(0, 0))
    assert np.array_equal(overlay, np.repeat(grey[..., None], 3, axis=2))


def test_blend_leaves_zero_untouched() -> None:
    grey = np.array([[7, 200]], dtype=np.uint8)
    assert blend(grey, np.zeros((1, 2), dtype=np.float32)).tolist() == [[[7] * 3, [200] * 3]]


def test_limit_is_robust_to_one_hot_pixel() -> None:
    grid = np.ones((20, 20), dtype=np.float32)
    grid[0, 0] = 1000
    assert limit(grid) == 1
    lonely = np.zeros((20, 20), dtype=np.float32)
    lonely[3, 3] = -4
    assert limit(lonely) == 4


def test_strongest_regions_by_hand() -> None:
    assert strongest_regions((0.1, -0.9, 0.3, 0.29, 0.5)) == [1, 4, 2]  # a third of 0.9 is 0.3
    assert strongest_regions([1.0] * 9) == [0, 1, 2, 3, 4, 5]
    assert strongest_regions((0.0, 0.0)) == []
    assert strongest_regions(()) == []


def test_strong_regions_are_outlined() -> None:
    overlay = draw_overlay(np.full((400, 300), 100, dtype=np.uint8), halves()).astype(int)
    assert abs(overlay[200, 149] - overlay[200, 100]).max() > 10  # the left region's right edge


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"palette": "blue-orang"}, UnknownName, "palette 'blue-orang'.*blue-orange"),
        ({"opacity": 0}, InputError, "opacity is 0, expected over 0 and up to 1"),
        ({"opacity": float("nan")}, InputError, "opacity is nan"),
        ({"longest": 10}, InputError, "longest edge is 10, expected at least 64"),
    ],
)
def test_a_style_that_cannot_be_drawn(
    values: dict[str, object], error: type[InputError], message: str
) -> None:
    with pytest.raises(error, match=message):
        OverlayStyle(**values)


# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", IEEE TVCG 2009: severity 1.0, on linear_rgb RGB.
_EYES = {
    "all cones": np.eye(3),
    "no red cones": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green cones": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "no blue cones": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def _perceived(colour: np.ndarray, eyes: str) -> np.ndarray:
    linear_rgb = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    perceived = np.clip(_EYES[eyes] @ linear_rgb, 0, 1)
    return rgb2lab(
        np.where(perceived <= 0.0031308, 12.92 * perceived, 1.055 * perceived ** (1 / 2.4) - 0.055)
    )


@pytest.mark.parametrize("eyes", list(_EYES))
@pytest.mark.parametrize("grey", [0, 60, 120, 180, 240])
def test_blue_and_orange_are_told_apart_by_everyone_on_any_radiograph(eyes: str, grey: int) -> None:
    overlay = np.full((1, 1), grey, dtype=np.uint8)
    style = OverlayStyle(palette="blue-orange")
    support, against, nothing = (
        _perceived(blend(overlay, np.full((1, 1), value, np.float32), style)[0, 0] / 255, eyes)
        for value in (1, -1, 0)
    )
    assert deltaE_ciede2000(support, against) > 45  # 2.3 is just noticeable
    assert min(deltaE_ciede2000(each, nothing) for each in (support, against)) > 20


def test_green_and_red_are_for_those_with_all_cones() -> None:
    green, red = (np.array(each) / 255 for each in PALETTES["green-red"])
    assert deltaE_ciede2000(_perceived(green, "all cones"), _perceived(red, "all cones")) > 45


def test_the_palette_and_the_opacity_are_the_styles() -> None:
    grey = np.full((400, 300), 100, dtype=np.uint8)
    overlay = draw_overlay(grey, halves(), OverlayStyle("blue-orange", opacity=0.4)).astype(int)
    blue, orange = PALETTES["blue-orange"]
    assert overlay[200, 50].tolist() == pytest.approx([0.6 * 100 + 0.4 * c for c in blue], abs=1)
    assert overlay[200, 250].tolist() == pytest.approx([0.8 * 100 + 0.2 * c for c in orange], abs=1)


def test_between_opposed_regions_there_is_no_pale_seam() -> None:
    grey = np.full((400, 320), 100, dtype=np.uint8)
    overlay = draw_overlay(grey, halves(0.5, -0.5), OverlayStyle(contours=False)).astype(int)
    away = np.abs(overlay[200] - 100).max(axis=1)  # from grey, along a row
    assert away.min() > 15  # it was 0, grey, where the signs met


def _changed(style: OverlayStyle, explanation: Explanation) -> np.ndarray:
    """Return where on a 512 x 512 overlay this style draws what one without lines does not."""
    grey = np.full((512, 512), 128, dtype=np.uint8)
    bare = draw_overlay(grey, explanation, OverlayStyle(contours=False, outline=False)).astype(int)
    return np.abs(draw_overlay(grey, explanation, style) - bare).max(axis=2) > 20


def test_the_lungs_outline_is_thin_and_where_the_lungs_end() -> None:
    explanation = replace(halves(0, 0), lungs=lungs(64))
    synthetic = _changed(OverlayStyle(contours=False), explanation)
    # Eight pixels of the overlay to one of the mask: rows 128 to 384, columns 64 to 192.
    assert set(np.flatnonzero(synthetic[256, :256])) <= {*range(61, 67), *range(189, 195)}
    assert synthetic[256, 62:66].any()
    assert synthetic[256, 190:194].any()
    assert not _changed(OverlayStyle(outline=False, contours=False), explanation).any()
    assert not synthetic[:, 240:272].any()  # between the lungs


def test_a_map_without_regions_is_outlined_at_half_its_largest() -> None:
    synthetic = _changed(OverlayStyle(outline=False), cloud())
    row, column = np.nonzero(synthetic)
    # Half a Gaussian's height is 1.18 deviations out, here 9.4 of 64 pixels; it is smoothed a
    # little first, with 64 / 56 pixels.
    radius = np.hypot(row - 260, column - 164) / 8
    assert 8.5 < radius.min() < radius.max() < 10.5
    angle = np.arctan2(row - 260, column - 164)
    assert np.ptp(angle) > 6.2  # closed


def test_each_sign_has_its_line_and_a_weak_one_has_none() -> None:
    assert strongest(cloud(), 1) is not None
    assert strongest(cloud(), -1) is None
    assert strongest(cloud(-1), -1) is not None
    weak = replace(cloud(), attribution=cloud().attribution - 0.3 * np.fliplr(cloud().attribution))
    assert strongest(weak, -1) is None
    assert strongest(replace(cloud(), attribution=np.zeros((8, 8), np.float32)), 1) is None
    assert strongest(halves(0.5, -0.1), -1) is None  # under a third of the largest


def test_neighbouring_regions_share_one_line() -> None:
    explanation = replace(halves(0.5, 0.4), attribution=np.full((16, 16), 0.5, np.float32))
    field = strongest(explanation, 1)
    assert field is not None
    assert (field > 0.5).all()


def test_a_line_has_the_width_asked_for_at_any_enlargement() -> None:
    half = np.zeros((64, 64), dtype=bool)
    half[:, :32] = True
    for size in (500, 1024, 2048):
        covered = coverage(distance(smooth_mask(half), (size, size)), 4)
        assert covered.sum(axis=1) == pytest.approx(4, abs=0.6)
        assert abs(int(covered[size // 2].argmax()) - size // 2) <= 3


def test_flat_fields_and_thin_radiographs_have_no_line() -> None:
    assert np.isinf(distance(np.full((8, 8), 0.5, np.float32), (64, 64))).all()
    assert np.isinf(distance(np.eye(8, dtype=np.float32), (1, 64))).all()
