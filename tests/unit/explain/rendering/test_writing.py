from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr.errors import InputError
from covid_cxr.explain.rendering import page
from covid_cxr.explain.rendering.overlay import OverlayStyle, panel
from covid_cxr.explain.rendering.page import Caption, Layout, draw_page, method_in_words
from covid_cxr.explain.rendering.writing import record, save
from covid_cxr.explain.rendering.zones import ZONES, with_lungs
from covid_cxr.imaging.text import length, printable
from covid_cxr.types import DISCLAIMER, Explanation, Lungs
from support.explanations import halves, lungs

CAPTION = Caption(probability=0.93, threshold=0.41, file="images/a.png")


def _radiograph(height: int = 560, width: int = 420) -> np.ndarray:
    return np.random.default_rng(0).random((height, width), dtype=np.float32)


def _find(page: Image.Image, radiograph: np.ndarray) -> tuple[int, int] | None:
    """Return where on the page the radiograph stands, unaltered."""
    grey = (radiograph * 255).round().astype(np.uint8)
    canvas = np.asarray(page)
    height, width = grey.shape
    for y in range(canvas.shape[0] - height):
        for x in range(canvas.shape[1] - width):
            if (canvas[y, x : x + 8] == grey[0, :8, None]).all():
                found = canvas[y : y + height, x : x + width]
                return (y, x) if (found == grey[..., None]).all() else None
    return None


def test_the_radiograph_stands_untouched_on_the_left() -> None:
    position = _find(draw_page(_radiograph(), halves(), CAPTION), _radiograph())
    assert position is not None


@pytest.mark.parametrize(
    ("shape", "longest", "expected"),
    [
        ((600, 500), 2048, (600, 500)),  # its own pixels
        ((2048, 1024), 2048, (2048, 1024)),
        ((100, 80), 2048, (512, 410)),  # 512 / 100 * 80 = 409.6
        ((3000, 2500), 2048, (2048, 1707)),  # 2048 / 3000 * 2500 = 1706.7
        ((600, 500), 256, (256, 213)),
        ((100, 80), 256, (256, 205)),
        ((1, 1000), 2048, (1, 1000)),
    ],
)
def test_a_panel_has_the_radiographs_own_pixels_within_reason(
    shape: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    assert panel(np.zeros(shape, dtype=np.float32), longest).shape == expected


@pytest.mark.parametrize("shape", [(1, 1), (2000, 3), (3, 2000), (50, 60), (384, 384), (60, 1000)])
def test_any_radiograph_gets_a_page_of_sensible_size(shape: tuple[int, int]) -> None:
    explanation = with_lungs(halves(), lungs(16))
    width, height = draw_page(np.zeros(shape, dtype=np.float32), explanation, CAPTION).size
    assert 800 < width <= 4300
    assert 150 < height <= 2300


def test_a_colour_picture_is_rejected() -> None:
    with pytest.raises(InputError, match=r"shape \(4, 4, 3\), expected \(H, W\)"):
        draw_page(np.zeros((4, 4, 3), dtype=np.float32), halves(), CAPTION)


def _texts(
    monkeypatch: pytest.MonkeyPatch, explanation: Explanation, caption: Caption
) -> list[str]:
    written: list[str] = []
    original = page.ImageDraw.ImageDraw.text

    def text(self: object, xy: object, text: str, *rest: object, **named: object) -> None:
        written.append(text)
        original(self, xy, text, *rest, **named)

    monkeypatch.setattr(page.ImageDraw.ImageDraw, "text", text)
    draw_page(_radiograph(), explanation, caption)
    return written


def test_the_page_says_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _texts(monkeypatch, halves(), CAPTION) == [
        "covid-19 · probability 0.93",
        "LIME · fidelity 0.83, good · called covid-19 from 0.41",
        "images/a.png · model abc123",
        "strongest evidence",
        "+0.5  for covid-19",
        "against covid-19  -0.5",
        DISCLAIMER,
    ]


def test_a_map_of_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    written = _texts(monkeypatch, halves(0, 0), CAPTION)
    assert written[3:5] == ["for or against", "no region speaks"]


def test_the_page_says_where_the_support_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    caption = replace(CAPTION, flags=("window missing", "blank border"))
    explanation = with_lungs(halves(), lungs(16))
    assert explanation.zones is not None
    written = _texts(monkeypatch, explanation, caption)
    assert written[:2] == ["covid-19 · probability 0.93", "LIME · called covid-19 from 0.41"]
    flags = written.index("Flags: window missing; blank border")
    assert " ".join(written[2:flags]) == explanation.zones.sentence
    assert "..." not in "".join(written)  # wrapped, not cut
    assert written[flags + 1 : flags + 4] == [
        "images/a.png · model abc123",
        "lungs",
        "strongest evidence",
    ]


def _header(explanation: Explanation, caption: Caption = CAPTION) -> list[tuple[str, object]]:
    found = Layout.of((400, 300), explanation, caption).header
    return [(line.text, line.colour) for line in found]


def test_what_is_doubtful_stands_out() -> None:
    amber = (255, 196, 87)
    plain = _header(halves())
    assert amber not in [colour for _, colour in plain]
    low = _header(replace(halves(), fidelity=0.3))
    assert (low[1][1], "low: do not rely on it" in low[1][0]) == (amber, True)
    outside = with_lungs(halves(), lungs(16))  # a quarter of the left half is lung
    assert [colour for text, colour in _header(outside) if text.startswith("Warning")] == [amber]
    assert ("Flags: lungs not found", amber) in _header(
        halves(), replace(CAPTION, flags=("lungs not found",))
    )


def test_a_long_name_keeps_its_beginning_its_end_and_the_model() -> None:
    caption = replace(CAPTION, file="archive/" + "ward 3/" * 100 + "röntgen.dcm")
    layout = Layout.of((400, 300), halves(), caption)
    line = layout.header[-1]
    assert line.text.startswith("archive/ward 3/")
    assert line.text.endswith("ward 3/röntgen.dcm · model abc123")
    room = layout.page[0] - 2 * layout.letter
    assert length(line.text, line.scale * layout.letter) <= room


def test_names_of_any_script_or_none() -> None:
    assert printable("röntgen Грудь Θώραξ") == "röntgen Грудь Θώραξ"
    # No glyph, a line's end, a byte that is no text, a reversal of what follows.
    assert printable("胸\n\udcff\u202e.png") == "????.png"
    for file in ("胸部\n\udcff" + "x" * 500, "", "..." * 200, "é" * 400):
        draw_page(_radiograph(), halves(), replace(CAPTION, file=file))


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("lime", "LIME"),
        ("gradcam++", "Grad-CAM++"),
        ("agreement", "Agreement"),
        ("integrated-gradients", "Integrated gradients"),
    ],
)
def test_method_in_words(method: str, words: str) -> None:
    assert method_in_words(method) == words


def test_record_by_hand() -> None:
    found = record(halves(), CAPTION)
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
    assert (found["probability"], found["threshold"], found["file"]) == (
        0.93,
        0.41,
        "images/a.png",
    )
    assert found["disclaimer"] == DISCLAIMER
    for key in ("inside_lungs", "supporting_inside_lungs", "zones", "sentence"):
        assert found[key] is None
    assert found["flags"] == []


def test_a_region_that_the_grid_lost_has_no_middle() -> None:
    one = halves()
    gone = replace(one, segments=np.where(one.segments == 1, 2, 0), weights=(0.5, -0.25, 0.0, 0.1))
    found = record(gone, CAPTION)["regions"]
    lost = {"row": None, "column": None, "area": 0.0}
    assert found[1] == {"region": 1, "weight": -0.25, **lost}
    assert found[2] == {"region": 2, "weight": 0.0, "row": 0.5, "column": 0.75, "area": 0.5}
    assert found[3] == {"region": 3, "weight": 0.1, **lost}
    json.dumps(found, allow_nan=False)


def test_record_with_lungs() -> None:
    explanation = with_lungs(halves(), lungs(16))
    found = record(explanation, replace(CAPTION, flags=("window missing",)))
    # Of the 128 pixels of the left half that support the class, 8 x 4 are right lung.
    assert found["supporting_inside_lungs"] == pytest.approx(0.25)
    assert list(found["zones"]) == list(ZONES)
    assert sum(found["zones"].values()) == pytest.approx(0.25)
    assert found["sentence"].startswith("Warning")
    assert found["inside_lungs"] == pytest.approx(0.25)
    assert found["flags"] == ["window missing"]


def test_a_map_without_regions_has_none_in_its_record() -> None:
    plain = Explanation("cam", "covid-19", np.ones((4, 4), dtype=np.float32))
    assert record(plain, CAPTION)["regions"] == []


def test_save_writes_both_and_nothing_else(tmp_path: Path) -> None:
    left_half = np.zeros((400, 300), dtype=bool)
    left_half[:, :150] = True
    explanation = with_lungs(halves(), Lungs(left_half, ~left_half & False))
    stem = tmp_path / "new" / "10.1016-slash-j.jhin"
    picture = save(stem, _radiograph(), explanation, CAPTION, OverlayStyle(opacity=0.5))
    assert sorted(path.name for path in stem.parent.iterdir()) == [
        "10.1016-slash-j.jhin.json",
        "10.1016-slash-j.jhin.png",
    ]
    assert picture.name == "10.1016-slash-j.jhin.png"
    with Image.open(picture) as page:
        assert page.mode == "RGB"
    caption = json.loads((stem.parent / "10.1016-slash-j.jhin.json").read_text())
    assert caption["inside_lungs"] == pytest.approx(2 / 3)  # 0.5 of 0.75
    assert caption["supporting_inside_lungs"] == 1


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a", _radiograph(), halves(), CAPTION)
    before = (tmp_path / "a.png").read_bytes()

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "a", _radiograph(), halves(0.1, 0.2), CAPTION)
    assert (tmp_path / "a.png").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]


def test_same_explanation_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name, _radiograph(), halves(), CAPTION)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
