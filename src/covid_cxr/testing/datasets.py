"""The rules for data set adapters, as tests that a plugin can inherit.

In a test of your own package, which registers "mine" under the entry point `covid_cxr.datasets`:

    class TestMine(DatasetContract):
        options = DatasetConfig(adapter="mine")

        def make(self, root: Path) -> None:
            ...  # write a tiny data set, at least two images of two patients
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import ClassVar

import pytest

from covid_cxr.cohort import datasets, labels
from covid_cxr.cohort.build import build
from covid_cxr.cohort.records import Record, view_of
from covid_cxr.config import CohortConfig, DatasetConfig, FilterConfig
from covid_cxr.errors import CohortError


class DatasetContract:
    """Inherit, set `options`, write `make`; the test methods below do the rest."""

    options: ClassVar[DatasetConfig]

    def make(self, root: Path) -> None:
        """Write a tiny data set of readable images (32 pixels a side or more) into `root`."""
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        folder = tmp_path / "set"
        folder.mkdir()
        self.make(folder)
        return folder

    @pytest.fixture
    def records(self, root: Path) -> list[Record]:
        return datasets.adapter(self.options.adapter)(root, self.options)

    def test_finds_several_images_of_several_patients(self, records: list[Record]) -> None:
        assert len(records) >= 2
        assert len({record.patient_id for record in records}) >= 2

    def test_ids_are_filled_and_images_unique(self, records: list[Record]) -> None:
        ids = [record.image_id for record in records]
        assert all(ids)
        assert len(set(ids)) == len(ids)
        assert all(record.patient_id.strip() for record in records)

    def test_paths_are_relative_and_inside(self, root: Path, records: list[Record]) -> None:
        for path in (PurePosixPath(record.path) for record in records):
            assert not path.is_absolute()
            assert ".." not in path.parts
        assert any((root / record.path).is_file() for record in records)

    def test_every_label_is_known(self, records: list[Record]) -> None:
        raws = [record.raw_finding for record in records]
        assert labels.resolve(raws, self.options.labels, self.options.adapter)

    def test_fields_hold_allowed_values(self, records: list[Record]) -> None:
        assert {record.sex for record in records} <= {"M", "F", ""}
        assert all(not record.age < 0 and not record.age > 120 for record in records)
        assert not any(math.isinf(record.offset) for record in records)
        assert all(record.view == view_of(record.view) for record in records)

    def test_boxes_have_an_area(self, records: list[Record]) -> None:
        boxes = [box for record in records for box in record.boxes]
        assert all(math.isfinite(sum(box)) for box in boxes)
        assert all(width > 0 and height > 0 for _, _, width, height in boxes)

    def test_a_record_an_image_file(self, records: list[Record]) -> None:
        paths = [record.path for record in records]
        assert len(set(paths)) == len(paths)

    def test_same_folder_gives_same_records(self, root: Path, records: list[Record]) -> None:
        again = datasets.adapter(self.options.adapter)(root, self.options)
        assert [repr(record) for record in again] == [repr(record) for record in records]

    def test_missing_folder_is_a_cohort_error(self, tmp_path: Path) -> None:
        with pytest.raises(CohortError, match="nowhere"):
            datasets.adapter(self.options.adapter)(tmp_path / "nowhere", self.options)

    def test_recognises_its_own_layout_only(self, root: Path, tmp_path: Path) -> None:
        recognise = datasets.recogniser(self.options.adapter)
        if recognise is None:
            pytest.skip(f"'{self.options.adapter}' is never recognised by layout")
        assert recognise(root)
        assert not recognise(tmp_path / "nowhere")
        others = [kind for kind in datasets.names() if kind != self.options.adapter]
        assert not any(other(root) for other in map(datasets.recogniser, others) if other)

    def test_builds_a_cohort_with_prefixed_ids(self, root: Path, tmp_path: Path) -> None:
        options = self.options.model_copy(update={"path": root.name})
        everyone = FilterConfig(paediatric_sources=True)
        config = CohortConfig(datasets={"mine": options}, filters=everyone)
        result = build(tmp_path, config, seed=0)
        assert result.cohort["image_id"].str.startswith("mine:").all()
        assert result.cohort["patient_id"].str.startswith("mine:").all()
        included = result.cohort[result.cohort["split"] != "excluded"]
        assert all((tmp_path / path).is_file() for path in included["path"])
