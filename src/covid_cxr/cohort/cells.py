"""Cells of tables and headers -> view, sex, age and days, in the words of several languages.

`cells.yaml` holds the words of English, Spanish, French, German, Italian and Portuguese tables,
compared without case and accents. A cell that states nothing ("", "n/a", "unknown") is told from
one that states something that is not understood: `is_understood`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from covid_cxr.cohort.tables import plain
from covid_cxr.files import packaged

_WORDS: dict[str, Any] = packaged(__package__, "cells.yaml")
_MISSING = frozenset(_WORDS["missing"])
_SEXES = {word: sex for sex, words in _WORDS["sex"].items() for word in words}
_VIEWS: dict[str, str] = {word: kind for kind, words in _WORDS["view"].items() for word in words}
_OTHER_VIEWS: dict[str, str] = {plain(view): view for view in _WORDS["others"]}
_YEARS = {"years": 1.0, "months": 1 / 12, "weeks": 7 / 365.25, "days": 1 / 365.25}
_UNITS = {word: _YEARS[unit] for unit, words in _WORDS["units"].items() for word in words}
_OLDEST = 120.0

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_UNIT = r"([a-z][a-z./]*)?"
_PARTS = re.compile(rf"(?:{_NUMBER} ?{_UNIT}(?: |$)?)+")
_PART = re.compile(rf"{_NUMBER} ?{_UNIT}")
_RANGE = re.compile(rf"{_NUMBER} ?(?:-|–|to|bis|a) ?{_NUMBER} ?{_UNIT}")
_UNDER = re.compile(rf"(?:<|≤|<=|under|below) ?{_NUMBER} ?{_UNIT}")
_OVER = re.compile(rf"(?:>|≥|>=|over|above) ?{_NUMBER} ?{_UNIT}|{_NUMBER} ?\+")
_DECADE = re.compile(r"(\d{1,2}0) ?'?s")
_DAYS = re.compile(r"[+-]?\d+([.,]\d+)?")
# "postero-anterior" in the languages of `cells.yaml`, in one word or two.
_FROM_BEHIND = re.compile(r"\bposter[a-z]* ?anter[a-z]*|\bp a\b")
_FROM_BEFORE = re.compile(r"\banter[a-z]* ?poster[a-z]*|\ba p\b")


def is_missing(raw: str) -> bool:
    """Whether a cell states nothing: "", "n/a", "Missing", "unbekannt", ..."""
    return plain(raw) in _MISSING


def view_of(raw: str) -> str:
    """Return the view position in DICOM's words; what is not understood is kept as it stands.

    "Frontal" is a frontal radiograph of which is not stated whether it is PA or AP: "".

    >>> view_of("AP erect"), view_of("Lateral"), view_of("Postero-anterior view"), view_of("?")
    ('AP', 'L', 'PA', '')
    """
    text = plain(raw)
    if text in _MISSING:
        return ""
    view = _view(text)
    return " ".join(raw.split()) if view is None else view


def is_view_understood(view: str) -> bool:
    """Whether `view_of` has understood what it returned."""
    return _view(plain(view)) is not None or is_missing(view)


def _view(text: str) -> str | None:
    if text in _OTHER_VIEWS:
        return _OTHER_VIEWS[text]
    words = re.sub(r"[\W_]+", " ", text).strip()
    words = _FROM_BEFORE.sub("ap", _FROM_BEHIND.sub("pa", words))
    kinds = {_VIEWS.get(word, "") for word in words.split()} - {"beside"}
    if kinds and kinds <= {"lateral", "side"} and "lateral" in kinds:
        return "L"
    named = kinds - {"frontal"}
    if named in ({"PA"}, {"AP"}):
        return named.pop()
    if named in ({"AP", "supine"}, {"supine"}):
        return "AP Supine"  # nobody lies on the back with the detector before the chest
    return "" if kinds == {"frontal"} else None


def sex_of(raw: str) -> str:
    """Return M, F or "" from M, male, f, Mujer, weiblich, ...

    >>> sex_of("Mujer"), sex_of("Missing"), sex_of("homme")
    ('F', '', 'M')
    """
    sex = _SEXES.get(plain(raw).strip("."), "")
    return sex if sex in ("M", "F") else ""


def age_of(raw: str) -> float:
    """Return years, NaN where nothing is stated or understood, or over 120.

    "058Y" is 58, "006M" and "6 months" half a year, "1 year 3 months" 1.25, "5,5" 5.5; "50+" and
    ">50" are 50, "<1" and "0-9" the middle of what they span, "60s" 64.5.
    """
    text = plain(raw).removesuffix(" old").removesuffix(" of age")
    years = _years(text)
    return years if 0 <= years <= _OLDEST else math.nan


def _years(text: str) -> float:
    if match := _DECADE.fullmatch(text):
        return int(match[1]) + 4.5  # the middle of 60 to 69
    if match := _RANGE.fullmatch(text):
        low, high = _amount(match[1], match[3]), _amount(match[2], match[3])
        return (low + high) / 2 if low < high else math.nan
    if match := _UNDER.fullmatch(text):
        return _amount(match[1], match[2]) / 2
    if match := _OVER.fullmatch(text):
        return _amount(match[1] or match[3], match[2])
    return _sum_of_parts(text)


def _sum_of_parts(text: str) -> float:
    if not _PARTS.fullmatch(text):
        return math.nan
    parts = _PART.findall(text)
    if len(parts) > 1 and not all(unit for _, unit in parts):
        return math.nan
    return sum(_amount(number, unit) for number, unit in parts)


def _amount(number: str, unit: str | None) -> float:
    word = (unit or "y").replace(".", "").replace("/", "")
    return float(number.replace(",", ".")) * _UNITS.get(word, math.nan)


def offset_of(raw: str) -> float:
    """Return days, before the first symptom or admission negative; anything but a number is NaN."""
    text = raw.strip()
    return float(text.replace(",", ".")) if _DAYS.fullmatch(text) else math.nan


def host_of(url: str) -> str:
    """Return the publisher's host without "www.", "" where there is none.

    >>> host_of("https://www.NEJM.org/doi/1"), host_of("n/a")
    ('nejm.org', '')
    """
    try:
        return (urlsplit(url.strip()).hostname or "").removeprefix("www.")
    except ValueError:  # a bracket that opens no IPv6 address
        return ""


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "view": view_of,
    "sex": sex_of,
    "age": age_of,
    "offset": offset_of,
}


def parsed(field: str, raw: str) -> Any:
    """Return what a cell says of a field of `Record`; other fields are text."""
    return _PARSERS.get(field, str.strip)(raw)


def is_understood(field: str, raw: str) -> bool:
    """Whether a cell states nothing or something that `parsed` understands.

    A view is not judged here: a file's header may state it too, see `is_view_understood`.
    """
    if is_missing(raw) or field not in ("sex", "age", "offset"):
        return True
    if field == "sex":
        return plain(raw).strip(".") in _SEXES
    return not math.isnan(parsed(field, raw))
