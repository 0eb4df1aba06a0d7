"""What a training's log, manifest, report and model card warn of; none of it is an error.

What is not finite is: see `covid_cxr.errors.TrainingError`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from covid_cxr.metrics import clustered_auroc
from covid_cxr.metrics.calibration import TEMPERATURES
from covid_cxr.models.manifest import Manifest
from covid_cxr.results import Estimate
from covid_cxr.results.input_check import InputCheckCounts
from covid_cxr.types import COVID, Prediction

_AT_BOUND = 1.001
_CONSTANT = 1e-6  # predictions are written with six decimals


class ImageCheck(NamedTuple):
    """Why a training image would be abstained from, "" where it would not; flags of reading it."""

    rejection: str
    flags: tuple[str, ...]


def count_by_source(
    sources: Sequence[str], checks: Sequence[ImageCheck]
) -> dict[str, InputCheckCounts]:
    """Return how many images of each source would be abstained from, and the flags of reading."""
    counts = {}
    for source in sorted(set(sources)):
        own = [check for check, name in zip(checks, sources, strict=True) if name == source]
        counts[source] = InputCheckCounts(
            images=len(own),
            abstained=dict(Counter(check.rejection for check in own if check.rejection)),
            flags=dict(Counter(flag for check in own for flag in check.flags)),
        )
    return counts


def input_check_warnings(counts: Mapping[str, InputCheckCounts]) -> tuple[str, ...]:
    """Return a sentence a source with images that would be abstained from or are flagged.

    >>> count = InputCheckCounts(images=9, abstained={"blank image": 2})
    >>> input_check_warnings({"ward": count})
    ('Source ward: of 9 training images the input check rejects 2 (blank image 2).',)
    """
    sentences = []
    for source, count in counts.items():
        found = []
        if count.abstained:
            found.append(f"the input check rejects {count.unanswered} ({_listed(count.abstained)})")
        if count.flags:
            found.append(f"reading flags {_listed(count.flags)}")
        if found:
            start = f"Source {source}: of {count.images} training images"
            sentences.append(f"{start} {'; '.join(found)}.")
    return tuple(sentences)


def calibration_warnings(
    manifest: Manifest, predictions: Sequence[Prediction], rows: pd.DataFrame
) -> tuple[str, ...]:
    """Return what to be warned of about a bundle by its answers to images it was not fitted to.

    Args:
        manifest: of the bundle.
        predictions: (N) of validation images, or of those that a fold left out.
        rows: (N) of the cohort.
    """
    is_ok = np.array([prediction.status == "ok" for prediction in predictions], dtype=np.bool_)
    scores = np.array([one.probabilities[COVID] for one in predictions if one.status == "ok"])
    chosen = rows[is_ok]
    warnings = []
    low, high = TEMPERATURES
    if not low * _AT_BOUND < manifest.temperature < high / _AT_BOUND:
        warnings.append(
            f"The temperature, {manifest.temperature:.3f}, is at a bound of its search "
            f"({low:g} to {high:g}): the probabilities are not calibrated."
        )
    if not scores.size:
        return (*warnings, "The input check rejects every validation image.")
    if np.ptp(scores) < _CONSTANT:
        constant = f"All {scores.size} validation images have the same probability of COVID-19"
        return (*warnings, f"{constant}, {scores[0]:.6f}: nothing was learned.")
    if not scores.min() < manifest.threshold <= scores.max():
        every = "COVID-19" if scores.min() >= manifest.threshold else "not COVID-19"
        warnings.append(
            f"The threshold, {manifest.threshold:.6f}, calls all {scores.size} validation images "
            f"{every}."
        )
    events, patients = (chosen["finding"] == COVID).to_numpy(), chosen["patient_id"]
    area = clustered_auroc(events, scores, patients.to_numpy(str))
    if area.value <= 0.5:
        warnings.append(
            f"The AUROC on {scores.size} validation images, {Estimate.of(*area)}, is not above "
            "0.5, chance level."
        )
    return tuple(warnings)


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered)
