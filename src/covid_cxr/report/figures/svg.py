"""A Matplotlib figure as an inline SVG that suits light and dark pages and screen readers.

No pyplot, so nothing global is touched beyond the `style` block, and the same figure gives the
same bytes: no date, salted ids, text kept as text.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.resources import files

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Drawn in this colour by Matplotlib, replaced by the page's own text colour afterwards.
INK = "#010203"
# Okabe and Ito's colour-blind-safe hues, the blue lighter: 3:1 contrast on white and near-black.
BLUE, ORANGE, GREEN, GREY = "#2a8bd0", "#d55e00", "#009e73", "#808890"

_STYLE = files(__package__) / "figures.mplstyle"


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are made and turned into SVG."""
    return matplotlib.rc_context(fname=str(_STYLE))


def unit_square(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """Return a figure whose axes both run from 0 to 1."""
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=xlabel, ylabel=ylabel)
    axes.grid()
    return figure, axes


def list_rows(axes: Axes, names: Sequence[str]) -> None:
    """Make a list of the y axis: the rows 0, 1, ... from top to bottom, each with its name."""
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.6))
    axes.tick_params(axis="y", length=0)


def legend_above(figure: Figure, axes: Axes) -> None:
    """Write what the marks of `axes` mean above the whole figure."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names))


def shorten(name: object, longest: int) -> str:
    """Return a name in so many letters, the middle left out, without what an SVG may not hold.

    >>> shorten("hospital-1.example.org", 13)
    'hospit…le.org'
    """
    text = str(name) if str(name).isprintable() else ascii(name)[1:-1]
    if len(text) <= longest:
        return text
    tail = longest // 2
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """Return an `<svg role="img">` element that scales to the width it is given.

    Args:
        figure: made within `style`.
        name: unique on the page; every id starts with it.
        title: what the figure is, for screen readers.
        description: what it shows, with its numbers.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    match = re.search(r'<svg[^>]*viewBox="([^"]*)"[^>]*>(.*)</svg>', buffer.getvalue(), re.DOTALL)
    assert match is not None  # Matplotlib's own output
    view_box, body = match.groups()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'role="img" aria-labelledby="{name}-title {name}-desc" viewBox="{view_box}" '
        f'style="stroke-linejoin: round; stroke-linecap: butt">'
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>'
        f"{_own_ids(_tidy(body), name)}</svg>\n"
    )


def _tidy(body: str) -> str:
    # Matplotlib's style sheet would apply to the whole page; the root element carries it instead.
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", body)
    body = re.sub(r"\s*\n\s*", " ", body)
    return re.sub(r"> <", "><", body).replace(INK, "currentColor").strip()


def _own_ids(body: str, name: str) -> str:
    """Drop ids that nothing refers to; begin the others with the figure's name."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", body)
