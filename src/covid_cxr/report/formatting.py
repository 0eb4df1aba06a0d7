"""How numbers and pages are written: shared by report, model card and verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from covid_cxr.cohort.summary.strata import NOT_STATED
from covid_cxr.evaluation.subgroups import GROUPS
from covid_cxr.files import packaged
from covid_cxr.results import FEW, Estimate
from covid_cxr.results.estimates import UNDEFINED
from covid_cxr.results.scores import Scores
from covid_cxr.types import DISCLAIMER

_NAMES = packaged(__package__, "templates/names.yaml")
NONE = UNDEFINED


def number(value: float | None) -> str:
    """Return three decimals, or a dash for None."""
    return NONE if value is None else f"{value:.3f}"


def interval(score: Estimate | None) -> str:
    """Return "0.913 (0.880-0.941)"; a dash where undefined."""
    return NONE if score is None else score.format()


def why(key: str, scores: Scores) -> str:
    """Return why a score is undefined, in two or three words; "" where it is defined."""
    if scores.named()[key].value is not None:
        return ""
    if not scores.n:
        return "no image answered"
    if key in ("sensitivity", "auprc") or (key.startswith("auroc") and not scores.events):
        return "no COVID-19 here"
    if key == "specificity" or (key.startswith("auroc") and scores.events == scores.n):
        return "COVID-19 only"
    return {"ppv": "none called", "npv": "all called"}.get(key, "undefined")


def percent(share: float | None) -> str:
    """Return "12 %", or a dash for None; decimals only where it is small.

    >>> percent(0.123), percent(0.0123), percent(0.05), percent(1.0)
    ('12 %', '1.2 %', '5 %', '100 %')
    """
    if share is None:
        return NONE
    digits = 0 if share >= 0.0995 or round(100 * share, 1) % 1 == 0 else 1
    return f"{100 * share:.{digits}f} %"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return "a, b and c", or the first of many and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def score_names(scores: Scores) -> dict[str, str]:
    """Return key -> label of the scores, in reading order."""
    keys = scores.named()
    by_key: dict[str, str] = _NAMES["scores"]
    labels = {key: label for key, label in by_key.items() if key in keys}
    return labels | {key: _label(key) for key in keys if key not in by_key}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested mappings as "outer.inner" -> text."""
    result: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            result[f"{prefix}{key}"] = ", ".join(map(str, value))
        else:
            result[f"{prefix}{key}"] = NONE if value is None else str(value)
    return result


def cell(text: str) -> str:
    """Return text that stays in its cell of a Markdown table, whatever names it holds."""
    plain = " ".join(text.split())
    for character in ("\\", "|", "<", "`", "*", "_", "[", "]"):
        plain = plain.replace(character, "\\" + character)
    return plain


@cache
def templates() -> Environment:
    """Return the Jinja environment of this folder's templates; HTML is escaped."""
    environment = Environment(
        loader=PackageLoader("covid_cxr.report", "templates"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for written in (cell, interval, listed, number, percent):
        environment.filters[written.__name__] = written
    environment.globals.update(
        score_names=score_names,
        why=why,
        group_names=GROUPS,
        split_names=_NAMES["splits"],
        few=FEW,
        not_stated=NOT_STATED,
        disclaimer=DISCLAIMER,
    )
    return environment


def render(template: str, **context: object) -> str:
    """Return a page from one of the templates."""
    return templates().get_template(template).render(context)


def _label(key: str) -> str:
    score, _, name = key.partition("_")
    return f"{score.upper()}, {name} against the rest"
