"""The one table from every source's raw labels to normal, pneumonia, covid-19 or an exclusion.

`labels.yaml` holds the raw labels; a label is looked up without regard to case and outer spaces.
Several findings joined by "|" (NIH) are pneumonia if one of them is, normal only if all are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

from covid_cxr.errors import CohortError
from covid_cxr.files import packaged
from covid_cxr.types import COVID, FINDINGS

EXCLUDED = "excluded: "
UNKNOWN = "excluded: label unknown"
OTHER = "excluded: other finding"
AMBIGUOUS = "excluded: normal or other finding, not distinguished"
# What the adapter of DICOM exports writes in the place of a label.
NOT_CHOSEN = "another instance of the study"
HEADER_UNREADABLE = "unreadable DICOM header"
REPEATED = "repeats another's SOPInstanceUID"


@cache
def label_table() -> dict[str, str]:
    """Return raw label, in lower case -> a finding or "excluded: why"."""
    listed = packaged(__package__, "labels.yaml")
    table = {EXCLUDED + why: [why] for why in (NOT_CHOSEN, HEADER_UNREADABLE, REPEATED)}
    table |= {finding: listed[finding] for finding in FINDINGS}
    table |= {UNKNOWN: listed["unknown"], OTHER: listed["other"], AMBIGUOUS: listed["ambiguous"]}
    for group, causes in listed["causes"].items():
        table["pneumonia"] += [group, f"Pneumonia/{group}", *causes]
        table["pneumonia"] += [f"Pneumonia/{group}/{cause}" for cause in causes]
    return {raw.casefold(): finding for finding, raws in table.items() for raw in raws}


def finding_of(raw: str, own: Mapping[str, str]) -> str | None:
    """Return a finding, "excluded: why", or None where the label is in no table.

    Args:
        raw: the label as the source writes it.
        own: the source's own table from its configuration; goes before `label_table`.
    """
    if raw in own:
        return own[raw]
    parts = {label_table().get(part.strip().casefold()) for part in raw.split("|")}
    if len(parts) == 1:
        return parts.pop()
    if None in parts:
        return None
    for finding in (COVID, "pneumonia"):
        if finding in parts:
            return finding
    return UNKNOWN if UNKNOWN in parts else OTHER


def resolve(raws: Iterable[str], own: Mapping[str, str], source: str) -> dict[str, str]:
    """Return raw label -> finding or "excluded: why" for every label that occurs.

    Args:
        raws: one raw label an image.
        own: the source's own table from its configuration.
        source: named in errors.

    Raises:
        CohortError: labels in no table (all listed with counts), or `own` maps to something
            that is neither a finding nor starts with "excluded: ".
    """
    wrong = [value for value in own.values() if not _is_answer(value)]
    if wrong:
        raise CohortError(
            f"source '{source}' maps a label to '{wrong[0]}'; expected {', '.join(FINDINGS)} or "
            "'excluded: why'"
        )
    counts = Counter(raws)
    table = {raw: finding_of(raw, own) for raw in counts}
    unlisted = [f"'{raw}' ({counts[raw]})" for raw in sorted(counts) if table[raw] is None]
    if unlisted:
        raise CohortError(
            f"source '{source}' has labels that are in no table: {', '.join(unlisted)}; map each "
            "under 'labels' of this source to normal, pneumonia, covid-19 or 'excluded: why'"
        )
    return {raw: finding for raw, finding in table.items() if finding is not None}


def _is_answer(value: str) -> bool:
    return value in FINDINGS or (value.startswith(EXCLUDED) and len(value) > len(EXCLUDED))
