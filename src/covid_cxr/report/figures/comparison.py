"""A forest plot of compared runs: AUROC and its difference from the first, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from covid_cxr.report.figures.svg import BLUE, GREEN, GREY, INK, ORANGE, style, to_svg
from covid_cxr.report.formatting import interval

# Hue and shape together, so that neither alone must tell the runs apart.
_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (INK, "^"), (GREY, "v"))
_LONGEST = 30  # letters of a run's name


class _Line(NamedTuple):
    """One row of the plot; a heading where `look` is None."""

    label: str
    look: tuple[str, str] | None
    auroc: Mapping[str, Any]
    gap: Mapping[str, Any]


def forest(comparison: Mapping[str, Any]) -> str:
    """Return the SVG element of a comparison (`compare.compare`); numbers stand in its text.

    Empty where no group holds both classes.
    """
    lines = _lines(comparison)
    if not lines:
        return ""
    with style():
        gaps = [line for line in lines if line.look is None or line.gap]
        heights = (len(lines), len(gaps))
        figure = Figure(figsize=(4.8, 1.1 + 0.22 * sum(heights)), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=heights)
        first = comparison["runs"][0]["name"]
        _panel(above, [(line, line.auroc) for line in lines], 0.5)
        above.set_xlabel("AUROC, 95 % interval")
        _panel(below, [(line, line.gap) for line in gaps], 0.0)
        below.set_xlabel(f"AUROC less that of {_short(first)}, 95 % interval")
        return to_svg(figure, "compare", "AUROC of the runs compared", _words(comparison))


def _lines(comparison: Mapping[str, Any]) -> list[_Line]:
    lines = []
    for group, block in comparison["groups"].items():
        if block["events"] in (0, block["n"]):
            continue  # one class has no AUROC
        lines.append(_Line(f"{_short(group)} ({block['events']} of {block['n']})", None, {}, {}))
        for place, (name, scores) in enumerate(block["runs"].items()):
            gap = block["differences"].get(name, {}).get("auroc", {})
            look = _LOOKS[place % len(_LOOKS)]
            lines.append(_Line(_short(name), look, scores["auroc"], gap))
    return lines


def _panel(axes: Axes, rows: list[tuple[_Line, Mapping[str, Any]]], nothing: float) -> None:
    axes.axvline(nothing, color=GREY, linewidth=0.9, zorder=0)
    for place, (line, score) in enumerate(rows):
        if line.look is None:
            continue
        hue, shape = line.look
        if score["low"] is not None:
            axes.hlines(place, score["low"], score["high"], hue, linewidth=1.6)
        axes.plot([score["value"]], [place], shape, color=hue, markersize=5)
    axes.set(yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.6))
    axes.set_yticklabels([line.label for line, _ in rows])
    for label, (line, _) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if line.look else "bold")
    axes.margins(x=0.06)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GREY, alpha=0.18, linewidth=0.6)


def _words(comparison: Mapping[str, Any]) -> str:
    words = []
    for group, block in comparison["groups"].items():
        for name, scores in block["runs"].items():
            said = f"{group}, {name}: AUROC {interval(scores['auroc'])}"
            gap = block["differences"].get(name, {}).get("auroc")
            words.append(said + (f", difference {interval(gap)}" if gap else ""))
    return "; ".join(words) + "."


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
