"""The films of an evaluation: where they lie, what was drawn on them, and who explains them.

Every film is explained by a bundle that has seen neither it nor its patient. That is checked, not
assumed: a bundle's manifest holds the hashes of the films it was trained on.
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
from covid_cxr.models.bundle import Bundle, training_sources
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.types import COVID, BoolArray, Lungs

_PHANTOMS = "masks/opacities", "masks/lungs"  # of `images.phantom.write_cohort`


@dataclass(frozen=True)
class Part:
    """Films that one bundle has not seen.

    Attributes:
        made: the bundle.
        unseen: rows of the cohort.
        called: path -> predicted class.
    """

    made: Bundle
    unseen: pd.DataFrame
    called: dict[str, str]


@dataclass(frozen=True, eq=False)
class Case:
    """One film with opacities drawn on it.

    Attributes:
        path: in the cohort.
        patient: its id.
        finding: of the cohort.
        called: the class that the model, which has not seen the film, predicts.
        made: that model.
        root: data root.
        image_id: in the cohort.
        drawn: folder of the radiologists' masks below `root`; "" for a phantom.
    """

    path: str
    patient: str
    finding: str
    called: str
    made: Bundle
    root: Path
    image_id: str
    drawn: str

    @cached_property
    def opacities(self) -> BoolArray | None:
        """Opacities (H, W); None where none is drawn."""
        if self.drawn:
            found = masks.mask(self.root / self.drawn, *masks.OPACITIES)
        else:
            found = _phantom(self.root / _PHANTOMS[0], self.image_id)
        return found if found is not None and found.any() else None

    @cached_property
    def lungs(self) -> Lungs | None:
        """Both lungs as drawn; None where one of them is not.

        The lung network that ships was trained on these very films, so that its answer here would
        be better than elsewhere; the radiologist's own is what it was meant to say.
        """
        if not self.drawn:
            return _halves(_phantom(self.root / _PHANTOMS[1], self.image_id))
        right, left = (masks.mask(self.root / self.drawn, each) for each in masks.LUNGS)
        return None if right is None or left is None else Lungs(right, left)

    @property
    def is_covid_called_covid(self) -> bool:
        return self.finding == COVID and self.called == COVID


def parts(folder: RunFolder) -> tuple[str, list[Part]]:
    """Return how the films were left out, in words, and the parts of the run.

    Folds where the run has them (`train --folds`), else the test split of its one bundle.

    Raises:
        InputError: the run holds neither, or its folds are not finished.
        LeakError: a bundle was trained on other rows than those it should have been.
    """
    cohort = folder.cohort()
    folds = sorted(folder.path.glob("folds-*"), key=lambda each: int(each.name.split("-")[1]))
    if folds:
        seen = cohort[cohort["split"].isin(("train", "val"))]
        found = [_fold(each, seen) for each in _finished(folds[-1])]
        return f"out of fold, {len(found)} folds", found
    made = folder.bundle()
    answers = folder.path / "predictions-test.csv"
    if not answers.exists():
        raise InputError(
            f"'{folder.path}' holds neither folds nor test predictions: explanations are measured "
            "on films that the model has not seen; covid-cxr train --folds 5 makes such a run"
        )
    called = _called(answers)
    unseen = cohort[cohort["path"].isin(called)]
    _check_unseen(made, cohort[cohort["split"].isin(("train", "val"))], unseen)
    return "test split", [Part(made, unseen, called)]


def cases(found: list[Part], root: Path, seed: int, films: int | None = None) -> list[Case]:
    """Return the films with drawn opacities, in a seeded order: those called COVID-19 first.

    Args:
        found: as `parts` gives them.
        root: data root.
        seed: of the order.
        films: at most so many, drawn from all.

    Raises:
        CohortError: no opacity is drawn on any film.
    """
    drawn = [each for part in found for each in _drawn(part, root) if each.opacities is not None]
    if not drawn:
        raise CohortError(
            f"no film has drawn opacities below '{root}': expected '{masks.FOLDER}/<image stem>/' "
            f"with {' or '.join(f'{each}.png' for each in masks.OPACITIES)} beside the folder of "
            f"the image, or phantoms with '{_PHANTOMS[0]}/'; name another --data"
        )
    drawn.sort(key=lambda each: each.path)
    order = np.random.default_rng(seed).permutation(len(drawn))[:films]
    return sorted((drawn[place] for place in order), key=lambda each: each.called != COVID)


def _drawn(part: Part, root: Path) -> Iterator[Case]:
    try:
        rows = masks.annotated(part.unseen, root)
    except CohortError:  # no radiologist's mask: a fold without any, or phantoms
        rows = part.unseen.assign(masks="")
    for row in rows.itertuples():
        yield Case(
            path=str(row.path),
            patient=str(row.patient_id),
            finding=str(row.finding),
            called=part.called[str(row.path)],
            made=part.made,
            root=root,
            image_id=str(row.image_id),
            drawn=str(row.masks),
        )


def _finished(folds: Path) -> list[Path]:
    """Return the folders of all folds; `folds-5` must hold five."""
    found = [folds / f"fold-{number + 1}" for number in range(int(folds.name.split("-")[1]))]
    for fold in found:
        if not (fold / "predictions.csv").exists():
            raise InputError(f"'{fold}' is not finished; the command that began the run goes on")
        if not (fold / "bundle").is_dir():
            raise InputError(f"'{fold}' holds no bundle; train the folds again in another --out")
    return found


def _fold(fold: Path, seen: pd.DataFrame) -> Part:
    made, called = bundle.load(fold / "bundle"), _called(fold / "predictions.csv")
    left_out = seen["path"].isin(called)
    _check_unseen(made, seen[~left_out], seen[left_out])
    return Part(made, seen[left_out], called)


def _check_unseen(made: Bundle, trained: pd.DataFrame, unseen: pd.DataFrame) -> None:
    if training_sources(trained) != made.manifest.training_data:
        raise LeakError(
            f"bundle {made.id} in '{made.folder}' was not trained on the rows that this run's "
            "cohort and predictions say, so that it may have seen the films it is to explain"
        )
    shared = set(trained["patient_id"]) & set(unseen["patient_id"])
    if shared:
        raise LeakError(f"patient '{min(shared)}' is among those that bundle {made.id} has seen")


def _called(answers: Path) -> dict[str, str]:
    table = evaluation.read_predictions(answers)
    return dict(zip(table["file"], table["predicted_class"].fillna(""), strict=True))


def _phantom(folder: Path, image_id: str) -> BoolArray | None:
    path = folder / f"{image_id.split(':', 1)[-1]}.png"
    return imaging.read(path).pixels > 0.5 if path.is_file() else None


def _halves(lungs: BoolArray | None) -> Lungs | None:
    """Take a phantom's lungs apart between them."""
    if lungs is None or not lungs.any():
        return None
    right = np.arange(lungs.shape[1]) < np.nonzero(lungs)[1].mean()
    return Lungs(lungs & right, lungs & ~right)
