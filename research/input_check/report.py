"""How often the input check is right on what it was not fitted to, and the card that ships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.files import atomic_write
from covid_cxr.inference.input_check import NO_CHEST, UPRIGHT
from covid_cxr.metrics import clopper_pearson
from covid_cxr.progress import track
from covid_cxr.types import DISCLAIMER
from research.input_check.fit import Fitted, fit
from research.input_check.samples import OTHERS, PHANTOMS, PICTURES, Samples
from research.input_check.transforms import TRANSFORMS, UNCHANGED

CARD = "INPUT_CHECK_CARD.md"
ALL, VARIED = "all", "varied"
IS_ANSWERED, IS_REJECTED = "answered", "rejected"
_CARD = """# Input check

{disclaimer}

Rejects anything but upright frontal chest radiographs: `status` is `abstained`, `flags` names the
reason, probabilities are empty. It works on features of the lung network's encoder, which sees the
whole image.

| | |
| --- | --- |
| fitted to | {radiographs} upright radiographs of {patients} patients: {sources} |
| and | the same turned, upside down and inverted; {pictures} pictures of {kinds} kinds |
| head | {components} components of the pooled features, logistic regression |
| limits | set on radiographs whose source was left out of the head |
| log-odds of an upright radiograph, at least | {least} |
| distance, at most | {farthest} |

All figures are of what was left out of head and limits: a whole source of radiographs, or a whole
family of pictures. Intervals are 95 %, Clopper-Pearson, over patients (pictures: over pictures).

## Upright radiographs: answered

{answered}

"varied": the same radiographs turned a little, cropped, with other contrast, noise and labels.

## Wrong orientation or inverted: rejected

{wrong}

## Other pictures: rejected

{others}

Not fitted to, and so not known: lateral views and CT of patients, radiographs of children, animals.
Phantoms, as the demo makes them, were not fitted to either.
"""


def measure(samples: Samples, fitted: Fitted) -> list[dict[str, Any]]:
    """Return a row for each part: what was wanted, how often it was so, with its interval.

    Args:
        samples: all of them, those that `fitted` was fitted to included.
        fitted: what ships; only what nothing is fitted to is measured with it.
    """
    rows = samples.rows
    is_radiograph = ~rows["source"].isin((PHANTOMS, PICTURES, OTHERS))
    sources = sorted(set(rows.loc[is_radiograph, "source"]))
    left_out = [("source", source) for source in (sources if len(sources) > 1 else [])]
    families = sorted(set(rows.loc[rows["source"].eq(PICTURES), "family"]))
    left_out += [("family", family) for family in families]
    measured: list[dict[str, Any]] = []
    for column, name in track(left_out, "measuring"):
        is_out = rows[column].eq(name)
        rest = fit(samples.where(~is_out))
        of_part = _of_source if column == "source" else _of_family
        measured += of_part(rest, samples.where(is_out))
    for source, of_part in ((PHANTOMS, _of_source), (OTHERS, _of_family)):
        part = samples.where(rows["source"].eq(source))
        measured += of_part(fitted, part) if len(part.rows) else []
    return measured


def _of_source(fitted: Fitted, part: Samples) -> list[dict[str, Any]]:
    """Measure the radiographs of one source with a check that was not fitted to any of them."""
    rejections, source = np.array(fitted.rejections(part)), str(part.rows["source"].iloc[0])
    plain, upright = ~part.rows["varied"].astype(bool), part.rows["transform"].eq(UNCHANGED)
    parts = {ALL: plain & upright}
    views = part.rows["view"].replace("", "not stated")
    if views.nunique() > 1:
        parts |= {view: plain & upright & views.eq(view) for view in sorted(set(views))}
    parts[VARIED] = ~plain & upright
    parts |= {name: plain & part.rows["transform"].eq(name) for name in TRANSFORMS}
    return [_row(source, name, part.rows[of], rejections[of]) for name, of in parts.items()]


def _of_family(fitted: Fitted, part: Samples) -> list[dict[str, Any]]:
    rejections, kinds = np.array(fitted.rejections(part)), part.rows["kind"]
    family = str(part.rows["family"].iloc[0])
    return [
        _row(family, kind, part.rows[kinds.eq(kind)], rejections[kinds.eq(kind)])
        for kind in sorted(set(kinds))
    ]


def _row(
    left_out: str, part: str, rows: pd.DataFrame, rejections: NDArray[np.str_]
) -> dict[str, Any]:
    """Return one line: of the samples `rows`, how many were answered or rejected as wanted."""
    wanted = str(rows["reason"].iloc[0])
    right = (rejections == UPRIGHT) if wanted == UPRIGHT else (rejections != UPRIGHT)
    patients = int(rows["patient_id"].replace("", np.nan).nunique())
    trials = patients or len(rows)
    share = float(right.mean())
    return {
        "left_out": left_out,
        "part": part,
        "wanted": IS_ANSWERED if wanted == UPRIGHT else f"{IS_REJECTED}: {wanted}",
        "images": len(rows),
        "patients": patients,
        "right": int(right.sum()),
        "share": share,
        "interval": list(clopper_pearson(share * trials, trials)),
        "fitting_reason": float((rejections == wanted).mean()),
    }


def write(out: Path, figures: Mapping[str, Any]) -> None:
    """Write the card."""
    rows: list[dict[str, Any]] = figures["measured"]
    limits = [figures["fitted"][name] for name in ("lungs_found", "lungs_not_found")]
    least, farthest = (
        f"{limits[0][name]:.2f}; {limits[1][name]:.2f} where no lungs are found"
        for name in ("least_log_odds", "farthest_distance")
    )
    upright = [row for row in rows if row["wanted"] == IS_ANSWERED]
    wrong = [row for row in rows if row["part"] in TRANSFORMS]
    others = [row for row in rows if row["wanted"].endswith(NO_CHEST)]
    card = _CARD.format(
        disclaimer=DISCLAIMER,
        least=least,
        farthest=farthest,
        answered=_table(upright, "source", "radiographs"),
        wrong=_table(wrong, "source", "transform", reason=True),
        others=_table(others, "family", "kind", reason=True),
        **figures["fitted"],
    )
    atomic_write(out / CARD, card)


def _table(rows: Sequence[Mapping[str, Any]], out: str, part: str, reason: bool = False) -> str:
    return "\n".join(_lines(rows, out, part, reason)) if rows else "Not measured."


def _lines(rows: Sequence[Mapping[str, Any]], out: str, part: str, reason: bool) -> Iterator[str]:
    more = " with the fitting reason |" if reason else ""
    yield f"| {out} left out | {part} | right | share | 95 % |{more}"
    yield "| --- | --- | --- | --- | --- |" + (" --- |" if reason else "")
    for row in rows:
        low, high = row["interval"]
        fitting = f" {100 * row['fitting_reason']:.1f} % |" if reason else ""
        yield (
            f"| {row['left_out']} | {row['part']} | {row['right']} of {row['images']} "
            f"| {100 * row['share']:.1f} % | {100 * low:.1f}-{100 * high:.1f} |{fitting}"
        )
