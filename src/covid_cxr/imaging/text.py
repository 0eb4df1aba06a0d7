"""Letters on pictures: a font for any name, and lines that fit their room."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_OWN = "·"  # beyond ASCII, the only letter that Pillow's own font is used for
_STILL = "\N{NO-BREAK SPACE}"  # holds words together while a text is wrapped


def printable(text: str) -> str:
    """Return `text` with "?" for each character that cannot be drawn in a line.

    >>> printable("röntgen\\n1.png")
    'röntgen?1.png'
    """
    return "".join(c if c.isprintable() and _known(c) else "?" for c in text)


def length(text: str, size: float) -> float:
    """Return the width in pixels of one line in letters of `size` pixels."""
    return _font(text, size).getlength(text)


def shorten(text: str, size: float, room: float, tail: str = "") -> str:
    """Return `text` with its middle left out where it is wider than `room` pixels, and `tail`.

    The beginning and the end of a file's name tell more than its middle.
    """
    if length(text + tail, size) <= room:
        return text + tail
    fits, fails = 0, len(text)  # letters kept
    while fails - fits > 1:
        kept = (fits + fails) // 2
        wide = length(_without_middle(text, kept) + tail, size) > room
        fits, fails = (fits, kept) if wide else (kept, fails)
    return _without_middle(text, fits) + tail


def wrap(text: str, size: float, room: float) -> list[str]:
    """Return `text` in as few lines of at most `room` pixels as it takes, about equally long.

    Only a word that is wider than that is cut. A number and its "%" stay together.
    """
    lines = _filled(text, size, room)
    while len(lines) > 1:  # no lonely word on the last line
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
    """Return `text` in lines that are filled one after the other."""
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
    plain = all(c in _OWN or " " <= c <= "~" for c in text)
    wide = None if plain else _wide_file()
    return _own(size) if wide is None else _wide(wide, size)


@cache
def _own(size: float) -> Font:
    return ImageFont.load_default(size)


@cache
def _wide(file: Path, size: float) -> Font:
    return ImageFont.truetype(str(file), size)


@cache
def _wide_file() -> Path | None:
    """Return a font with European, Greek, Cyrillic and Arabic letters, found without an import."""
    package = importlib.util.find_spec("matplotlib")
    folders = package.submodule_search_locations if package else None
    files = (Path(each, "mpl-data/fonts/ttf/DejaVuSans.ttf") for each in folders or ())
    return next((file for file in files if file.is_file()), None)


@cache
def _known(letter: str) -> bool:
    """Tell whether there is a glyph for one character: what lacks one is drawn as an empty box."""
    if letter in _OWN or " " <= letter <= "~":
        return True
    wide = _wide_file()
    if wide is None:
        return False
    font = _wide(wide, 16)
    missing = font.getmask("\U0010fffd")  # a private character
    return bytes(font.getmask(letter)) != bytes(missing)
