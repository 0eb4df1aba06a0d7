"""How often the gate is right on what it was not fitted to, and the card that ships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import progress
from covid_cxr.files import atomic_write
from covid_cxr.inference.input_check import NO_CHEST, UPRIGHT, Gate
from covid_cxr.metrics import clopper_pearson
from covid_cxr.types import DISCLAIMER
from research.input_check.fit import fit, reasons
from research.input_check.samples import OTHERS, PHANTOMS, PICTURES, Samples
from research.input_check.transforms import AS_IS, WRONG

CARD = "GATE_CARD.md"
ALL, VARIED = "all", "varied"
_CARD = """# Gate

{disclaimer}

Refuses what is no upright frontal chest radiograph: `status` is `abstained`, `flags` names the
reason, probabilities are empty. It judges what the lung network's way down sees of the whole film.

| | |
| --- | --- |
| fitted to | {films} upright films of {patients} patients: {sources} |
| and | the same put wrongly, {pictures} pictures of {kinds} kinds |
| head | {components} components of the pooled features, logistic regression |
| limits | set on films whose source was left out of the head |
| log-odds of an upright film, at least | {least[0]:.2f}; {least[1]:.2f} where no lungs are found |
| distance, at most | {farthest[0]:.2f}; {farthest[1]:.2f} where no lungs are found |

Every figure is of what was left out of head and limits: a whole source of films, or a whole family
of pictures. Intervals are 95 %, Clopper-Pearson, over patients (pictures: over pictures).

## Upright films: answered

{answered}

"varied": the same films turned a little, cropped, with other contrast, noise and labels.

## Films put wrongly: refused

{wrong}

## Other pictures: refused

{others}

Not shown to it, and so not known: lateral views and CT of patients, films of children, animals.
Drawn chests, as the demo makes them, were not fitted to either.
"""


def measure(samples: Samples, gate: Gate) -> list[dict[str, Any]]:
    """Return a row for each part: what was wanted, how often it was so, with its interval.

    Args:
        samples: all looks, those that `gate` was fitted to among them.
        gate: the one that ships; only what no gate is fitted to is measured with it.
    """
    rows = samples.rows
    is_film = ~rows["source"].isin((PHANTOMS, PICTURES, OTHERS))
    sources = sorted(set(rows.loc[is_film, "source"]))
    families = sorted(set(rows.loc[rows["source"].eq(PICTURES), "family"]))
    found: list[dict[str, Any]] = []
    if len(sources) > 1:
        for done, source in enumerate(sources, start=1):
            out = rows["source"].eq(source)
            found += _of_source(fit(samples.where(~out)), samples.where(out))
            _step(done, sources, families)
    for done, family in enumerate(families, start=1):
        out = rows["family"].eq(family)
        found += _of_kinds(fit(samples.where(~out)), samples.where(out))
        _step(len(sources) + done, sources, families)
    drawn, others = (samples.where(rows["source"].eq(each)) for each in (PHANTOMS, OTHERS))
    found += _of_source(gate, drawn) if len(drawn.rows) else []
    return found + (_of_kinds(gate, others) if len(others.rows) else [])


def _of_source(gate: Gate, left: Samples) -> list[dict[str, Any]]:
    """Measure the films of one source with a gate that has seen none of them."""
    said, source = reasons(gate, left), str(left.rows["source"].iloc[0])
    plain, upright = ~left.rows["varied"].astype(bool), left.rows["change"].eq(AS_IS)
    parts = {ALL: plain & upright}
    views = left.rows["view"].replace("", "not stated")
    if views.nunique() > 1:
        parts |= {view: plain & upright & views.eq(view) for view in sorted(set(views))}
    parts[VARIED] = ~plain & upright
    found = [_row(source, name, left, said, part) for name, part in parts.items()]
    for change in WRONG:
        found.append(_row(source, change, left, said, plain & left.rows["change"].eq(change)))
    return found


def _of_kinds(gate: Gate, left: Samples) -> list[dict[str, Any]]:
    said = reasons(gate, left)
    kinds = left.rows["kind"]
    family = str(left.rows["family"].iloc[0])
    return [_row(family, kind, left, said, kinds.eq(kind)) for kind in sorted(set(kinds))]


def _row(
    out: str, part: str, left: Samples, said: NDArray[np.str_], chosen: pd.Series
) -> dict[str, Any]:
    """Return one line of the account: of the looks `chosen`, how many were judged as wanted."""
    rows, answers = left.rows[chosen], said[chosen.to_numpy()]
    wanted = str(rows["reason"].iloc[0])
    right = (answers == UPRIGHT) if wanted == UPRIGHT else (answers != UPRIGHT)
    named = rows["patient_id"].replace("", np.nan).nunique()
    trials = int(named or len(rows))
    share = float(right.mean())
    low, high = clopper_pearson(share * trials, trials)
    return {
        "left_out": out,
        "part": part,
        "wanted": "answered" if wanted == UPRIGHT else f"refused: {wanted}",
        "images": len(rows),
        "patients": int(named),
        "right": int(right.sum()),
        "share": share,
        "interval": [low, high],
        "fitting_reason": float((answers == wanted).mean()),
    }


def _step(done: int, sources: Sequence[str], families: Sequence[str]) -> None:
    total = len(sources) + len(families)
    progress.report("measuring", min(done, total), total)


def write(out: Path, figures: Mapping[str, Any]) -> None:
    """Write the card."""
    rows: list[dict[str, Any]] = figures["measured"]
    answered = [each for each in rows if each["wanted"] == "answered"]
    wrong = [each for each in rows if each["part"] in WRONG]
    others = [each for each in rows if each["wanted"].endswith(NO_CHEST)]
    card = _CARD.format(
        disclaimer=DISCLAIMER,
        answered=_table(answered, "source left out", "films"),
        wrong=_table(wrong, "source left out", "put", reason=True),
        others=_table(others, "family left out", "kind", reason=True),
        **figures["fitted"],
    )
    atomic_write(out / CARD, card)


def _table(rows: Sequence[Mapping[str, Any]], out: str, part: str, reason: bool = False) -> str:
    return "\n".join(_lines(rows, out, part, reason)) if rows else "Not measured."


def _lines(rows: Sequence[Mapping[str, Any]], out: str, part: str, reason: bool) -> Iterator[str]:
    more = " with the fitting reason |" if reason else ""
    yield f"| {out} | {part} | right | share | 95 % |{more}"
    yield "| --- | --- | --- | --- | --- |" + (" --- |" if reason else "")
    for each in rows:
        low, high = each["interval"]
        named = f" {100 * each['fitting_reason']:.1f} % |" if reason else ""
        yield (
            f"| {each['left_out']} | {each['part']} | {each['right']} of {each['images']} "
            f"| {100 * each['share']:.1f} % | {100 * low:.1f}-{100 * high:.1f} |{named}"
        )
