"""Charts of what a model's numbers are worth in use, drawn from `metrics.json` alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from covid_cxr.evaluation.subgroups import GROUPS, small
from covid_cxr.report.figures.svg import BLUE, GREY, INK, ORANGE, blank, to_svg, unit_square
from covid_cxr.report.formatting import interval

_MOST_GROUPS = 36
_LONGEST = 26  # letters of a group's name
_ENDS = ("low", "high")

Block = Mapping[str, Any]


def draw(measured: Block) -> dict[str, str]:
    """Return reliability, decision and groups as SVG, each where its numbers are there.

    Args:
        measured: what `evaluate` returned; called within `svg.style`.
    """
    figures = {}
    if measured.get("calibration"):
        figures["reliability"] = _reliability(measured["calibration"])
    if measured.get("decision"):
        figures["decision"] = _decision(measured["decision"], measured)
    groups = _with_auroc(measured)
    if groups:
        figures["groups"] = _groups(groups, measured["pooled"]["auroc"])
    return figures


def _reliability(found: Block) -> str:
    figure, axes = unit_square("forecast probability of COVID-19", "share with COVID-19")
    bins = found["bins"]
    forecast, observed = ([each[key] for each in bins] for key in ("forecast", "observed"))
    images = np.array([each["images"] for each in bins])
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
    lines = {"slope": "slope", "intercept": "intercept", "ece": "calibration error"}
    told = ", ".join(f"{words} {interval(found[key])}" for key, words in lines.items())
    text = f"Forecast: observed share (images): {'; '.join(pairs)}. Calibration: {told}."
    return to_svg(figure, "reliability", "Reliability diagram", text)


def _decision(found: Block, measured: Block) -> str:
    figure = blank(4.2, 3.6)
    axes = figure.subplots()
    at, model, everyone = (np.array(found[key]) for key in ("threshold", "model", "treat_all"))
    low, high = (np.array(found[key], dtype=np.float64) for key in ("low", "high"))
    axes.fill_between(at, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(at, model, color=BLUE, label="act on the model")
    axes.plot(at, everyone, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)), label="treat all")
    axes.axhline(0, color=GREY, linewidth=1, label="treat none")
    axes.axvline(measured["threshold"], color=INK, linewidth=0.8, linestyle=(0, (1, 1.5)))
    share = measured["events"] / measured["n"]
    axes.set(xlim=(0, 1), ylim=(-0.12 * share, 1.12 * share))
    axes.set(xlabel="threshold probability (dotted: the frozen one)", ylabel="net benefit an image")
    axes.grid(color=GREY, alpha=0.18, linewidth=0.6)
    axes.legend(loc="upper right")
    best = at[(model > everyone) & (model > 0)]
    where = f"from {best[0]:.2f} to {best[-1]:.2f}" if best.size else "nowhere"
    here = int(np.argmin(np.abs(at - measured["threshold"])))
    text = (
        f"The model is better than treating all or none {where}. At {at[here]:.2f} its net benefit "
        f"is {model[here]:.3f}, that of treating all {everyone[here]:.3f}."
    )
    return to_svg(figure, "decision", "Decision curve with 95 % bootstrap band", text)


def _with_auroc(measured: Block) -> list[tuple[str, str, Block]]:
    """Return (kind, name, block) of the groups that have an AUROC; none where only sources do."""
    found = [
        (title, name, block)
        for key, title in GROUPS.items()
        for name, block in measured.get(key, {}).items()
        if block["auroc"]["value"] is not None
    ]
    several = any(title != GROUPS["per_source"] for title, _, _ in found) or len(found) > 1
    # Where there are too many, the smallest say least.
    least = sorted((block["n"] for _, _, block in found), reverse=True)[:_MOST_GROUPS]
    return [line for line in found if line[2]["n"] >= least[-1]] if several else []


def _groups(lines: list[tuple[str, str, Block]], pooled: Block) -> str:
    figure = blank(4.2, 0.9 + 0.22 * len(lines))
    axes = figure.subplots()
    words = []
    for place, (kind, name, block) in enumerate(lines):
        score, few = block["auroc"], small(block)
        low, high = (score[end] if score[end] is not None else score["value"] for end in _ENDS)
        axes.hlines(place, low, high, color=GREY if few else BLUE, linewidth=1.4)
        face = "none" if few else BLUE
        axes.scatter(
            [score["value"]], [place], s=22, facecolors=face, edgecolors=GREY if few else BLUE
        )
        words.append(f"{kind} {name}: {interval(score)}{', small' if few else ''}")
    axes.axvline(pooled["value"], color=ORANGE, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    axes.axvline(0.5, color=GREY, linewidth=0.9, zorder=0)
    axes.set(
        xlim=(-0.02, 1.02), yticks=range(len(lines)), xlabel="AUROC (dashed: pooled; line: chance)"
    )
    axes.set_yticklabels([_short(f"{kind.split()[0].lower()} {name}") for kind, name, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GREY, alpha=0.18, linewidth=0.6)
    text = f"Pooled {interval(pooled)}. {'; '.join(words)}."
    return to_svg(figure, "groups", "AUROC by group", text)


def _short(name: str) -> str:
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
