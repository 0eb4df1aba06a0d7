"""A film beside the known films that it looks like, where the reader has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from covid_cxr.errors import UnreadableImage
from covid_cxr.explain.rendering.overlay import panel
from covid_cxr.explain.rendering.page import GROUND, MUTED, TEXT
from covid_cxr.imaging.text import printable, shorten, wrap, write
from covid_cxr.inference.similar_cases import Neighbour
from covid_cxr.types import DISCLAIMER, FloatArray, Radiograph

Known = Callable[[str], Radiograph | None]  # image id -> the film, None where it is not at hand

_FILM, _GAP, _LETTER = 300, 12, 13
_CAPTION, _FOOT = 4 * 18, 30


def alike(
    film: FloatArray, name: str, neighbours: Sequence[Neighbour], known: Known
) -> Image.Image:
    """Draw a film (H, W) and beside it its neighbours, each with finding, distance and id.

    Args:
        film: the radiograph as read.
        name: of its file.
        neighbours: nearest first.
        known: finds a neighbour's film; one that is not at hand stays an empty frame.
    """
    cells: list[tuple[FloatArray | None, list[str]]] = [(film, [name, "this film"])]
    cells += [
        (_pixels(known, each), [each.finding, f"distance {each.distance:.3f}", each.image_id])
        for each in neighbours
    ]
    width = len(cells) * (_FILM + _GAP) + _GAP
    page = Image.new("RGB", (width, _GAP + _FILM + _CAPTION + _FOOT), GROUND)
    draw = ImageDraw.Draw(page)
    for place, (pixels, caption) in enumerate(cells):
        _cell(page, draw, _GAP + place * (_FILM + _GAP), pixels, caption)
    write(draw, (_GAP, _GAP + _FILM + _CAPTION), DISCLAIMER, _LETTER, MUTED)
    return page


def _pixels(known: Known, neighbour: Neighbour) -> FloatArray | None:
    try:
        film = known(neighbour.image_id)
    except UnreadableImage:  # moved or damaged since: its id and finding still tell
        return None
    return None if film is None else film.pixels


def _cell(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    left: int,
    pixels: FloatArray | None,
    caption: Sequence[str],
) -> None:
    if pixels is None:
        draw.rectangle((left, _GAP, left + _FILM - 1, _GAP + _FILM - 1), outline=MUTED)
        middle = (left + _FILM / 2, _GAP + _FILM / 2)
        write(draw, middle, "not at hand", _LETTER, MUTED, anchor="mm")
    else:
        small = Image.fromarray(panel(pixels, _FILM))
        page.paste(small, (left + (_FILM - small.width) // 2, _GAP + (_FILM - small.height) // 2))
    lines = [caption[0], *(line for text in caption[1:] for line in _lines(text))]
    for row, line in enumerate(lines[:4]):
        at = (left, _GAP + _FILM + 6 + 17 * row)
        text = shorten(printable(line), _LETTER, _FILM)
        write(draw, at, text, _LETTER, MUTED if row else TEXT)


def _lines(text: str) -> list[str]:
    return wrap(printable(text), _LETTER, _FILM)
