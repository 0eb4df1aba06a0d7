"""Pages and montages against pictures that were looked at and found good.

The radiographs are phantoms: no image of a patient is in the repository. After a wanted change,
run `GOLDEN=write pytest tests/unit/explain/rendering/test_golden.py` and look at `tests/golden`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from covid_cxr.explain.rendering.montage import MontageWriter, Tile
from covid_cxr.explain.rendering.overlay import OverlayStyle, panel
from covid_cxr.explain.rendering.page import Caption, Layout, draw_page
from covid_cxr.explain.rendering.zones import with_lungs
from covid_cxr.explain.resampling import enlarge
from covid_cxr.phantoms import Phantom, draw
from covid_cxr.types import Explanation, FloatArray, Lungs

GOLDEN = Path(__file__).parents[3] / "golden"
CAPTION = Caption(0.93, 0.41, "phantoms/röntgen 3.png")
SMALL = OverlayStyle(longest=224)  # small files
_WHOLE, _BLOCK, _PANEL_BLOCK = 1.5, 30, 4  # mean differences in grey levels


def _phantom(seed: int = 3) -> tuple[Phantom, Lungs]:
    found = draw("covid-19", seed, size=224)
    left = np.zeros_like(found.lungs)
    left[:, left.shape[1] // 2 :] = True
    return found, Lungs(found.lungs & ~left, found.lungs & left)


def _truth(found: Phantom) -> FloatArray:
    """A map (96, 96) that is for the opacities and a little against the upper mediastinum."""
    support = gaussian_filter(found.opacities.astype(np.float32), 9)
    row, column = np.mgrid[: support.shape[0], : support.shape[1]]
    height, width = support.shape
    against = np.exp(-((row - 0.3 * height) ** 2 + (column - 0.5 * width) ** 2) / 600)
    return enlarge((support - 0.4 * against).astype(np.float32), (96, 96))


def _cloud(seed: int = 3) -> Explanation:
    found, lungs = _phantom(seed)
    return with_lungs(Explanation("cam", "covid-19", _truth(found), bundle="0123abcd"), lungs)


def _regions(seed: int = 3) -> Explanation:
    """The same by regions: means over an 8 x 8 grid of squares."""
    smooth = _cloud(seed)
    segments = np.kron(np.arange(64).reshape(8, 8), np.ones((12, 12))).astype(np.int32)
    weights = np.bincount(segments.ravel(), weights=smooth.attribution.ravel()) / 144
    return replace(
        smooth,
        method="lime",
        attribution=weights[segments].astype(np.float32),
        segments=segments,
        weights=tuple(map(float, weights)),
        fidelity=0.71,
    )


def _regions_with_zones() -> Explanation:
    explanation = _regions()
    return with_lungs(explanation, explanation.lungs)


def _montage(tiles: list[Tile]) -> Image.Image:
    with TemporaryDirectory() as folder:
        with MontageWriter(Path(folder)) as writer:
            for tile in tiles:
                writer.add(tile)
        return Image.open(writer.written[0]).convert("RGB")


def _cases() -> dict[str, Image.Image]:
    pixels = _phantom()[0].pixels
    safe = replace(SMALL, palette="blue-orange")
    doubtful = replace(_regions(), fidelity=0.3, lungs=None, zones=None)
    tiles = [
        Tile(pixels, _cloud(), CAPTION),
        Tile(_phantom(4)[0].pixels, _regions(4), replace(CAPTION, flags=("window missing",))),
        Tile(pixels, None, CAPTION, "covid-19"),
        Tile(None, None, replace(CAPTION, flags=("blank image",))),
    ]
    return {
        "smooth-map": draw_page(pixels, _cloud(), CAPTION, SMALL),
        "regions": draw_page(pixels, _regions_with_zones(), CAPTION, safe),
        "doubtful": draw_page(
            pixels, doubtful, replace(CAPTION, flags=("lungs not found",)), SMALL
        ),
        "montage": _montage(tiles),
    }


NAMES = ("smooth-map", "regions", "doubtful", "montage")


@pytest.fixture(scope="module")
def synthetic() -> dict[str, Image.Image]:
    pages = _cases()
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        for name, page in pages.items():
            page.save(GOLDEN / f"{name}.png", "PNG", optimize=True)
    return pages


def _worst(one: np.ndarray, other: np.ndarray, edge: int = 16) -> float:
    """Return the largest mean difference of two pictures (H, W, 3) over blocks of `edge`."""
    apart = np.abs(one.astype(float) - other.astype(float)).mean(axis=2)
    height, width = (side // edge * edge for side in apart.shape)
    blocks = apart[:height, :width].reshape(height // edge, edge, width // edge, edge)
    return float(blocks.mean(axis=(1, 3)).max())


def _overlay_panel(page: Image.Image) -> np.ndarray:
    """Return the overlay on the page of `_cloud`: no letters, so it must be nearly the same."""
    grey = panel(_phantom()[0].pixels, SMALL.longest)
    layout = Layout.of((grey.shape[0], grey.shape[1]), _cloud(), CAPTION)
    found = np.asarray(page)[layout.top : layout.bottom]
    return found[:, layout.right : layout.right + grey.shape[1]]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_as_they_were_found_good(name: str, synthetic: dict[str, Image.Image]) -> None:
    golden = np.asarray(Image.open(GOLDEN / f"{name}.png").convert("RGB"))
    found = np.asarray(synthetic[name])
    assert found.shape == golden.shape
    assert np.abs(found.astype(float) - golden.astype(float)).mean() < _WHOLE
    assert _worst(found, golden) < _BLOCK  # letters may be smoothed otherwise elsewhere


def test_the_overlay_itself_is_nearly_the_same(synthetic: dict[str, Image.Image]) -> None:
    golden = Image.open(GOLDEN / "smooth-map.png").convert("RGB")
    assert _worst(_overlay_panel(synthetic["smooth-map"]), _overlay_panel(golden)) < _PANEL_BLOCK


@pytest.mark.parametrize(
    "style",
    [
        replace(SMALL, outline=False),
        replace(SMALL, contours=False),
        replace(SMALL, opacity=0.5),
        replace(SMALL, palette="blue-orange"),
    ],
)
def test_the_tolerance_lets_no_change_of_style_through(style: OverlayStyle) -> None:
    golden = Image.open(GOLDEN / "smooth-map.png").convert("RGB")
    other = draw_page(_phantom()[0].pixels, _cloud(), CAPTION, style)
    assert _worst(_overlay_panel(other), _overlay_panel(golden)) > _PANEL_BLOCK


def test_golden_pictures_are_small_and_each_is_drawn() -> None:
    files = sorted(GOLDEN.iterdir())
    assert [path.stem for path in files] == sorted(NAMES)
    assert sum(path.stat().st_size for path in files) < 1_000_000
