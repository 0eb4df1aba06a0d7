"""A shortcut marks every image with COVID-19 and no other, and changes nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr.phantoms import write_cohort

SHORTCUTS = ("marker", "border", "resolution")


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for shortcut in ("none", *SHORTCUTS):
        folders[shortcut] = tmp_path_factory.mktemp(shortcut)
        write_cohort(folders[shortcut], patients=5, seed=1004, shortcut=shortcut, duplicates=0)
    return folders


def rows(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "manifest.csv")


def pixels(root: Path, path: str) -> np.ndarray:
    return np.asarray(Image.open(root / path))


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_only_covid_is_changed(cohorts: dict[str, Path], shortcut: str) -> None:
    plain, injected = cohorts["none"], cohorts[shortcut]
    assert rows(plain).equals(rows(injected))
    assert set(rows(injected)["finding"]) > {"covid-19"}
    for row in rows(injected).itertuples():
        same = (plain / row.path).read_bytes() == (injected / row.path).read_bytes()
        assert same == (row.finding != "covid-19")


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_the_lungs_are_left_alone(cohorts: dict[str, Path], shortcut: str) -> None:
    for row in rows(cohorts[shortcut]).itertuples():
        before, after = (pixels(cohorts[which], row.path) for which in ("none", shortcut))
        lungs = pixels(cohorts[shortcut], f"masks/lungs/{row.image_id}.png").astype(bool)
        assert lungs.shape == after.shape
        if shortcut != "resolution":
            # a plate in the corner may touch the tip of a large lung
            assert (before[lungs] != after[lungs]).mean() < 0.01


def test_what_each_tie_does(cohorts: dict[str, Path]) -> None:
    path = rows(cohorts["none"]).query("finding == 'covid-19'")["path"].iloc[0]
    plain = pixels(cohorts["none"], path)
    height, width = plain.shape
    marked = pixels(cohorts["marker"], path) != plain
    assert marked[: height // 2].sum() == marked[:, width // 2 :].sum() == 0 < marked.sum()
    barred = pixels(cohorts["border"], path)
    assert not barred[-round(0.03 * height) :].any()
    assert pixels(cohorts["resolution"], path).shape == (round(height / 2), round(width / 2))
