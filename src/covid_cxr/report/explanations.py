"""Pictures of a report: explained radiographs and montages."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydantic import BaseModel, ValidationError

from covid_cxr.errors import InputError


class ExplainedExample(BaseModel):
    """One method's explanation of an image: of its JSON, what a report shows."""

    method: str
    label: str
    file: str = ""
    truth: str | None = None
    chosen: str = ""
    probability: float | None = None
    fidelity: float | None = None
    inside_lungs: float | None = None
    sentence: str | None = None
    picture: str = ""


@dataclass(frozen=True)
class ExampleCard:
    """All explanations of one image; `is_error` where the model is wrong about it."""

    file: str
    truth: str | None
    is_error: bool
    methods: list[ExplainedExample]


def examples(folder: Path) -> list[ExampleCard]:
    """Return one card an image.

    Raises:
        InputError: an explanation's JSON is not one.
    """
    cards: dict[str, ExampleCard] = {}
    for path in sorted(folder.glob("*.json")):
        picture = path.with_suffix(".png")
        if not picture.exists():
            continue
        try:
            example = ExplainedExample.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise InputError(f"'{path}' is not the JSON of an explanation") from error
        file = example.file or path.stem
        is_error = example.chosen == "error"
        card = cards.setdefault(file, ExampleCard(file, example.truth, is_error, []))
        card.methods.append(example.model_copy(update={"picture": _data_url(picture)}))
    return list(cards.values())


def montages(folder: Path) -> dict[str, str]:
    """Return title -> picture of each montage of a run, but those of copies."""
    return {
        path.stem: _small(path)
        for path in sorted(folder.glob("*.png"))
        if not path.stem.startswith("duplicates-")
    }


def _data_url(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _small(montage: Path) -> str:
    """Return a montage as JPEG, a tenth of its size: on a page it is an overview."""
    picture = io.BytesIO()
    with Image.open(montage) as page:
        page.convert("RGB").save(picture, "JPEG", quality=72, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(picture.getvalue()).decode("ascii")
