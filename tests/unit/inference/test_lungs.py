"""Lungs: the rules of what can be lungs, the network that ships and its card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_cxr.errors import BundleError
from covid_cxr.inference.lungs import GRAPH, MANIFEST, SHIPPED_LUNGS, LungSegmenter, lungs_of
from covid_cxr.phantoms import HOSPITALS, draw
from research.lung_segmentation import report


@pytest.fixture(scope="module")
def segmenter() -> LungSegmenter:
    return LungSegmenter(threads=1)


def answer(right: slice, left: slice, rows: slice = slice(20, 80)) -> np.ndarray:
    """What a network says that is certain of two rectangles on an image of 100 x 100."""
    found = np.full((2, 100, 100), 0.01, np.float32)
    found[0, rows, right] = found[1, rows, left] = 0.99
    return found


def test_holes_are_filled_and_bays_are_not() -> None:
    recorded = answer(slice(10, 40), slice(60, 90))
    recorded[0, 40:50, 20:30] = 0.01  # a hole
    recorded[0, 39, 19] = 0.01  # touches it at a corner alone: a hole of its own
    recorded[1, 40:50, 80:90] = 0.01  # a bay
    recorded[1, 20, 60] = 0.01
    found = lungs_of(recorded)
    assert found is not None
    assert (found.right.sum(), found.left.sum()) == (1800, 1800 - 100 - 1)


def test_a_lung_at_the_edge_of_the_image_keeps_what_the_edge_cuts_open() -> None:
    recorded = answer(slice(0, 40), slice(60, 100))
    recorded[0, 40:50, 0:10] = 0.01
    found = lungs_of(recorded)
    assert found is not None
    assert (found.right.sum(), found.left.sum()) == (2400 - 100, 2400)


def test_two_clear_lungs_are_found() -> None:
    found = lungs_of(answer(slice(10, 40), slice(60, 90)))
    assert found is not None
    assert (found.right.sum(), found.left.sum()) == (1800, 1800)
    assert found.both.sum() == 3600


def test_what_cannot_be_lungs_is_none() -> None:
    clear = answer(slice(10, 40), slice(60, 90))
    small = answer(slice(10, 40), slice(60, 65))
    swapped = clear[::-1]
    unsure = np.where(clear > 0.5, 0.6, 0.3).astype(np.float32)
    apart = clear.copy()
    apart[1] = np.roll(apart[1], 40, axis=0)
    for wrong in (small, swapped, unsure, apart, np.zeros_like(clear)):
        assert lungs_of(np.asarray(wrong, np.float32)) is None


def test_of_several_pieces_the_largest_counts_and_its_holes_are_filled() -> None:
    found = answer(slice(10, 40), slice(60, 90))
    found[0, 40:45, 20:25] = 0.01  # a hole
    found[0, 2:6, 2:6] = 0.99  # a crumb
    lungs = lungs_of(found)
    assert lungs is not None
    assert lungs.right.sum() == 1800
    assert not lungs.right[:10].any()


@pytest.mark.parametrize("number", range(5))
def test_the_shipped_network_finds_the_lungs_of_phantoms(
    segmenter: LungSegmenter, number: int
) -> None:
    finding = ("normal", "covid-19", "pneumonia")[number % 3]
    radiograph = draw(finding, number, hospital=HOSPITALS[number].name)
    (found,) = segmenter.segment([radiograph.pixels])
    assert found is not None
    right, left = report.row(_row(), found, (radiograph.lungs, radiograph.lungs & False)), None
    assert left is None
    assert right["dice"] > 0.7  # phantoms are not what it was trained on


def _row() -> pd.Series:
    return pd.Series({"image_id": "a", "component": 0, "raw_finding": "", "view": "PA"})


def test_a_mirrored_image_gets_the_mirrored_answer(segmenter: LungSegmenter) -> None:
    radiograph = np.random.default_rng(0).random((1, 1, 160, 160), dtype=np.float32)
    radiograph[..., :80] *= 0.3
    once = segmenter.probabilities(radiograph)
    mirrored = segmenter.probabilities(np.ascontiguousarray(radiograph[..., ::-1]))
    assert np.abs(mirrored[:, ::-1, :, ::-1] - once).max() < 1e-5
    assert np.abs(once[:, 0] - once[:, 1]).max() > 1e-3


def test_pictures_without_lungs_are_told_apart(segmenter: LungSegmenter) -> None:
    rng = np.random.default_rng(0)
    noise = rng.random((200, 200), dtype=np.float32)
    radiograph = draw("normal", 3).pixels
    ramp = np.linspace(0, 1, 200, dtype=np.float32)[None].repeat(200, axis=0)
    blank = np.full((200, 200), 0.4, np.float32)
    pictures = [noise, ramp, blank, np.rot90(radiograph).copy()]
    assert segmenter.segment(pictures) == [None] * 4


def test_many_images_are_answered_in_order(segmenter: LungSegmenter) -> None:
    radiographs = [draw("normal", n).pixels for n in range(3)]
    blank = np.zeros((50, 60), np.float32)
    together = segmenter.segment([radiographs[0], blank, *radiographs[1:], *[blank] * 20])
    alone = [segmenter.segment([radiograph])[0] for radiograph in radiographs]
    assert together[1] is None
    assert together[4:] == [None] * 20
    for one, other in zip([together[0], *together[2:4]], alone, strict=True):
        assert one is not None
        assert other is not None
        assert np.array_equal(one.both, other.both)


def test_the_shipped_card_says_what_the_network_scored() -> None:
    metrics = json.loads((SHIPPED_LUNGS / MANIFEST).read_text("utf-8"))["metrics"]
    card = (SHIPPED_LUNGS / "LUNGS_CARD.md").read_text("utf-8")
    assert f"mean {metrics['dice']:.3f}" in card
    assert f"{metrics['dice_5th_percentile']:.3f} / {metrics['dice_lowest']:.3f}" in card
    assert "Not a medical device" in card


def test_an_altered_or_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no lung network"):
        LungSegmenter(tmp_path)
    shutil.copytree(SHIPPED_LUNGS, tmp_path / "copy")
    with (tmp_path / "copy" / GRAPH).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match="was altered"):
        LungSegmenter(tmp_path / "copy")
