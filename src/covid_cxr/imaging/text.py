"""Text on images: a font for any script, and lines that fit a width."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_OWN = "·"  # the only character beyond ASCII for which Pillow's own font is used
_STILL = "\N{NO-BREAK SPACE}"  # joins words while a text is wrapped


def printable(text: str) -> str:
    """Return `text` with "?" for each character that cannot be drawn in a line.

    >>> printable("röntgen\\n1.png")
    'röntgen?1.png'
    """
    return "".join(c if c.isprintable() and _has_glyph(c) else "?" for c in text)


def length(text: str, size: float) -> float:
    """Return the width in pixels of one line in a font of `size` pixels."""
    return _font(text, size).getlength(text)


def shorten(text: str, size: float, room: float, tail: str = "") -> str:
    """Return `text` and `tail`, its middle replaced by "..." where wider than `room` pixels.

    The beginning and the end of a file's name are more informative than its middle.
    """
    if length(text + tail, size) <= room:
        return text + tail
    fits, fails = 0, len(text)  # characters kept
    while fails - fits > 1:
        kept = (fits + fails) // 2
        wide = length(_without_middle(text, kept) + tail, size) > room
        fits, fails = (fits, kept) if wide else (kept, fails)
    return _without_middle(text, fits) + tail


def wrap(text: str, size: float, room: float) -> list[str]:
    """Return `text` in the fewest lines of at most `room` pixels, about equally long.

    Only a word that is wider is shortened. A number and its "%" stay together.
    """
    lines = _filled(text, size, room)
    while len(lines) > 1:  # avoids a single word on the last line
        narrower = max(length(line, size) for line in lines) - 1
        tried = _filled(text, size, narrower)
        if len(tried) > len(lines) or any("..." in line for line in tried):
            break
        lines = tried
    return lines


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: float,
    colour: Colour,
    *,
    anchor: str = "la",
) -> None:
    """Write one line of printable text at `at` (x, y); `anchor` as in Pillow."""
    draw.text(at, text, colour, _font(text, size), anchor=anchor)


def _filled(text: str, size: float, room: float) -> list[str]:
    """Return `text` in lines filled greedily."""
    lines: list[str] = []
    for word in text.replace(" %", f"{_STILL}%").split(" "):
        plain = shorten(word.replace(_STILL, " "), size, room)
        longer = f"{lines[-1]} {plain}" if lines else plain
        if lines and length(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(plain)
    return lines


def _without_middle(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return f"{text[:head]}...{text[len(text) - kept + head :]}"


def _font(text: str, size: float) -> Font:
    return _load(None if all(map(_is_plain, text)) else _wide_file(), size)


def _is_plain(letter: str) -> bool:
    return letter in _OWN or " " <= letter <= "~"


@cache
def _load(file: Path | None, size: float) -> Font:
    return ImageFont.load_default(size) if file is None else ImageFont.truetype(file, size)


@cache
def _wide_file() -> Path | None:
    """Return a font with European, Greek, Cyrillic and Arabic letters, located without import."""
    package = importlib.util.find_spec("matplotlib")
    folders = package.submodule_search_locations if package else None
    files = (Path(folder, "mpl-data/fonts/ttf/DejaVuSans.ttf") for folder in folders or ())
    return next((file for file in files if file.is_file()), None)


@cache
def _has_glyph(letter: str) -> bool:
    """Tell whether one character has a glyph; without one it would be drawn as an empty box."""
    wide = _wide_file()
    if wide is None or _is_plain(letter):
        return _is_plain(letter)
    font = _load(wide, 16)
    missing = font.getmask("\U0010fffd")  # a private-use character
    return bytes(font.getmask(letter)) != bytes(missing)
