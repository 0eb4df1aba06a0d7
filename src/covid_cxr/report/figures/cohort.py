"""The charts of a cohort's summary, each an inline SVG with its numbers in words beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from covid_cxr.cohort.summary.summary import CohortSummary, shortened
from covid_cxr.cohort.summary.tables import share
from covid_cxr.report.figures import svg
from covid_cxr.report.figures.svg import BLUE, GREEN, GREY, INK, ORANGE
from covid_cxr.types import COVID, FINDINGS

_HUES = {"normal": BLUE, "pneumonia": GREEN, COVID: ORANGE}
_MOST_BARS = 20
_LONGEST = 28  # letters of a bar's name
_YEARS = np.arange(0, 105, 5)


def draw(summary: CohortSummary, cohort: pd.DataFrame) -> dict[str, str]:
    """Return the figures of a cohort by name.

    Args:
        summary: of this cohort.
        cohort: the ages are taken from its included rows.

    Returns:
        SVG elements under source-finding, view-finding, age-finding (where an age is stated) and
        confounding (where anything can be associated); none of an empty cohort.
    """
    if not summary.images:
        return {}
    included = cohort[cohort["split"] != "excluded"]
    associations = summary.confounding.dropna(subset="cramers_v")
    with svg.style():
        figures = {
            "source-finding": _stacked(_by_source(summary), "source-finding", "source"),
            "view-finding": _stacked(summary.counts["view"], "view-finding", "view"),
        }
        if included["age"].notna().any():
            figures["age-finding"] = _ages(included)
        if len(associations):
            figures["confounding"] = _associations(associations)
    return figures


def _by_source(summary: CohortSummary) -> pd.DataFrame:
    counts = summary.by_source.pivot_table(
        index="source", columns="finding", values="total", aggfunc="sum", fill_value=0
    )
    counts = counts.reindex(columns=list(FINDINGS), fill_value=0)
    return counts.assign(total=counts.sum(axis=1)).reset_index()


def _stacked(counts: pd.DataFrame, name: str, what: str) -> str:
    """Draw images a level, stacked by finding; the share of COVID-19 stands behind each bar."""
    table = shortened(counts, _MOST_BARS)
    names = [svg.shorten(level, _LONGEST) for level in table.iloc[:, 0]]
    total = table["total"].to_numpy(float)
    figure = Figure(figsize=(4.6, 0.9 + 0.34 * len(table)))
    axes = figure.subplots()
    svg.list_rows(axes, names)
    left, rows = np.zeros(len(table)), np.arange(len(table))
    for finding in FINDINGS:
        width = table[finding].to_numpy(float)
        bars = axes.barh(rows, width, 0.66, left, color=_HUES[finding], label=finding, linewidth=0)
        left += width
        # A seam keeps the parts apart for those who see the hues alike.
        inner = (left > 0) & (left < total)
        axes.vlines(left[inner], rows[inner] - 0.33, rows[inner] + 0.33, INK, linewidth=0.8)
    shares = [share(part) for part in table[COVID] / total.clip(1)]
    notes = [f"{images:,.0f}, {part}" for images, part in zip(total, shares, strict=True)]
    axes.bar_label(bars, notes, padding=4, fontsize=7.5)
    axes.set(xlabel="images (behind the bar: how many, and share of COVID-19)")
    axes.set_xlim(0, 1.28 * total.max())
    svg.legend_above(figure, axes)
    words = [
        f"{name}: {line['total']:,.0f} images, "
        + ", ".join(f"{int(line[finding]):,} {finding}" for finding in FINDINGS)
        for name, (_, line) in zip(names, table.iterrows(), strict=True)
    ]
    return svg.to_svg(figure, name, f"Images by {what} and finding", "; ".join(words) + ".")


def _ages(included: pd.DataFrame) -> str:
    figure = Figure(figsize=(4.6, 3.4))
    panels = figure.subplots(len(FINDINGS), 1, sharex=True)
    words = []
    for axes, finding in zip(panels, FINDINGS, strict=True):
        rows = included.loc[included["finding"] == finding, "age"]
        age = rows.dropna().to_numpy(float)
        # The few over 100 stand in the last bin.
        axes.hist(np.minimum(age, 100), _YEARS, color=_HUES[finding], linewidth=0, rwidth=0.9)
        title = f"{finding}: {len(age):,} of {len(rows):,} with an age"
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", nbins=3, integer=True)
        middle = f", median {np.median(age):.0f} years" if len(age) else ""
        words.append(title + middle)
    panels[-1].set(xlabel="age in years", xlim=(0, 105))
    return svg.to_svg(figure, "age-finding", "Age by finding", "; ".join(words) + ".")


def _associations(columns: pd.DataFrame) -> str:
    """Draw Cramer's V with its interval and the covariate's AUROC, one line a column."""
    figure = Figure(figsize=(4.6, 0.9 + 0.27 * len(columns)))
    axes = figure.subplots()
    svg.list_rows(axes, columns["column"].tolist())
    rows, v = range(len(columns)), columns["cramers_v"]
    axes.hlines(rows, columns["low"].fillna(v), columns["high"].fillna(v), color=BLUE)
    axes.plot(v, rows, "o", color=BLUE, markersize=5, label="Cramer's V (95 %)")
    axes.plot(columns["auroc"], rows, "D", color=ORANGE, markersize=5, label="covariate's AUROC")
    axes.axvline(0.5, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    axes.set(xlim=(-0.02, 1.02), xlabel="dashed: chance (AUROC), very strong (V)")
    axes.grid(axis="x")
    svg.legend_above(figure, axes)
    words = [
        f"{line['column']}: Cramer's V {line['cramers_v']:.2f}, AUROC {line['auroc']:.2f}"
        for line in columns.to_dict("records")
    ]
    title = "What predicts the finding without a picture"
    return svg.to_svg(figure, "confounding", title, "; ".join(words) + ".")
