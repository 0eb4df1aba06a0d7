"""Pictures in a report: explained films, contact sheets; and how the methods were measured."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from covid_cxr.errors import InputError

# measure of `explain-eval.json` -> what the report calls it
MEASURES = {
    "peak_hit": "peak on an opacity",
    "mass_opacities": "mass in opacities",
    "auprc": "AUPRC",
    "mass_lungs": "mass in lungs",
    "gain": "faithfulness",
}


def examples(folder: Path) -> list[dict[str, Any]]:
    """Return one card an image: its file, truth and, for each method, picture and facts.

    `chosen` is "error" where the image was explained because the model is wrong about it.
    """
    cards: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        facts, picture = read_json(path), path.with_suffix(".png")
        if facts is None or not picture.exists():
            continue
        file = str(facts.get("file", path.stem))
        card = cards.setdefault(
            file,
            {
                "file": file,
                "truth": facts.get("truth"),
                "chosen": facts.get("chosen", "drawn"),
                "methods": [],
            },
        )
        card["methods"].append(facts | {"picture": _data_url(picture)})
    return list(cards.values())


def sheets(folder: Path) -> list[dict[str, str]]:
    """Return title and picture of each contact sheet of films in a run, but those of copies."""
    return [
        {"title": path.stem, "picture": _small(path)}
        for path in sorted(folder.glob("*.png"))
        if not path.stem.startswith("copies-")
    ]


def measured(path: Path) -> dict[str, Any] | None:
    """Return what `explain-eval` found, a row a method; None where it was not run.

    Returns:
        `films`, `patients`, `explained_class` and `rows`: each `method`, `seconds` (None for a
        baseline) and `scores`, an interval or None for each of `MEASURES`.

    Raises:
        InputError: the file is no JSON object.
    """
    found = read_json(path)
    if found is None:
        return None
    every, seconds = found["subsets"]["all"], found["seconds"]
    rows = [
        {
            "method": name,
            "seconds": seconds.get(name),
            "scores": [_score(scores.get(measure)) for measure in MEASURES],
        }
        for name, scores in every["methods"].items()
    ]
    rows.sort(key=lambda row: (row["seconds"] is None, row["method"]))
    kept = {name: every[name] for name in ("films", "patients")}
    return kept | {"explained_class": found["explained_class"], "rows": rows}


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object from a file; None where there is no such file.

    Raises:
        InputError: it is no JSON, or no object.
    """
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"'{path}' holds a {type(value).__name__}, expected a JSON object")
    return value


def _score(score: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if score is None or score["value"] is None else score


def _data_url(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _small(sheet: Path) -> str:
    """Return a sheet as JPEG, a tenth of its size: on a page it is looked at, not measured."""
    picture = io.BytesIO()
    with Image.open(sheet) as page:
        page.convert("RGB").save(picture, "JPEG", quality=72, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(picture.getvalue()).decode("ascii")
