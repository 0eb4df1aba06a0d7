"""The evaluation as tables that go into documents: method x measure x time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.explanation_benchmark.measure import FAITHFUL, REPEATED, ROBUST, SANE
from covid_cxr.explanation_benchmark.summary import ALL, COVID_CALLED
from covid_cxr.types import DISCLAIMER

AGREEMENT_COLUMNS = {
    "peak_hit": "peak on opacity",
    "mass_opacities": "mass in opacities",
    "iou": "IoU",
    "auprc": "AUPRC",
    "auprc_lungs": "AUPRC in lungs",
    "peak_lungs": "peak in lungs",
    "mass_lungs": "mass in lungs",
}
_FAITHFUL = {
    "gain": "gain",
    "gain_deletion_blur": "deletion, blur",
    "gain_deletion_dataset": "deletion, mean",
    "gain_insertion_blur": "insertion, blur",
    "gain_insertion_dataset": "insertion, mean",
    "fidelity": "local fidelity (R2)",
}


def markdown(found: Mapping[str, Any]) -> str:
    """Return the page of a finished evaluation (its JSON)."""
    subsets = found["subsets"]
    stages, repeats = found["settings"]["stages"], found["settings"]["repeat_samples"]
    steady = {
        "noise": "noise",
        "shift": "shift",
        **{f"seeds_{n}": f"seeds, {n}" for n in repeats},
        **{f"top5_{n}": f"top 5, {n}" for n in repeats},
    }
    sane = {f"spearman_{stage}": f"Spearman, {stage}" for stage in stages}
    sane |= {f"ssim_{stage}": f"SSIM, {stage}" for stage in stages}
    parts = [
        _head(found),
        *_against(subsets, ALL, found),
        *_against(subsets, COVID_CALLED, found),
        f"## Faithfulness ({_films(found, FAITHFUL)})\n\n"
        "By how much the area under the deletion and insertion curves is better than that of a "
        "random order, in units of the probability of COVID-19; 0 is a map that knows nothing.",
        _table(subsets[ALL], _FAITHFUL),
        f"## Robustness ({_films(found, ROBUST)}) and repeatability ({_films(found, REPEATED)})"
        "\n\nSpearman correlation with the map of the film under "
        "noise or moved, and between seeds by number of samples; Jaccard index of the five "
        "strongest regions. A method without random draws has 1.",
        _table(subsets[ALL], steady, baselines=False),
        f"## Sanity ({_films(found, SANE)})\n\n"
        "Likeness to the map of the network whose layers are random from the head down to the "
        "stage; it must fall.",
        _table(subsets[ALL], sane, baselines=False),
        _labels(found["label_randomisation"]),
        *_refused(found),
        DISCLAIMER,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _films(found: Mapping[str, Any], group: str) -> str:
    count = found["measured_on"].get(group, 0)
    return f"{count} film{'' if count == 1 else 's'}"


def _head(found: Mapping[str, Any]) -> str:
    every = found["subsets"][ALL]
    chance = found["chance"]
    return (
        f"# Explanations measured: {found['run']}\n\n"
        f"{every['films']} films of {every['patients']} patients with drawn opacities, each "
        f"explained by a model that has not seen its patient ({found['left_out']}). Explained "
        f"class: {found['explained_class']}. Means with 95 % intervals over patients. Opacities "
        f"cover {chance['film']:.1%} of the film and {chance['lungs']:.1%} of the lungs in the "
        "mean, which is the AUPRC of a map that knows nothing. Seconds are medians a film on "
        f"{found['processors']} processors. Made by `{found['command']}`."
    )


def _against(subsets: Mapping[str, Any], name: str, found: Mapping[str, Any]) -> Iterator[str]:
    subset = subsets[name]
    if not subset["films"]:
        yield f"## Against radiologists: {name}\n\nNo such film."
        return
    yield (
        f"## Against radiologists: {name} ({subset['films']} films, {subset['patients']} patients)"
    )
    yield _table(subset, AGREEMENT_COLUMNS, seconds=found["seconds"])
    better = {
        method: ", ".join(AGREEMENT_COLUMNS.get(each, each) for each in measures) or "nothing"
        for method, measures in subset["beats_all_baselines"].items()
    }
    yield (
        "Paired differences to the lungs as a map, the baseline that is hardest to beat where the "
        "disease is in the lungs:"
    )
    to_lungs = {name: each.get("lungs", {}) for name, each in subset["differences"].items()}
    yield _table({"methods": to_lungs}, AGREEMENT_COLUMNS)
    yield (
        "Better than every baseline, the interval of the paired difference above 0 (no correction "
        "for the number of comparisons):\n\n"
        + "\n".join(f"- `{method}`: {measures}" for method, measures in better.items())
    )


def _table(
    subset: Mapping[str, Any],
    columns: Mapping[str, str],
    *,
    baselines: bool = True,
    seconds: Mapping[str, float] | None = None,
) -> str:
    methods = {
        name: measured
        for name, measured in subset.get("methods", {}).items()
        if any(column in measured for column in columns) and (baselines or name not in BASELINES)
    }
    if not methods:
        return "Not measured."
    titles = ["method", *columns.values(), *(["s/film"] if seconds is not None else [])]
    lines = [_line(titles), _line(["---"] * len(titles))]
    for name in sorted(methods, key=lambda each: (each in BASELINES, each)):
        shown = f"*{name}* (baseline)" if name in BASELINES else f"`{name}`"
        cells = [cell(methods[name].get(column)) for column in columns]
        time = [f"{seconds[name]:.2f}" if name in seconds else ""] if seconds is not None else []
        lines.append(_line([shown, *cells, *time]))
    return "\n".join(lines)


def cell(score: Mapping[str, Any] | None) -> str:
    """Return "0.42 (0.31-0.52)", or "" where it was not measured.

    >>> cell({"value": 0.421, "low": 0.309, "high": 0.52})
    '0.42 (0.31-0.52)'
    """
    if score is None or score["value"] is None:
        return ""
    value, low, high = score["value"], score["low"], score["high"]
    if low is None or high is None or low == high:
        return f"{value:.2f}"
    return (
        f"{value:.2f} ({low:.2f} to {high:.2f})"
        if low < 0
        else f"{value:.2f} ({low:.2f}-{high:.2f})"
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _labels(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Label randomisation was not tried; --budget full does."
    true, permuted = (f"{found['accuracy'][name]:.0%}" for name in ("true", "permuted"))
    columns = {"spearman": "Spearman", "spearman_strength": "of magnitudes", "ssim": "SSIM"}
    return (
        "Label randomisation: likeness of the maps of two small networks, one of which learned the "
        f"true labels of a few films by heart ({true} right), the other the same labels dealt out "
        f"anew ({permuted} right); on {found['films']} of these films.\n\n"
        + _table(found, columns, baselines=False)
    )


def _refused(found: Mapping[str, Any]) -> Iterator[str]:
    if found["refused"]:
        lines = [f"- `{name}`: {why}" for name, why in found["refused"].items()]
        yield "## Left out\n\n" + "\n".join(lines)
