"""The images of an evaluation: their paths, their masks, and the bundle that explains each.

Every image is explained by a bundle that has seen neither it nor its patient. That is checked, not
assumed: a bundle's manifest holds the hashes of the images it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from covid_cxr import evaluation, imaging
from covid_cxr.cohort import masks
from covid_cxr.errors import CohortError, InputError, LeakError
from covid_cxr.models import bundle
from covid_cxr.models.bundle import Bundle
from covid_cxr.models.manifest import training_sources
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.types import COVID, BoolArray, Lungs

TEST_SPLIT = "test split"
_PHANTOMS = "masks/opacities", "masks/lungs"  # of `phantoms.write_cohort`


@dataclass(frozen=True)
class HeldOutPart:
    """Images that one bundle has not seen.

    Attributes:
        bundle: which.
        rows: of the cohort.
        predicted: path -> predicted class.
    """

    bundle: Bundle
    rows: pd.DataFrame
    predicted: dict[str, str]


@dataclass(frozen=True, eq=False)
class Case:
    """One image with opacities drawn on it.

    Attributes:
        path: in the cohort.
        sha256: of the file, in the cohort.
        patient: its id.
        finding: of the cohort.
        predicted: class, by the bundle.
        bundle: which has not seen the image.
        root: data root.
        image_id: in the cohort.
        mask_folder: of the radiologists' masks below `root`; "" for a phantom.
        opacities: (H, W), as drawn.
    """

    path: str
    sha256: str
    patient: str
    finding: str
    predicted: str
    bundle: Bundle
    root: Path
    image_id: str
    mask_folder: str
    opacities: BoolArray

    @cached_property
    def lungs(self) -> Lungs | None:
        """Both lungs as drawn; None where one of them is not.

        The lung network that ships was trained on these very images, so that its masks here would
        be better than elsewhere; the radiologist's own are what it was to learn.
        """
        if not self.mask_folder:
            return _divide(_phantom_mask(self.root / _PHANTOMS[1], self.image_id))
        right, left = (masks.mask(self.root / self.mask_folder, side) for side in masks.LUNGS)
        return None if right is None or left is None else Lungs(right, left)


def held_out_parts(folder: RunFolder) -> tuple[str, list[HeldOutPart]]:
    """Return how the images were held out, in words, and the parts of the run.

    Folds where the run has them (`cross-validate`), else the test split of its one bundle.

    Raises:
        InputError: the run holds neither, or its folds are not finished.
        LeakError: a bundle was trained on other rows than those it should have been.
    """
    cohort = folder.cohort()
    folds = sorted(folder.path.glob("folds-*"), key=lambda path: int(path.name.split("-")[1]))
    if folds:
        rows = cohort[cohort["split"].isin(("train", "val"))]
        parts = [_fold(path, rows) for path in _finished(folds[-1])]
        return f"out of fold, {len(parts)} folds", parts
    made = folder.bundle()
    predictions = folder.path / "predictions-test.csv"
    if not predictions.exists():
        raise InputError(
            f"'{folder.path}' holds neither folds nor test predictions: explanations are measured "
            "on images that the model has not seen; covid-cxr cross-validate makes such a run"
        )
    predicted = _predicted(predictions)
    rows = cohort[cohort["path"].isin(predicted)]
    _check_unseen(made, cohort[cohort["split"].isin(("train", "val"))], rows)
    return TEST_SPLIT, [HeldOutPart(made, rows, predicted)]


def cases(parts: list[HeldOutPart], root: Path, seed: int, images: int | None = None) -> list[Case]:
    """Return the images with drawn opacities, in a seeded order: those called COVID-19 first.

    Args:
        parts: as `held_out_parts` gives them.
        root: data root.
        seed: of the order.
        images: at most so many, sampled from all.

    Raises:
        CohortError: no opacity is drawn on any image.
    """
    annotated = [case for part in parts for case in _cases(part, root)]
    if not annotated:
        raise CohortError(
            f"no image has drawn opacities below '{root}': expected '{masks.FOLDER}/<image stem>/' "
            f"with {' or '.join(f'{name}.png' for name in masks.OPACITIES)} beside the folder of "
            f"the image, or phantoms with '{_PHANTOMS[0]}/'; name another --data"
        )
    annotated.sort(key=lambda case: case.path)
    order = np.random.default_rng(seed).permutation(len(annotated))[:images]
    return sorted((annotated[index] for index in order), key=lambda case: case.predicted != COVID)


def _cases(part: HeldOutPart, root: Path) -> Iterator[Case]:
    """Yield the images on which an opacity is drawn."""
    try:
        rows = masks.annotated(part.rows, root)
    except CohortError:  # no radiologist's mask: a fold without any, or phantoms
        rows = part.rows.assign(masks="")
    for row in rows.itertuples():
        if row.masks:
            opacities = masks.mask(root / str(row.masks), *masks.OPACITIES)
        else:
            opacities = _phantom_mask(root / _PHANTOMS[0], str(row.image_id))
        if opacities is None or not opacities.any():
            continue
        yield Case(
            path=str(row.path),
            sha256=str(row.sha256),
            patient=str(row.patient_id),
            finding=str(row.finding),
            predicted=part.predicted[str(row.path)],
            bundle=part.bundle,
            root=root,
            image_id=str(row.image_id),
            mask_folder=str(row.masks),
            opacities=opacities,
        )


def _finished(folds: Path) -> list[Path]:
    """Return the folders of all folds; `folds-5` must hold five."""
    paths = [folds / f"fold-{number + 1}" for number in range(int(folds.name.split("-")[1]))]
    for path in paths:
        if not (path / "predictions.csv").exists():
            raise InputError(
                f"'{path}' is not finished; the command that began the run continues it"
            )
        if not (path / "bundle").is_dir():
            raise InputError(f"'{path}' holds no bundle; train the folds again in another --out")
    return paths


def _fold(path: Path, rows: pd.DataFrame) -> HeldOutPart:
    made, predicted = bundle.load(path / "bundle"), _predicted(path / "predictions.csv")
    held_out = rows["path"].isin(predicted)
    _check_unseen(made, rows[~held_out], rows[held_out])
    return HeldOutPart(made, rows[held_out], predicted)


def _check_unseen(made: Bundle, training: pd.DataFrame, rows: pd.DataFrame) -> None:
    if training_sources(training) != made.manifest.training_data:
        raise LeakError(
            f"bundle {made.id} in '{made.folder}' was not trained on the rows that this run's "
            "cohort and predictions say, so that it may have seen the images it is to explain"
        )
    shared = set(training["patient_id"]) & set(rows["patient_id"])
    if shared:
        raise LeakError(f"patient '{min(shared)}' is among those that bundle {made.id} has seen")


def _predicted(path: Path) -> dict[str, str]:
    table = evaluation.read_predictions(path)
    return dict(zip(table["file"], table["predicted_class"].fillna(""), strict=True))


def _phantom_mask(folder: Path, image_id: str) -> BoolArray | None:
    path = folder / f"{image_id.split(':', 1)[-1]}.png"
    return imaging.read(path).pixels > 0.5 if path.is_file() else None


def _divide(lungs: BoolArray | None) -> Lungs | None:
    """Return a phantom's lungs as right and left, divided midway between them."""
    if lungs is None or not lungs.any():
        return None
    right = np.arange(lungs.shape[1]) < np.nonzero(lungs)[1].mean()
    return Lungs(lungs & right, lungs & ~right)
