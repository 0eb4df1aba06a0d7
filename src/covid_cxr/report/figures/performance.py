"""The charts of a report, each an inline SVG with its numbers in words beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from covid_cxr.evaluation.predictions import Cases
from covid_cxr.metrics import Bootstrap, curves
from covid_cxr.report.figures import clinical_use, svg
from covid_cxr.report.figures.svg import BLUE, GREEN, GREY, INK, ORANGE
from covid_cxr.results import FEW, SplitMetrics
from covid_cxr.results.scores import Confusion
from covid_cxr.types import COVID

_HUES = {COVID: ORANGE, "non-covid-19": BLUE, "normal": BLUE, "pneumonia": GREEN}
_MOST_WEIGHTS = 20_000_000
_DASHES = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def draw(cases: Cases, split: SplitMetrics, bootstrap: Bootstrap) -> dict[str, str]:
    """Return the figures that these cases allow, by name.

    Args:
        cases: the answered images of one split.
        split: the metrics of the same cases.
        bootstrap: of the bands; fewer resamples are taken where there are many cases.

    Returns:
        SVG elements under roc, precision-recall, reliability, decision (these only where both
        classes are present), scores, confusion, confusion-1 and so on (of each source, where there
        are several) and groups (where there are several that have an AUROC).
    """
    figures: dict[str, str] = {}
    if not cases.labels.size:
        return figures
    # A band needs no finer ends than its line is wide.
    affordable = _MOST_WEIGHTS // cases.labels.size
    bootstrap = replace(bootstrap, n_resamples=max(100, min(bootstrap.n_resamples, affordable)))
    with svg.style():
        if cases.both_classes:
            figures["roc"] = _roc(cases, split, bootstrap)
            figures["precision-recall"] = _precision_recall(cases, split, bootstrap)
        figures["scores"] = _histograms(cases, split.threshold)
        figures |= _confusions(cases.classes, split)
        return figures | clinical_use.draw(split)


def _roc(cases: Cases, split: SplitMetrics, bootstrap: Bootstrap) -> str:
    figure, axes = svg.unit_square("1 − specificity", "sensitivity")
    point = split.pooled
    band = curves.roc_band(cases.events, cases.scores, cases.patients, bootstrap)
    axes.fill_between(band.x, band.low, band.high, color=BLUE, alpha=0.18, linewidth=0)
    curve = curves.roc_curve(cases.events, cases.scores)
    axes.plot(curve.x, curve.y, color=BLUE, label=f"pooled {point.auroc.value:.2f}")
    words = [f"pooled AUROC {point.auroc.value:.3f}"]
    # The curve of a handful of images is a staircase that says nothing.
    inner = {name: scores for name, scores in split.per_source.items() if scores.rarer >= FEW}
    for number, (source, scores) in enumerate(inner.items() if len(split.per_source) > 1 else ()):
        inside = cases.where(cases.sources == source)
        curve = curves.roc_curve(inside.events, inside.scores)
        dashes, label = _DASHES[number % len(_DASHES)], f"{source} {scores.auroc.value:.2f}"
        axes.plot(curve.x, curve.y, color=GREEN, linestyle=dashes, label=label)
        words.append(f"inside {source} {scores.auroc.value:.3f}")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, label="constant prior 0.50", zorder=0)
    sensitivity, specificity = point.sensitivity.value, point.specificity.value
    if sensitivity is not None and specificity is not None:
        _mark(axes, 1 - specificity, sensitivity)
    axes.legend(loc="lower right")
    text = f"{', '.join(words)}. At the operating point: sensitivity {sensitivity:.3f}"
    text += f", specificity {specificity:.3f}."
    return svg.to_svg(figure, "roc", "ROC curve with 95 % bootstrap band", text)


def _precision_recall(cases: Cases, split: SplitMetrics, bootstrap: Bootstrap) -> str:
    figure, axes = svg.unit_square("sensitivity (recall)", "positive predictive value")
    point = split.pooled
    band = curves.precision_recall_band(cases.events, cases.scores, cases.patients, bootstrap)
    axes.fill_between(band.x, band.low, band.high, color=BLUE, alpha=0.18, linewidth=0)
    share = float(cases.events.mean())
    curve = curves.precision_recall_curve(cases.events, cases.scores)
    axes.step(curve.x, curve.y, where="pre", color=BLUE, label=f"model {point.auprc.value:.2f}")
    axes.axhline(share, color=GREY, linewidth=0.9, label=f"constant prior {share:.2f}", zorder=0)
    if point.sensitivity.value is not None and point.ppv.value is not None:
        _mark(axes, point.sensitivity.value, point.ppv.value)
    axes.legend(loc="lower left")
    text = f"Average precision {point.auprc.value:.3f}; a constant prior has {share:.3f}."
    title = "Precision-recall curve with 95 % bootstrap band"
    return svg.to_svg(figure, "precision-recall", title, text)


def _confusions(classes: tuple[str, ...], split: SplitMetrics) -> dict[str, str]:
    """Return the pooled matrix, and one for each source where there are several."""
    pooled = split.pooled.confusion
    figures = {"confusion": _confusion(classes, pooled, "confusion", "Confusion matrix")}
    if len(split.per_source) > 1:
        for number, (name, source) in enumerate(split.per_source.items(), start=1):
            stem = f"confusion-{number}"
            title = f"Confusion matrix, {name}"
            figures[stem] = _confusion(classes, source.confusion, stem, title)
    return figures


def _confusion(classes: tuple[str, ...], counts: Confusion, stem: str, title: str) -> str:
    """Draw counts (C, C), rows being the truth."""
    figure = Figure() if stem == "confusion" else Figure(figsize=(3.0, 2.7))
    axes = figure.subplots()
    _tiles(axes, np.array(counts))
    ticks = range(len(classes))
    axes.set(xticks=ticks, xticklabels=classes, yticks=ticks, xlabel="predicted", ylabel="truth")
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5))
    axes.set_yticklabels(classes, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    rows = [
        f"{name}: " + ", ".join(f"{n} as {other}" for n, other in zip(row, classes, strict=True))
        for name, row in zip(classes, counts, strict=True)
    ]
    return svg.to_svg(figure, stem, title, "Truth by row. " + "; ".join(rows) + ".")


def _tiles(axes: Axes, counts: np.ndarray[Any, Any]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for row, column in np.ndindex(*counts.shape):
        share = shares[row, column]
        hue = BLUE if row == column else ORANGE
        # Pale, so that the count stays readable in the page's own text colour.
        pale = (hue, 0.06 + 0.4 * float(share))
        axes.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fc=pale, linewidth=0))
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="bottom", fontsize=13)
        if counts[row].sum():
            axes.text(column, row + 0.06, f"{share:.0%}", ha="center", va="top")


def _histograms(cases: Cases, threshold: float) -> str:
    sources = sorted(set(cases.sources))
    figure = Figure(figsize=(4.2, 1.0 + 0.95 * len(sources)))
    panels = figure.subplots(len(sources), 1, sharex=True, squeeze=False)[:, 0]
    edges = np.linspace(0, 1, 21)
    words = []
    for axes, source in zip(panels, sources, strict=True):
        for index, name in enumerate(cases.classes):
            scores = cases.scores[(cases.sources == source) & (cases.labels == index)]
            # An outline over a pale area tells the classes apart where they overlap.
            hue = _HUES[name]
            axes.hist(scores, edges, histtype="stepfilled", label=name, fc=(hue, 0.3), ec=hue)
            if scores.size:
                middle = np.median(scores)
                words.append(f"{source}, {name}: {scores.size} images, median {middle:.2f}")
        axes.axvline(threshold, color=INK, linewidth=0.9, linestyle=_DASHES[0])
        axes.set_title(source)
        axes.locator_params(axis="y", nbins=3, integer=True)
    panels[-1].set(xlabel="probability of COVID-19 (dashed: threshold)", xlim=(0, 1))
    svg.legend_above(figure, panels[0])
    return svg.to_svg(figure, "scores", "Scores by class and source", "; ".join(words) + ".")


def _mark(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], "o", color=ORANGE, label="operating point", clip_on=False, zorder=5)
