"""A comparison of runs on disk: one page, a table, a figure and the JSON."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from covid_cxr.files import atomic_write
from covid_cxr.report import formatting
from covid_cxr.report.figures.comparison import forest
from covid_cxr.results import COMPARISON, Estimate, RunComparison
from covid_cxr.results.comparison import SCORES, ScoreDifferences

_COLUMNS = [
    *("group", "n", "patients", "events", "run", "score", "value", "low", "high"),
    *("difference", "difference_low", "difference_high", "p"),
]


def write_comparison(comparison: RunComparison, out: Path) -> Path:
    """Write `compare.json`, `compare.csv`, `compare.svg` and the page, whose path is returned."""
    svg = forest(comparison)
    comparison.write(out / COMPARISON)
    atomic_write(out / "compare.csv", _rows(comparison).to_csv(index=False, lineterminator="\n"))
    if svg:
        atomic_write(out / "compare.svg", svg)
    page = out / "compare.html"
    text = formatting.render(
        "compare.html.j2",
        comparison=comparison,
        figure=svg,
        sentences=sentences(comparison),
        columns=SCORES,
    )
    atomic_write(page, text)
    return page


def sentences(comparison: RunComparison) -> list[str]:
    """Return what the comparison shows, in words."""
    first, *others = (run.name for run in comparison.runs)
    lines = []
    for name, group in comparison.groups.items():
        title = name[:1].upper() + name[1:]
        if not group.rarer:
            lines.append(f"{title}: one class only, so no AUROC to compare.")
            continue
        for run in others:
            lines.append(f"{title}: {_verdict(run, first, group.differences[run].auroc)}")
    if len(others) > 1:
        lines.append(
            f"{len(others)} runs were compared with {first}: of so many comparisons one may stand "
            "out by chance, and p values are not corrected for it."
        )
    return lines


def _verdict(name: str, first: str, gap: Estimate) -> str:
    if gap.low is None or gap.high is None:
        amount = gap.format(signed=True)
        return f"the AUROC of {name} differs from that of {first} by {amount}; too few patients."
    if gap.value == gap.low == gap.high == 0:
        return f"{name} and {first} rank these images the same."
    difference = gap.format(signed=True)
    if gap.low > 0 or gap.high < 0:
        kind = "higher" if gap.low > 0 else "lower"
        return f"the AUROC of {name} is {kind} than that of {first}: {difference}."
    return f"these images do not tell the AUROC of {name} from that of {first}: {difference}."


def _rows(comparison: RunComparison) -> pd.DataFrame:
    """Return a row for each group, run and score."""
    rows = [
        {
            **{"group": title, "n": group.n, "patients": group.patients, "events": group.events},
            **{"run": run, "score": name, **score.model_dump()},
            **_difference(group.differences.get(run), name),
        }
        for title, group in comparison.groups.items()
        for run, scores in group.runs.items()
        for name, score in scores.named().items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _difference(differences: ScoreDifferences | None, score: str) -> dict[str, float | None]:
    if differences is None:
        return {}
    gap = differences.named()[score]
    return {
        **{"difference": gap.value, "difference_low": gap.low, "difference_high": gap.high},
        "p": getattr(gap, "p", None),
    }
