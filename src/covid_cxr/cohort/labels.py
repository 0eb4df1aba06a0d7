"""The one table from every source's raw labels to normal, pneumonia, covid-19 or an exclusion.

Keys are lower case; a raw label is looked up without regard to case and outer spaces. A label of
several findings joined by "|" (NIH) is pneumonia if one of them is, normal only if all are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from covid_cxr.errors import CohortError
from covid_cxr.types import COVID, FINDINGS

EXCLUDED = "excluded: "
UNKNOWN = "excluded: label unknown"
OTHER = "excluded: other finding"
UNTOLD = "excluded: normal or other finding, not told apart"
# What the adapter of DICOM exports writes in the place of a label.
NOT_CHOSEN = "another instance of the study"
HEADER_UNREADABLE = "unreadable DICOM header"
REPEATED = "repeats another's SOPInstanceUID"

_COVID = ("COVID-19", "COVID-19, ARDS", "Covid", "Pneumonia/Viral/COVID-19")
_NORMAL = ("normal", "No Finding", "No_findings", "No findings")
# ARDS is a syndrome with many causes, COVID-19 among them: without a cause it is no label.
_UNKNOWN = ("", "todo", "Unknown", "ARDS")
# Causes that Mila writes alone until 2020 and as Pneumonia/<group>/<cause> later.
_CAUSES = {
    "Bacterial": (
        "Chlamydophila",
        "E.Coli",
        "Klebsiella",
        "Legionella",
        "Mycoplasma",
        "Nocardia",
        "Staphylococcus",
        "Staphylococcus/MRSA",
        "Streptococcus",
    ),
    "Viral": (
        "Adenovirus",
        "H1N1",
        "Herpes",
        "Influenza",
        "Influenza/H1N1",
        "MERS",
        "MERS-CoV",
        "SARS",
        "Varicella",
    ),
    "Fungal": ("Aspergillosis", "Pneumocystis"),
}
_PNEUMONIA = (
    "pneumonia",
    "Aspiration pneumonia",
    "Bacterial Pneumonia",
    "Herpes pneumonia",
    "Herpes pneumonia, ARDS",
    "Invasive Aspergillosis",
    "Lobar Pneumonia",
    "Lung Opacity",  # RSNA: marked by radiologists as suspicious of pneumonia
    "MRSA",
    "Multilobar Pneumonia",
    "Mycoplasma Bacterial Pneumonia",
    "Round pneumonia",
    "Swine-Origin Influenza A (H1N1) Viral Pneumonia",
    "Viral Pneumonia",
    *(form for kind in ("Aspiration", "Lipoid") for form in (kind, f"Pneumonia/{kind}")),
    *(form for group in _CAUSES for form in (group, f"Pneumonia/{group}")),
    *(
        form
        for group, causes in _CAUSES.items()
        for cause in causes
        for form in (cause, f"Pneumonia/{group}/{cause}")
    ),
)
# Organising, eosinophilic and interstitial pneumonias are no infections, whatever their name says.
_INTERSTITIAL = (
    "Accelerated Phase Usual Interstitial Pneumonia",
    "Chronic eosinophilic pneumonia",
    "Cryptogenic Organising Pneumonia",
    "Cryptogenic Organizing Pneumonia",
    "Desquamative Interstitial Pneumonia",
    "Eosinophilic Pneumonia",
    "Lymphocytic Interstitial Pneumonia",
    "Organizing Pneumonia",
    "Unusual Interstitial Pneumonia",
)
_OTHER = (
    *_INTERSTITIAL,
    "Allergic bronchopulmonary aspergillosis",
    "Spinal Tuberculosis",
    "Tuberculosis",
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "No Lung Opacity / Not Normal",
    "Nodule",
    "Pleural_Thickening",
    "Pneumothorax",
)
LABELS: dict[str, str] = {
    raw.casefold(): finding
    for finding, raws in {
        COVID: _COVID,
        "normal": _NORMAL,
        "pneumonia": _PNEUMONIA,
        UNKNOWN: _UNKNOWN,
        OTHER: _OTHER,
        UNTOLD: ("No Lung Opacity",),
        EXCLUDED + NOT_CHOSEN: (NOT_CHOSEN,),
        EXCLUDED + HEADER_UNREADABLE: (HEADER_UNREADABLE,),
        EXCLUDED + REPEATED: (REPEATED,),
    }.items()
    for raw in raws
}


def finding_of(raw: str, own: Mapping[str, str]) -> str | None:
    """Return a finding, "excluded: why", or None where the label is in no table.

    Args:
        raw: the label as the source writes it.
        own: the source's own table from its configuration; goes before `LABELS`.
    """
    if raw in own:
        return own[raw]
    parts = {LABELS.get(part.strip().casefold()) for part in raw.split("|")}
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
    strange = [f"'{raw}' ({counts[raw]})" for raw in sorted(counts) if table[raw] is None]
    if strange:
        raise CohortError(
            f"source '{source}' has labels that are in no table: {', '.join(strange)}; map each "
            "under 'labels' of this source to normal, pneumonia, covid-19 or 'excluded: why'"
        )
    return {raw: finding for raw, finding in table.items() if finding is not None}


def _is_answer(value: str) -> bool:
    return value in FINDINGS or (value.startswith(EXCLUDED) and len(value) > len(EXCLUDED))
