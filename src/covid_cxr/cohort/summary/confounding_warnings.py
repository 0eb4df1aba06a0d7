"""What the confounding table means, in sentences that follow from its numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap

import pandas as pd

from covid_cxr.cohort.summary.confounding import Confounder
from covid_cxr.types import COVID

_STRONG = 0.3  # Cramer's V, see `confounding.strength`
_PREDICTS, _PREDICTS_WELL = 0.6, 0.7  # of the AUROC; from 0.7 discrimination is called acceptable
_ONE_SOURCE = "All images come from {}; nothing here shows how a model does elsewhere."
_ADVICE = (
    "Trust scores inside one source, hold out whole sources or sites, and audit what the model "
    "relies on."
)


@dataclass(frozen=True)
class ConfoundingWarnings:
    """Sentences for a reader, and whether they warn.

    Attributes:
        warns: some column predicts the finding, or there is nothing to compare sources with.
        sentences: in reading order.
    """

    warns: bool
    sentences: tuple[str, ...]

    def after(self, warnings: Sequence[str]) -> ConfoundingWarnings:
        """Return the same with more urgent warnings before it."""
        return ConfoundingWarnings(self.warns or bool(warnings), (*warnings, *self.sentences))


def confounding_warnings(confounding: pd.DataFrame, by_source: pd.DataFrame) -> ConfoundingWarnings:
    """Return what a reader must know before believing a pooled score.

    A column warns from a Cramer's V of 0.3 or an AUROC of 0.6; from 0.7 on, where Hosmer and
    Lemeshow (Applied Logistic Regression, 2000) begin to call discrimination acceptable, a model
    that knows the column alone can pass for a good one.

    Args:
        confounding: as `confounding.confounding` returns it.
        by_source: images a source (index), a column a finding, and `total`.
    """
    sources = by_source[by_source["total"] > 0]
    if sources.empty:
        return ConfoundingWarnings(True, ("No image is included, so there is nothing to predict.",))
    findings = sources.drop(columns="total").sum()
    present = list(findings.index[findings > 0])
    if len(present) == 1:
        return ConfoundingWarnings(
            True, (f"Every image is {present[0]}, so there is nothing to tell apart.",)
        )
    rows = starmap(Confounder, confounding.itertuples(index=False, name=None))
    lines = {row.column: row for row in rows}
    source, alone = lines.pop("source"), len(sources) == 1
    others = sorted(filter(_warns, lines.values()), key=lambda line: -_number(line.auroc))
    view = [line for name, line in lines.items() if name.startswith("view") and not _warns(line)]
    sentences = [
        _ONE_SOURCE.format(sources.index[0]) if alone else _about(source),
        *_one_class(sources),
        *(_about(line, also=_predicts(source) and _predicts(line)) for line in others),
        *map(_about, view),
    ]
    predicted = bool(others) or _warns(source)
    return ConfoundingWarnings(alone or predicted, (*sentences, *([_ADVICE] if predicted else [])))


def _warns(line: Confounder) -> bool:
    return _number(line.cramers_v) >= _STRONG or _number(line.auroc) >= _PREDICTS


def _predicts(line: Confounder) -> bool:
    return _number(line.auroc) >= _PREDICTS


def _about(line: Confounder, also: bool = False) -> str:
    """Return what one column predicts; `also`: the source was said to predict COVID-19 before."""
    what = _subject(line.column)
    if not (_warns(line) or line.strength):
        return f"{what} has too few levels or images to tell anything."
    if not _warns(line):
        much = "little" if line.strength == "little" else "something"
        return f"{what} says {much} about the finding: {_measures(line)}."
    if not _predicts(line):
        return f"{what} tells other findings apart rather than COVID-19: {_measures(line)}."
    if also:
        return f"{what} tells COVID-19 too: {_measures(line)}."
    can = "score well" if line.auroc >= _PREDICTS_WELL else "gain"
    return (
        f"{what} tells COVID-19 from the rest with {_measures(line)}: a model can {can} "
        "without reading lungs."
    )


def _subject(column: str) -> str:
    noun = column.removesuffix(" stated").removesuffix(" band")
    if column.endswith(" stated"):
        return f"Whether the {noun} is stated"
    return f"{noun.capitalize()} alone"


def _measures(line: Confounder) -> str:
    """Return "AUROC 0.95 (Cramer's V 0.87, very strong)", with what is not defined left out."""
    area = "not defined" if math.isnan(line.auroc) else f"{line.auroc:.2f}"
    if not line.strength:
        return f"AUROC {area}"
    return f"AUROC {area} (Cramer's V {line.cramers_v:.2f}, {line.strength})"


def _one_class(sources: pd.DataFrame) -> list[str]:
    """Name the sources without COVID-19, and those with nothing else, where there are several."""
    if len(sources) == 1:
        return []
    without = sources.index[sources[COVID] == 0]
    alone = sources.index[sources[COVID] == sources["total"]]
    nothing = "nothing else" if len(without) else "nothing but covid-19"
    parts = filter(None, [_hold(without, "no covid-19"), _hold(alone, nothing)])
    sentence = "; ".join(parts)
    return [f"{sentence}."] if sentence else []


def _hold(names: Sequence[str], what: str) -> str:
    if not len(names):
        return ""
    return f"{', '.join(names)} {'holds' if len(names) == 1 else 'hold'} {what}"


def _number(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)
