"""Charts of what a model's numbers are worth in use, drawn from `metrics.json` alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from covid_cxr.evaluation.subgroups import GROUPS
from covid_cxr.report.figures import svg
from covid_cxr.report.figures.svg import BLUE, GREY, INK, ORANGE
from covid_cxr.results import Estimate, SplitMetrics, SubgroupMetrics
from covid_cxr.results.clinical_use import Calibration, DecisionCurve

_MOST_GROUPS = 36
_LONGEST = 26  # letters of a group's name


class _Line(NamedTuple):
    """A group by its kind and name."""

    kind: str
    name: str
    group: SubgroupMetrics


def draw(split: SplitMetrics) -> dict[str, str]:
    """Return reliability, decision and groups as SVG, each where its numbers are there.

    Args:
        split: the metrics; called within `svg.style`.
    """
    figures = {}
    if split.calibration:
        figures["reliability"] = _reliability(split.calibration)
    if split.decision:
        figures["decision"] = _decision(split.decision, split)
    groups = _with_auroc(split)
    if groups:
        figures["groups"] = _groups(groups, split.pooled.auroc)
    return figures


def _reliability(calibration: Calibration) -> str:
    figure, axes = svg.unit_square("forecast probability of COVID-19", "share with COVID-19")
    forecast = [point.forecast for point in calibration.bins]
    observed = [point.observed for point in calibration.bins]
    images = np.array([point.images for point in calibration.bins])
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, label="perfect", zorder=0)
    axes.plot(forecast, observed, color=BLUE, linewidth=1, label="observed")
    sizes = 12 + 140 * images / images.max()
    axes.scatter(forecast, observed, s=sizes, color=BLUE, linewidth=0, alpha=0.75)
    for x, y, count in zip(forecast, observed, images, strict=True):
        # Towards the middle of the square, so that no number leaves it.
        offset = (0, 8 if y <= 0.9 else -14)
        axes.annotate(f"{count:,}", (x, y), offset, textcoords="offset points", ha="center")
    axes.legend(loc="upper left")
    pairs = [f"{x:.2f}: {y:.2f} ({n})" for x, y, n in zip(forecast, observed, images, strict=True)]
    text = (
        f"Forecast: observed share (images): {'; '.join(pairs)}. Calibration: "
        f"slope {calibration.slope}, intercept {calibration.intercept}, "
        f"calibration error {calibration.ece}."
    )
    return svg.to_svg(figure, "reliability", "Reliability diagram", text)


def _decision(curve: DecisionCurve, split: SplitMetrics) -> str:
    figure = Figure()
    axes = figure.subplots()
    at = np.array(curve.threshold)
    model, everyone, low, high = (
        np.array(line, dtype=np.float64)
        for line in (curve.model, curve.treat_all, curve.low, curve.high)
    )
    axes.fill_between(at, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(at, model, color=BLUE, label="act on the model")
    axes.plot(at, everyone, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)), label="treat all")
    axes.axhline(0, color=GREY, linewidth=1, label="treat none")
    axes.axvline(split.threshold, color=INK, linewidth=0.8, linestyle=(0, (1, 1.5)))
    share = split.events / split.n
    axes.set(xlim=(0, 1), ylim=(-0.12 * share, 1.12 * share))
    axes.set(xlabel="threshold probability (dotted: the frozen one)", ylabel="net benefit an image")
    axes.grid()
    axes.legend(loc="upper right")
    best = at[(model > everyone) & (model > 0)]
    where = f"from {best[0]:.2f} to {best[-1]:.2f}" if best.size else "nowhere"
    here = int(np.argmin(np.abs(at - split.threshold)))
    text = (
        f"The model is better than treating all or none {where}. At {at[here]:.2f} its net benefit "
        f"is {model[here]:.3f}, that of treating all {everyone[here]:.3f}."
    )
    return svg.to_svg(figure, "decision", "Decision curve with 95 % bootstrap band", text)


def _with_auroc(split: SplitMetrics) -> list[_Line]:
    """Return the groups that have an AUROC; none where there is one only."""
    lines = [
        _Line(title, name, group)
        for key, title in GROUPS.items()
        for name, group in split.groups(key).items()
        if group.auroc.value is not None
    ]
    several = any(line.kind != GROUPS["per_source"] for line in lines) or len(lines) > 1
    # Where there are too many, the smallest say least.
    sizes = sorted((line.group.n for line in lines), reverse=True)[:_MOST_GROUPS]
    return [line for line in lines if line.group.n >= sizes[-1]] if several else []


def _groups(lines: list[_Line], pooled: Estimate) -> str:
    figure = Figure(figsize=(4.2, 0.9 + 0.22 * len(lines)))
    axes = figure.subplots()
    for row, line in enumerate(lines):
        score, colour = line.group.auroc, GREY if line.group.is_small else BLUE
        if score.low is not None and score.high is not None:
            axes.hlines(row, score.low, score.high, color=colour, linewidth=1.4)
        fill = "none" if line.group.is_small else "full"
        axes.plot(np.float64(score.value), row, "o", color=colour, fillstyle=fill, markersize=4.7)
    if pooled.value is not None:
        axes.axvline(pooled.value, color=ORANGE, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    axes.axvline(0.5, color=GREY, linewidth=0.9, zorder=0)
    axes.set(xlim=(-0.02, 1.02), xlabel="AUROC (dashed: pooled; line: chance)")
    names = [f"{kind.split()[0].lower()} {name}" for kind, name, _ in lines]
    svg.list_rows(axes, [svg.shorten(name, _LONGEST) for name in names])
    axes.grid(axis="x")
    words = [
        f"{kind} {name}: {group.auroc}{', small' if group.is_small else ''}"
        for kind, name, group in lines
    ]
    text = f"Pooled {pooled}. {'; '.join(words)}."
    return svg.to_svg(figure, "groups", "AUROC by group", text)
