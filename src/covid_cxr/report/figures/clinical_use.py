"""Charts of what a model's numbers are worth in use, drawn from `metrics.json` alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from covid_cxr.evaluation.subgroups import GROUPS
from covid_cxr.report.figures.svg import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    blank,
    shorten,
    to_svg,
    unit_square,
)
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
    figure, axes = unit_square("forecast probability of COVID-19", "share with COVID-19")
    forecast = [point.forecast for point in calibration.bins]
    observed = [point.observed for point in calibration.bins]
    images = np.array([point.images for point in calibration.bins])
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, label="perfect", zorder=0)
    axes.plot(forecast, observed, color=BLUE, linewidth=1, label="observed")
    sizes = 12 + 140 * images / images.max()
    axes.scatter(forecast, observed, s=sizes, color=BLUE, linewidth=0, alpha=0.75)
    for x, y, count in zip(forecast, observed, images, strict=True):
        # Towards the middle of the square, so that no number leaves it.
        up = y <= 0.9
        axes.annotate(
            f"{count:,}",
            (x, y),
            xytext=(0, 8 if up else -10),
            textcoords="offset points",
            ha="center",
            va="bottom" if up else "top",
        )
    axes.legend(loc="upper left")
    pairs = [f"{x:.2f}: {y:.2f} ({n})" for x, y, n in zip(forecast, observed, images, strict=True)]
    text = (
        f"Forecast: observed share (images): {'; '.join(pairs)}. Calibration: "
        f"slope {calibration.slope}, intercept {calibration.intercept}, "
        f"calibration error {calibration.ece}."
    )
    return to_svg(figure, "reliability", "Reliability diagram", text)


def _decision(curve: DecisionCurve, split: SplitMetrics) -> str:
    figure = blank(4.2, 3.6)
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
    axes.grid(color=GREY, alpha=0.18, linewidth=0.6)
    axes.legend(loc="upper right")
    best = at[(model > everyone) & (model > 0)]
    where = f"from {best[0]:.2f} to {best[-1]:.2f}" if best.size else "nowhere"
    here = int(np.argmin(np.abs(at - split.threshold)))
    text = (
        f"The model is better than treating all or none {where}. At {at[here]:.2f} its net benefit "
        f"is {model[here]:.3f}, that of treating all {everyone[here]:.3f}."
    )
    return to_svg(figure, "decision", "Decision curve with 95 % bootstrap band", text)


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
    figure = blank(4.2, 0.9 + 0.22 * len(lines))
    axes = figure.subplots()
    words = []
    for row, (kind, name, group) in enumerate(lines):
        score, small = group.auroc, group.is_small
        colour = GREY if small else BLUE
        value = np.float64(score.value)
        low, high = (value if end is None else end for end in (score.low, score.high))
        axes.hlines(row, low, high, color=colour, linewidth=1.4)
        axes.scatter([value], [row], s=22, facecolors="none" if small else BLUE, edgecolors=colour)
        words.append(f"{kind} {name}: {score}{', small' if small else ''}")
    if pooled.value is not None:
        axes.axvline(pooled.value, color=ORANGE, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    axes.axvline(0.5, color=GREY, linewidth=0.9, zorder=0)
    axes.set(
        xlim=(-0.02, 1.02), yticks=range(len(lines)), xlabel="AUROC (dashed: pooled; line: chance)"
    )
    axes.set_yticklabels(
        [shorten(f"{kind.split()[0].lower()} {name}", _LONGEST) for kind, name, _ in lines]
    )
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GREY, alpha=0.18, linewidth=0.6)
    text = f"Pooled {pooled}. {'; '.join(words)}."
    return to_svg(figure, "groups", "AUROC by group", text)
