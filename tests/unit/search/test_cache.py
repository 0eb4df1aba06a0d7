"""What trials share is computed once, and is what it would be without sharing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_cxr.config import PreprocessSpec
from covid_cxr.inference.lungs import LungSegmenter
from covid_cxr.search.cache import TrainingCache
from covid_cxr.training.inputs import preprocess_cohort


def test_lungs_are_segmented_once_for_all_crops(
    phantoms: Path, phantom_cohort: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    development = phantom_cohort[phantom_cohort["split"] == "train"]
    rows = development.head(5).reset_index(drop=True)
    narrow, wide = (PreprocessSpec(size=32, lung_margin=margin) for margin in (0.02, 0.3))
    expected, _ = preprocess_cohort(rows, phantoms, wide, tmp_path / "expected.npy")
    first = TrainingCache(tmp_path / "cache", rows, phantoms).inputs(narrow)

    def never(*_: object) -> None:
        raise AssertionError("the lungs are known")

    monkeypatch.setattr(LungSegmenter, "outputs", never)
    # another object, as in another process
    second = TrainingCache(tmp_path / "cache", rows, phantoms).inputs(wide)
    np.testing.assert_array_equal(second, expected)
    assert not np.array_equal(first, second)
    assert not list((tmp_path / "cache").glob("*.part.npy"))


def test_lungs_are_stored_once_when_two_crops_are_made_at_a_time(
    phantoms: Path, phantom_cohort: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = phantom_cohort[phantom_cohort["split"] == "train"].head(5).reset_index(drop=True)
    passes: list[int] = []
    real = LungSegmenter.outputs

    def count(self: LungSegmenter, batch: np.ndarray, *names: str) -> list[np.ndarray]:
        passes.append(len(batch))
        return real(self, batch, *names)

    monkeypatch.setattr(LungSegmenter, "outputs", count)
    cache = TrainingCache(tmp_path / "cache", rows, phantoms)
    specs = [PreprocessSpec(size=32, lung_margin=margin) for margin in (0.02, 0.3)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(cache.inputs, specs))
    assert sum(passes) == len(rows)
    assert len(list((tmp_path / "cache").glob("lungs-*.npy"))) == 1
