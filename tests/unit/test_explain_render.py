from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr.errors import InputError
from covid_cxr.explain import render
from covid_cxr.explain.render import Facts, fidelity_in_words, overlay, record, save
from covid_cxr.explain.tint import blend, limit, strongest_regions, tint
from covid_cxr.types import DISCLAIMER, Explanation

FACTS = Facts(probability=0.93, threshold=0.41, file="films/a.png")


def _halves(left: float = 0.5, right: float = -0.25) -> Explanation:
    """Two regions: the left half and the right half of a 16 x 16 grid."""
    segments = np.zeros((16, 16), dtype=np.int32)
    segments[:, 8:] = 1
    weights = (left, right)
    return Explanation(
        method="lime",
        label="covid-19",
        attribution=np.asarray(weights, dtype=np.float32)[segments],
        segments=segments,
        weights=weights,
        fidelity=0.83,
        parameters={"samples": 1000},
        seed=3,
        bundle="abc123",
    )


def _film(height: int = 400, width: int = 300) -> np.ndarray:
    return np.random.default_rng(0).random((height, width), dtype=np.float32)


def _find(page: Image.Image, film: np.ndarray) -> tuple[int, int] | None:
    """Return where on the page the film stands, unaltered."""
    grey = (film * 255).round().astype(np.uint8)
    canvas = np.asarray(page)
    height, width = grey.shape
    for y in range(canvas.shape[0] - height):
        for x in range(canvas.shape[1] - width):
            if (canvas[y, x : x + 8] == grey[0, :8, None]).all():
                found = canvas[y : y + height, x : x + width]
                return (y, x) if (found == grey[..., None]).all() else None
    return None


def test_the_radiograph_stands_untouched_on_the_left() -> None:
    place = _find(overlay(_film(), _halves(), FACTS), _film())
    assert place is not None


def test_green_supports_and_red_speaks_against() -> None:
    film = tint(np.full((400, 300), 100, dtype=np.uint8), _halves()).astype(int)
    left, right = film[200, 50], film[200, 250]
    assert left[1] > left[0] + 40  # greener than red
    assert right[0] > right[1] + 20
    # Full colour is the 99th percentile, 0.5: opacity 0.6 on the left and 0.3 on the right.
    assert left.tolist() == pytest.approx([0.4 * 100 + 0.6 * c for c in (20, 190, 110)], abs=1)
    assert right.tolist() == pytest.approx([0.7 * 100 + 0.3 * c for c in (235, 70, 40)], abs=1)


def test_no_evidence_leaves_the_film_grey() -> None:
    grey = np.arange(400 * 300, dtype=np.uint32).reshape(400, 300).astype(np.uint8)
    film = tint(grey, _halves(0, 0))
    assert np.array_equal(film, np.repeat(grey[..., None], 3, axis=2))
    overlay(_film(), _halves(0, 0), FACTS)


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
    film = tint(np.full((400, 300), 100, dtype=np.uint8), _halves()).astype(int)
    assert abs(film[200, 149] - film[200, 100]).max() > 10  # the left region's right edge


@pytest.mark.parametrize(
    ("shape", "panel"),
    [
        ((600, 500), (600, 500)),  # as it is
        ((100, 80), (384, 307)),  # 384 / 100 * 80 = 307.2
        ((2048, 1024), (1024, 512)),
        ((100, 1000), (154, 1536)),  # a strip: 1536 wide, 153.6 high
    ],
)
def test_panel_keeps_the_aspect_ratio(shape: tuple[int, int], panel: tuple[int, int]) -> None:
    assert render._panel(np.zeros(shape, dtype=np.float32)).shape == panel


@pytest.mark.parametrize("shape", [(1, 1), (2000, 3), (3, 2000), (50, 60), (384, 384)])
def test_any_film_gets_a_page_of_sensible_size(shape: tuple[int, int]) -> None:
    width, height = overlay(np.zeros(shape, dtype=np.float32), _halves(), FACTS).size
    assert 500 < width <= 3300
    assert 150 < height <= 1400


def test_a_colour_picture_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(4, 4, 3\), expected \(H, W\)"):
        overlay(np.zeros((4, 4, 3), dtype=np.float32), _halves(), FACTS)


@pytest.mark.parametrize(
    ("fidelity", "words"),
    [
        (0.8, "fidelity 0.80 (high)"),
        (0.794, "fidelity 0.79 (moderate)"),
        (0.796, "fidelity 0.80 (high)"),
        (0.5, "fidelity 0.50 (moderate)"),
        (-2.0, "fidelity -2.00 (low: do not rely on it)"),
        (None, "fidelity not defined"),
    ],
)
def test_fidelity_in_words(fidelity: float | None, words: str) -> None:
    assert fidelity_in_words(fidelity) == words


def _texts(monkeypatch: pytest.MonkeyPatch, explanation: Explanation, facts: Facts) -> list[str]:
    written: list[str] = []
    original = render.ImageDraw.ImageDraw.text

    def text(self: object, xy: object, text: str, *rest: object, **named: object) -> None:
        written.append(text)
        original(self, xy, text, *rest, **named)

    monkeypatch.setattr(render.ImageDraw.ImageDraw, "text", text)
    overlay(_film(), explanation, facts)
    return written


def test_the_page_says_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _texts(monkeypatch, _halves(), FACTS) == [
        "covid-19 · probability 0.93",
        "LIME · fidelity 0.83 (high) · called covid-19 from 0.41",
        "films/a.png · abc123",
        "against covid-19  -0.5",
        "+0.5  for covid-19",
        DISCLAIMER,
    ]


def test_names_that_the_font_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts(0.5, file="röntgen\n\udcff" + "x" * 500)
    line = _texts(monkeypatch, _halves(), facts)[2]
    assert line.startswith("r?ntgen??xxx")
    assert line.endswith("x...")


def test_record_by_hand() -> None:
    found = record(_halves(), FACTS)
    assert found["regions"] == [
        {"region": 0, "weight": 0.5, "row": 0.5, "column": 0.25, "area": 0.5},
        {"region": 1, "weight": -0.25, "row": 0.5, "column": 0.75, "area": 0.5},
    ]
    assert {key: found[key] for key in ("method", "seed", "fidelity", "bundle", "label")} == {
        "method": "lime",
        "seed": 3,
        "fidelity": 0.83,
        "bundle": "abc123",
        "label": "covid-19",
    }
    assert found["parameters"] == {"samples": 1000}
    assert (found["probability"], found["threshold"], found["file"]) == (0.93, 0.41, "films/a.png")
    assert found["disclaimer"] == DISCLAIMER
    assert found["inside_lungs"] is None


def test_a_map_without_regions_has_none_in_its_record() -> None:
    plain = Explanation("cam", "covid-19", np.ones((4, 4), dtype=np.float32))
    assert record(plain, FACTS)["regions"] == []


def test_save_writes_both_and_nothing_else(tmp_path: Path) -> None:
    lungs = np.zeros((400, 300), dtype=bool)
    lungs[:, :150] = True
    stem = tmp_path / "new" / "10.1016-slash-j.jhin"
    picture = save(stem, _film(), _halves(), FACTS, lungs)
    assert sorted(path.name for path in stem.parent.iterdir()) == [
        "10.1016-slash-j.jhin.json",
        "10.1016-slash-j.jhin.png",
    ]
    assert picture.name == "10.1016-slash-j.jhin.png"
    with Image.open(picture) as page:
        assert page.mode == "RGB"
    facts = json.loads((stem.parent / "10.1016-slash-j.jhin.json").read_text())
    assert facts["inside_lungs"] == pytest.approx(2 / 3)  # 0.5 of 0.75


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a", _film(), _halves(), FACTS)
    before = (tmp_path / "a.png").read_bytes()

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "a", _film(), _halves(0.1, 0.2), FACTS)
    assert (tmp_path / "a.png").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]


def test_same_explanation_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name, _film(), _halves(), FACTS)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
