"""Montages of explained radiographs: what stands where, page by page, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr.errors import InputError
from covid_cxr.explain.rendering.montage import GRID, PRIVATE, MontageWriter, Tile
from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle
from covid_cxr.explain.rendering.page import Caption
from covid_cxr.explain.rendering.zones import with_lungs
from covid_cxr.imaging import page as imaging_page
from covid_cxr.imaging.page import GAP, HEAD
from covid_cxr.imaging.text import length
from covid_cxr.types import DISCLAIMER, Explanation, Lungs

CAPTION = Caption(0.93, 0.41, "ward 3/radiograph.png")


def _explanation(value: float = 1.0) -> Explanation:
    attribution = np.full((16, 16), value, dtype=np.float32)
    return Explanation("lime", "covid-19", attribution, fidelity=0.71)


def _tile(grey: float = 0.5, shape: tuple[int, int] = (60, 60), **named: object) -> Tile:
    tile = Tile(np.full(shape, grey, dtype=np.float32), None, CAPTION, "covid-19")
    return tile._replace(**named)


def _cell(page: Image.Image, column: int, row: int = 0) -> np.ndarray:
    x, y = GRID.corner(row * GRID.across + column)
    return np.asarray(page)[y : y + GRID.edge, x : x + GRID.edge]


class _Pages:
    """Writes montages into a folder of its own and opens them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, tiles: Iterable[Tile], style: OverlayStyle = DEFAULT_STYLE
    ) -> list[Image.Image]:
        with MontageWriter(self.folder, style) as writer:
            for tile in tiles:
                writer.add(tile)
        return [Image.open(path).convert("RGB") for path in writer.written]


@pytest.fixture
def pages(tmp_path: Path) -> _Pages:
    return _Pages(tmp_path)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line drawn."""
    synthetic: list[str] = []
    write = imaging_page.write
    monkeypatch.setattr(
        imaging_page,
        "write",
        lambda draw, at, text, *rest, **named: (
            synthetic.append(text),
            write(draw, at, text, *rest, **named),
        ),
    )
    return synthetic


def test_a_tile_is_the_overlay_and_what_is_known(texts: list[str], pages: _Pages) -> None:
    lungs = Lungs(np.tri(16, dtype=bool), np.zeros((16, 16), dtype=bool))
    explanation = with_lungs(_explanation(), lungs)
    caption = replace(CAPTION, flags=("window missing",))
    page = pages([_tile(explanation=explanation, caption=caption)])[0]
    assert texts == [
        "Explained radiographs · montage 1",
        "Green speaks for the class named below an image, red against it; "
        "lines run round the strongest evidence and the lungs.",
        f"{DISCLAIMER} {PRIVATE}",
        "radiograph.png",
        "covid-19 · 0.93",
        "LIME · fidelity 0.71, fair",
        "53 % of the support inside the lungs",  # 136 of 256 pixels
        "window missing",
    ]
    red, green, blue = _cell(page, 0)[20, 200]
    assert green > max(red, blue)


def test_the_style_is_kept_and_told(texts: list[str], pages: _Pages) -> None:
    style = OverlayStyle("blue-orange", contours=False, outline=False)
    page = pages([_tile(explanation=_explanation())], style)[0]
    assert "Blue speaks for the class named below an image, orange against it." in texts
    red, green, blue = _cell(page, 0)[128, 128]
    assert blue > max(red, green)


def test_radiographs_without_an_explanation_or_without_pixels(
    texts: list[str], pages: _Pages
) -> None:
    abstained = _tile(label="", caption=replace(CAPTION, flags=("blank image",)))
    broken = Tile(None, None, replace(CAPTION, flags=("is no picture",)))
    page = pages([_tile(), abstained, broken])[0]
    assert texts.count("covid-19 · 0.93") == 1
    assert texts.count("no prediction") == 2
    assert {"blank image", "no image", "is no picture"} <= set(texts)
    assert (_cell(page, 0) == 128).all()  # grey, untouched


def test_aspect_is_kept_on_black(pages: _Pages) -> None:
    # 60 x 120 fills a cell's width and half of its height.
    found = _cell(pages([_tile(1.0, (60, 120))])[0], 0)
    assert (found[70:186] == 255).all()
    assert (found[:60] == 0).all()
    assert (found[196:] == 0).all()


def test_long_names_and_many_flags_stay_inside_their_cell(texts: list[str], pages: _Pages) -> None:
    flags = tuple(f"warning number {number} on how it was read" for number in range(9))
    caption = replace(CAPTION, file="ward/" + "röntgen" * 40 + "胸.png", flags=flags)
    pages([_tile(caption=caption, explanation=_explanation())])[0]
    caption = texts[3:]
    assert len(caption) == GRID.lines
    assert caption[0].startswith("röntgen")
    assert caption[0].endswith("?.png")
    assert caption[-1].endswith("...")
    assert all(length(line, GRID.letter) <= GRID.edge for line in caption)


@pytest.mark.parametrize(
    ("tiles", "count", "last"),
    [
        (0, 0, None),
        (1, 1, (3, 1)),
        (5, 1, (5, 1)),
        (24, 1, (6, 4)),
        (25, 2, (3, 1)),
        (31, 2, (6, 2)),
    ],
)
def test_24_radiographs_a_page(
    tiles: int, count: int, last: tuple[int, int] | None, pages: _Pages
) -> None:
    found = pages(_tile(number / tiles) for number in range(tiles))
    assert len(found) == count
    if last:
        across, down = last
        width, height = GRID.pitch
        assert found[-1].size == (GAP + across * width, HEAD + down * height)
        assert _cell(found[-1], (tiles - 1) % 24 % 6, (tiles - 1) % 24 // 6)[5, 5, 0] == round(
            255 * (tiles - 1) / tiles
        )


def test_a_writer_writes_each_page_when_it_is_full(tmp_path: Path) -> None:
    with MontageWriter(tmp_path / "new", stem="radiographs") as writer:
        for number in range(25):
            writer.add(_tile(number / 25))
            assert len(writer.written) == (number >= 23)
    names = ["radiographs-1.png", "radiographs-2.png"]
    assert [path.name for path in writer.written] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert writer.close() == writer.written  # a second time, nothing more


def test_a_writer_that_is_interrupted_writes_no_half_page(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), MontageWriter(tmp_path) as writer:
        writer.add(_tile())
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_colour_picture_is_rejected(pages: _Pages) -> None:
    with pytest.raises(InputError, match=r"expected \(H, W\)"):
        pages([_tile(pixels=np.zeros((4, 4, 3), dtype=np.float32))])[0]


def test_memory_does_not_grow_with_radiographs(tmp_path: Path) -> None:
    peaks = []
    for count in (24, 96):
        tracemalloc.start()
        with MontageWriter(tmp_path) as writer:
            for _ in range(count):
                writer.add(_tile(shape=(800, 700), explanation=_explanation()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
