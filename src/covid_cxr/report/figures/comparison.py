"""A forest plot of compared runs: AUROC and its difference from the first, with intervals."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from covid_cxr.report.figures import svg
from covid_cxr.report.figures.svg import BLUE, GREEN, GREY, INK, ORANGE
from covid_cxr.results import Estimate, RunComparison

# Colour and shape together, so that neither alone must tell the runs apart.
_MARKERS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (INK, "^"), (GREY, "v"))
_LONGEST = 30  # letters of a run's name


class _Line(NamedTuple):
    """One row of the plot: a run's score, or a heading, which has no marker."""

    label: str
    marker: tuple[str, str] | None = None
    score: Estimate | None = None


def forest(comparison: RunComparison) -> str:
    """Return a forest plot as an SVG element whose description holds the numbers.

    Empty where no group holds both classes.
    """
    scores, differences = _lines(comparison)
    if not scores:
        return ""
    with svg.style():
        heights = (len(scores), len(differences))
        figure = Figure(figsize=(4.8, 1.1 + 0.22 * sum(heights)))
        above, below = figure.subplots(2, 1, height_ratios=heights)
        _draw(above, scores, 0.5)
        above.set_xlabel("AUROC, 95 % interval")
        _draw(below, differences, 0.0)
        first = svg.shorten(comparison.runs[0].name, _LONGEST)
        below.set_xlabel(f"AUROC less that of {first}, 95 % interval")
        return svg.to_svg(figure, "compare", "AUROC of the runs compared", _describe(comparison))


def _lines(comparison: RunComparison) -> tuple[list[_Line], list[_Line]]:
    """Return the rows of the scores' panel and of the differences' panel."""
    scores: list[_Line] = []
    differences: list[_Line] = []
    for title, group in comparison.groups.items():
        if not group.rarer:
            continue  # one class has no AUROC
        heading = _Line(f"{svg.shorten(title, _LONGEST)} ({group.events} of {group.n})")
        scores.append(heading)
        differences.append(heading)
        for number, (name, run) in enumerate(group.runs.items()):
            label, marker = svg.shorten(name, _LONGEST), _MARKERS[number % len(_MARKERS)]
            scores.append(_Line(label, marker, run.auroc))
            if name in group.differences:
                differences.append(_Line(label, marker, group.differences[name].auroc))
    return scores, differences


def _draw(axes: Axes, lines: list[_Line], reference: float) -> None:
    axes.axvline(reference, color=GREY, linewidth=0.9, zorder=0)
    for row, line in enumerate(lines):
        if line.marker is None or line.score is None or line.score.value is None:
            continue
        colour, shape = line.marker
        if line.score.low is not None and line.score.high is not None:
            axes.hlines(row, line.score.low, line.score.high, colour, linewidth=1.6)
        axes.plot([line.score.value], [row], shape, color=colour, markersize=5)
    svg.list_rows(axes, [line.label for line in lines])
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("normal" if line.marker else "bold")
    axes.margins(x=0.06)
    axes.grid(axis="x")


def _describe(comparison: RunComparison) -> str:
    parts = []
    for title, group in comparison.groups.items():
        for name, scores in group.runs.items():
            part = f"{title}, {name}: AUROC {scores.auroc}"
            if name in group.differences:
                part += f", difference {group.differences[name].auroc}"
            parts.append(part)
    return "; ".join(parts) + "."
