from __future__ import annotations

import pytest

from covid_cxr.imaging import text
from covid_cxr.imaging.text import length, printable, shorten, wrap


def test_names_without_the_wide_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_wide_file", lambda: None)
    text._has_glyph.cache_clear()
    assert printable("röntgen · 1") == "r?ntgen · 1"
    assert length("röntgen", 15) > 0
    text._has_glyph.cache_clear()


def test_lines_are_wrapped_evenly_and_keep_a_number_with_its_percent() -> None:
    text = "Only 83 % of the supporting evidence lies inside the lungs; fidelity 0.71, fair."
    for room in range(80, 700, 7):
        lines = wrap(text, 15, room)
        assert " ".join(lines) == text
        assert all(length(line, 15) <= room for line in lines)
        assert not any(line.endswith("83") for line in lines)
    lines = wrap(text, 15, length(text, 15) - 1)
    assert len(lines) == 2
    assert length(lines[1], 15) > 0.6 * length(lines[0], 15)
    assert wrap("x" * 300, 15, 100)[0].count("...") == 1


def test_shortened_in_the_middle() -> None:
    assert shorten("short.png", 15, 500) == "short.png"
    for room in (60, 100, 200):
        shortened = shorten("abcdefgh" * 20, 15, room, " · tail")
        assert shortened.startswith("a")
        assert shortened.endswith("h · tail") or room == 60
        assert length(shortened, 15) <= room or shortened == "... · tail"
