"""Two or more runs on the same images: paired differences with intervals, pooled and by source."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from covid_cxr.evaluation import paired_runs
from covid_cxr.evaluation.paired_runs import Contender, Split
from covid_cxr.files import atomic_write
from covid_cxr.metrics import (
    Bootstrap,
    Interval,
    binary_scores,
    binary_support,
    clustered_auroc,
    clustered_difference,
)
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.report import formatting
from covid_cxr.report.figures.comparison import forest
from covid_cxr.types import COVID, DISCLAIMER

SCORES = ("auroc", "sensitivity", "specificity", "brier")
_AT_THRESHOLD = ("sensitivity", "specificity")
_Chosen = NDArray[np.bool_]


def compare(
    runs: Sequence[Path],
    split: Split = "test",
    *,
    seed: int | None = None,
) -> dict[str, Any]:
    """Compare runs on the images of a split that all of them answered, against the first named.

    Patients are resampled once for both sides of a pair (`Bootstrap.paired_intervals`); AUROC has
    DeLong's interval and p value for clustered data beside it. Sensitivity and specificity are at
    each run's own frozen threshold. Predictions alone are read: no split is opened anew.

    Args:
        runs: two run folders or more.
        split: test, val, external, or oof (out of fold).
        seed: of the bootstrap; None as the first run is configured.

    Returns:
        JSON-ready: split, task, n_resamples, seed, `runs` (name, path, model, bundles, asked,
        compared) and `groups`, pooled and each source: n, patients, events and, by run name, `runs`
        (a {value, low, high} for each score and auroc_delong) and `differences` from the first
        (the same, auroc_delong with its p).

    Raises:
        InputError: they cannot be compared; see `contenders.read`.
    """
    found = paired_runs.read(runs, split)
    bootstrap = found[0].bootstrap
    if seed is not None:
        bootstrap = replace(bootstrap, seed=seed)
    sources = found[0].table["source"].to_numpy()
    groups = {"pooled": np.full(sources.size, True)}
    if len(set(sources)) > 1:
        groups |= {f"inside {name}": sources == name for name in sorted(set(sources))}
    return {
        "split": split,
        "task": found[0].task,
        **asdict(bootstrap),
        "runs": [_described(each) for each in found],
        "groups": {name: _group(found, rows, bootstrap) for name, rows in groups.items()},
    }


def write_comparison(comparison: Mapping[str, Any], out: Path) -> Path:
    """Write `compare.json`, `compare.csv`, `compare.svg` and the page, whose path is returned."""
    svg = forest(comparison)
    record = json.dumps(comparison, indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(out / "compare.json", record + "\n")
    atomic_write(out / "compare.csv", _csv(comparison))
    if svg:
        atomic_write(out / "compare.svg", svg)
    page = out / "compare.html"
    template = formatting.templates().get_template("compare.html.j2")
    text = template.render(
        comparison=comparison,
        figure=Markup(svg),
        sentences=sentences(comparison),
        scores=SCORES,
        disclaimer=DISCLAIMER,
    )
    atomic_write(page, text)
    return page


def sentences(comparison: Mapping[str, Any]) -> list[str]:
    """Return what the comparison allows one to say, in plain words."""
    first, *others = (run["name"] for run in comparison["runs"])
    said = []
    for group, block in comparison["groups"].items():
        for name in others:
            gap = block["differences"][name]["auroc"]
            if gap["value"] is None:
                said.append(f"{_capital(group)}: one class only, so no AUROC to compare.")
                break
            said.append(f"{_capital(group)}: {_verdict(name, first, gap)}")
    if len(others) > 1:
        said.append(
            f"{len(others)} runs were held against {first}: of so many comparisons one may stand "
            "out by chance, and p values are not corrected for it."
        )
    return said


def _verdict(name: str, first: str, gap: Mapping[str, Any]) -> str:
    amount = f"{gap['value']:+.3f}"
    if gap["low"] is None:
        return f"the AUROC of {name} differs from that of {first} by {amount}; too few patients."
    if gap["value"] == gap["low"] == gap["high"] == 0:
        return f"{name} and {first} rank these images alike."
    ends = f"{amount} ({gap['low']:+.3f} to {gap['high']:+.3f})"
    if gap["low"] > 0 or gap["high"] < 0:
        return (
            f"the AUROC of {name} is {'higher' if gap['low'] > 0 else 'lower'} than that of "
            f"{first}: {ends}."
        )
    return f"these images do not tell the AUROC of {name} from that of {first}: {ends}."


def _described(run: Contender) -> dict[str, Any]:
    return {
        "name": run.name,
        "path": str(run.path),
        "model": run.model,
        "bundles": list(run.bundles),
        "asked": run.asked,
        "compared": len(run.table),
    }


def _group(runs: Sequence[Contender], rows: _Chosen, bootstrap: Bootstrap) -> dict[str, Any]:
    table = runs[0].table[rows]
    patients = table["patient_id"].to_numpy(dtype=object)
    events = (table["truth"] == COVID).to_numpy()
    sides = [_Side(run, rows, events, patients) for run in runs]
    block: dict[str, Any] = {
        "n": int(events.size),
        "patients": int(np.unique(patients).size),
        "events": int(events.sum()),
        "runs": {
            side.name: _numbers(bootstrap.intervals(side.statistic, patients, support=side.support))
            | {"auroc_delong": _json(clustered_auroc(events, side.scores, patients)._asdict())}
            for side in sides
        },
        "differences": {},
    }
    first = sides[0]
    for side in sides[1:]:
        pairs = bootstrap.paired_intervals(side.statistic, first.statistic, patients)
        delong = clustered_difference(events, side.scores, first.scores, patients)
        block["differences"][side.name] = {
            **_numbers({name: pair.difference for name, pair in pairs.items()}),
            "auroc_delong": _json(delong._asdict()),
        }
    return block


class _Side:
    """One run's answers in one group, as the bootstrap asks for them."""

    def __init__(self, run: Contender, rows: _Chosen, events: _Chosen, patients: Any) -> None:
        self.name = run.name
        self.scores, self.called, self.events = run.scores[rows], run.called[rows], events
        support = binary_support(events, self.called, 0.5, patients)
        self.support = {name: support[name] for name in ("auroc", *_AT_THRESHOLD)}

    def statistic(self, weights: Array | None) -> Scores:
        forecast = binary_scores(self.events, self.scores, 0.5, weights)
        answer = binary_scores(self.events, self.called, 0.5, weights)
        return {name: (answer if name in _AT_THRESHOLD else forecast)[name] for name in SCORES}


def _csv(comparison: Mapping[str, Any]) -> str:
    """Return the comparison as one long table, a row for a group, run and score."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    counts, ends = ("n", "patients", "events"), ("value", "low", "high")
    gaps = ("difference", "difference_low", "difference_high", "p")
    writer.writerow(["group", *counts, "run", "score", *ends, *gaps])
    for group, block in comparison["groups"].items():
        for run, scores in block["runs"].items():
            for name, score in scores.items():
                gap = block["differences"].get(run, {}).get(name, {})
                numbers = [*(score[end] for end in ends), *(gap.get(key) for key in (*ends, "p"))]
                writer.writerow(
                    [group, *(block[key] for key in counts), run, name]
                    + ["" if x is None else x for x in numbers]
                )
    return buffer.getvalue()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _numbers(intervals: Mapping[str, Interval]) -> dict[str, dict[str, float | None]]:
    return {name: _json(interval._asdict()) for name, interval in intervals.items()}


def _json(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(x) else round(x, 6) for name, x in numbers.items()}
