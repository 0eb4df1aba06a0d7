"""Answers about the data: where it comes from, what was left out, how it was split."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from covid_cxr.cohort.download.catalogue import catalogue
from covid_cxr.cohort.summary.strata import NOT_STATED
from covid_cxr.report.checklists.facts import Facts
from covid_cxr.report.formatting import listed, percent
from covid_cxr.types import COVID

Answer = Callable[[Facts], str | None]

_SPLITS = {"train": "training", "val": "validation", "test": "test", "external": "external"}


def _sources(facts: Facts) -> str | None:
    if facts.cohort is None:
        return None
    included = facts.cohort[facts.cohort["split"] != "excluded"]
    told = []
    for source, rows in included.groupby("source"):
        adapter = facts.setting("cohort", "datasets", str(source), "adapter") or str(source)
        known = catalogue().get(str(adapter))
        cited = f" ({known.cite}; licence: {known.license})" if known else ""
        told.append(f"{source}{cited}: {_of_patients(rows)}")
    return "; ".join(told) + "."


def _eligibility(facts: Facts) -> str | None:
    filters = facts.setting("cohort", "filters")
    if filters is None:
        return None
    views = [view or "not stated" for view in filters["views"]]
    said = [
        f"Chest radiographs with view position {listed(views, 8)}",
        f"patients of a stated age under {filters['min_age']:g} left out",
        "sources known or suspected to hold children "
        + ("let in" if filters["paediatric_sources"] else "left out"),
        "images with another finding or an unknown label left out",
        "of copies of one image only one kept",
    ]
    if filters["offset"]:
        low, high = filters["offset"]
        said.append(f"images of days {low:g} to {high:g} where the day is known")
    return "; ".join(said) + "."


def _subsets(facts: Facts) -> str | None:
    filters = facts.setting("cohort", "filters")
    if filters is None:
        return None
    kept = filters["one_per_patient"]
    which = f"The {kept}" if kept else "Every"
    return f"{which} eligible image of each patient; whole films, no region was cut out."


def _missing(facts: Facts) -> str | None:
    if facts.account is None or not facts.account.images:
        return None
    every = facts.account.missing.iloc[-1]
    shares = [f"{name} {percent(float(every[name]))}" for name in ("view", "sex", "age", "site")]
    said = (
        "What is not stated leaves no image out and counts as a group of its own; the model sees "
        f"pixels only. Not stated: {', '.join(shares)} of images."
    )
    split = facts.headline
    if split is None:
        return said
    return (
        f"{said} Not scored in the reported split: {split.abstained} images the system "
        f"abstained on and {split.errors} it could not read."
    )


def _views(facts: Facts) -> str | None:
    if facts.account is None or not facts.account.images:
        return None
    counts = facts.account.counts["view"]
    told = [f"{view} {total}" for view, total in zip(counts["view"], counts["total"], strict=True)]
    return f"View positions: {', '.join(told)} images."


def _sites(facts: Facts) -> str | None:
    if facts.account is None:
        return None
    names = [name for name in facts.account.counts["site"]["site"] if name != NOT_STATED]
    if not names:
        return None
    return f"The cohort names {len(names)} sites or publishers: {listed(names, 8)}."


def _reference_standard(facts: Facts) -> str | None:
    if facts.cohort is None:
        return None
    task = facts.metrics.task
    classes = " against the rest" if task == "binary" else ", pneumonia or normal"
    return (
        f"COVID-19{classes}, at the time of the film; the finding that each source states, mapped "
        "by one table (cohort.csv holds raw_finding beside finding). The same for all groups."
    )


def _partitions(facts: Facts) -> str | None:
    settings = facts.setting("cohort")
    if settings is None or facts.cohort is None:
        return None
    strategy = settings["strategy"]
    shares = ", ".join(f"{settings[name]:g} {_SPLITS[name]}" for name in ("train", "val", "test"))
    how = {
        "random": f"at random, stratified by source and finding, in the shares {shares}",
        "lists": f"by the list {settings['lists']}",
    }.get(strategy, f"by {strategy} ({settings['held_out']} is test), in the shares {shares}")
    return f"Patients were assigned {how}, seed {facts.setting('seed')}. {_counted(facts.cohort)}"


def _disjoint(facts: Facts) -> str | None:
    if facts.cohort is None:
        return None
    said = (
        "Patient: all images of a patient, and images that are copies of each other, are in one "
        "partition. This is checked whenever the cohort is read."
    )
    external = facts.external_validation
    if external and external.training_overlap:
        said += (
            f" {external.training_overlap} images were left out because the bundle was trained on "
            "their patients."
        )
    leak = facts.audit_sentences("leak")
    return f"{said} Audit: {leak[0]}" if leak else said


def _sample_size(facts: Facts) -> str | None:
    if facts.cohort is None:
        return None
    return f"All eligible images were used; no size was calculated. {_counted(facts.cohort)}"


def _flow(facts: Facts) -> str | None:
    found = facts.account
    if found is None or facts.cohort is None:
        return None
    reasons = found.reasons.groupby("reason", sort=False)["images"].sum()
    why = listed([f"{reason} {count}" for reason, count in reasons.items()], 8)
    left = f"{found.excluded} left out ({why})" if found.excluded else "none left out"
    return (
        f"{len(facts.cohort)} images; {left}; {found.images} of {found.patients} patients "
        f"included. {_counted(facts.cohort)}"
    )


def _characteristics(facts: Facts) -> str | None:
    if facts.cohort is None:
        return None
    told = []
    for split, name in _SPLITS.items():
        rows = facts.cohort[facts.cohort["split"] == split]
        if rows.empty:
            continue
        sexes, ages = rows["sex"].value_counts(), rows["age"].dropna()
        stated = int(sexes.get("F", 0) + sexes.get("M", 0))
        sex = f"{sexes.get('F', 0)} of {stated} with a stated sex female"
        age = (
            f"median age {ages.median():.0f} of {len(ages)} stated"
            if len(ages)
            else "no age stated"
        )
        told.append(f"{name}: {_with_event(rows)}, {sex}, {age}")
    return "By images: " + "; ".join(told) + "."


def _development_evaluation(facts: Facts) -> str | None:
    if facts.cohort is None:
        return None
    splits = facts.cohort["split"]
    if facts.external_validation is not None:
        return None
    seen = facts.cohort[splits.isin(("train", "val"))]
    said = []
    for split in ("test", "external"):
        rows = facts.cohort[splits == split]
        if len(rows):
            new = sorted(set(rows["source"]) - set(seen["source"]))
            origin = f"{listed(new)}, not in development" if new else "the same sources"
            said.append(
                f"{_SPLITS[split]}: {origin}; COVID-19 in {_share(rows)}, in development "
                f"{_share(seen)}"
            )
    rules = "Eligibility, outcome and predictors are the same by construction. "
    return rules + "; ".join(said) + "." if said else None


def _numbers(facts: Facts) -> str | None:
    return None if facts.cohort is None else _counted(facts.cohort)


def _predictors(_: Facts) -> str | None:
    return "The pixels of one frontal chest radiograph; no other variable enters the model."


def _no_judgement(_: Facts) -> str | None:
    return "Not applicable: the predictor is the film itself, and nobody assesses it."


def _data_licences(facts: Facts) -> str | None:
    found = facts.manifest.get("training_data")
    if not found:
        return None
    told = [f"{item['source']}: {', '.join(item['licenses']) or 'none stated'}" for item in found]
    return f"Licences of the training images: {'; '.join(told)}."


def _counted(cohort: pd.DataFrame) -> str:
    rows = {name: cohort[cohort["split"] == split] for split, name in _SPLITS.items()}
    told = [f"{name}: {_with_event(part)}" for name, part in rows.items() if len(part)]
    return "; ".join(told).capitalize().replace("covid", "COVID") + "." if told else ""


def _with_event(rows: pd.DataFrame) -> str:
    return f"{_of_patients(rows)}, {int((rows['finding'] == COVID).sum())} with COVID-19"


def _of_patients(rows: pd.DataFrame) -> str:
    return f"{len(rows)} images of {rows['patient_id'].nunique()} patients"


def _share(rows: pd.DataFrame) -> str:
    return percent(float((rows["finding"] == COVID).mean())) + " of images"


ANSWERS: dict[str, Answer] = {
    "sources": _sources,
    "eligibility": _eligibility,
    "subsets": _subsets,
    "missing": _missing,
    "views": _views,
    "sites": _sites,
    "reference_standard": _reference_standard,
    "partitions": _partitions,
    "disjoint": _disjoint,
    "sample_size": _sample_size,
    "flow": _flow,
    "characteristics": _characteristics,
    "development_evaluation": _development_evaluation,
    "numbers": _numbers,
    "predictors": _predictors,
    "no_judgement": _no_judgement,
    "data_licences": _data_licences,
}
