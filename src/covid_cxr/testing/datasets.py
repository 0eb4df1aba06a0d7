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
from covid_cxr.cohort.cells import view_of
from covid_cxr.cohort.records import Record
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
        patients = {record.patient_id for record in records}
        found = f"{len(records)} records of {len(patients)} patients, expected at least 2 of 2"
        assert min(len(records), len(patients)) >= 2, found

    def test_ids_are_filled_and_images_unique(self, records: list[Record]) -> None:
        ids = [record.image_id for record in records]
        assert all(ids), f"{ids.count('')} of {len(ids)} image ids are empty"
        twice = sorted({name for name in ids if ids.count(name) > 1})
        assert not twice, f"{len(twice)} image ids are used more than once, such as '{twice[0]}'"
        nobody = [record.image_id for record in records if not record.patient_id.strip()]
        assert not nobody, f"{len(nobody)} images have no patient_id, such as '{nobody[0]}'"

    def test_paths_are_relative_and_inside(self, root: Path, records: list[Record]) -> None:
        for path in (PurePosixPath(record.path) for record in records):
            inside = not path.is_absolute() and ".." not in path.parts
            assert inside, f"path '{path}' is not relative to the folder and inside it"
        files = sum((root / record.path).is_file() for record in records)
        assert files, f"none of {len(records)} paths is a file below the folder"

    def test_every_label_is_known(self, records: list[Record]) -> None:
        raws = [record.raw_finding for record in records]
        assert labels.resolve(raws, self.options.labels, self.options.adapter)

    def test_fields_hold_allowed_values(self, records: list[Record]) -> None:
        wrong = {record.sex for record in records} - {"M", "F", ""}
        assert not wrong, f"sexes {sorted(wrong)}, expected M, F or ''"
        ages = [record.age for record in records if record.age < 0 or record.age > 120]
        assert not ages, f"ages {ages}, expected 0 to 120 years or NaN"
        offsets = sum(math.isinf(record.offset) for record in records)
        assert not offsets, f"{offsets} offsets are infinite, expected days or NaN"
        views = sorted({record.view for record in records if record.view != view_of(record.view)})
        assert not views, f"views {views}, expected them as view_of() returns them"

    def test_boxes_have_an_area(self, records: list[Record]) -> None:
        boxes = [box for record in records for box in record.boxes]
        wrong = [box for box in boxes if not math.isfinite(sum(box)) or min(box[2:]) <= 0]
        assert not wrong, (
            f"{len(wrong)} of {len(boxes)} boxes, such as {wrong[0]}, are not finite with a width "
            "and height above 0"
        )

    def test_a_record_an_image_file(self, records: list[Record]) -> None:
        paths = [record.path for record in records]
        assert len(set(paths)) == len(paths), (
            f"{len(paths)} records name {len(set(paths))} files, expected one record a file"
        )

    def test_same_folder_gives_same_records(self, root: Path, records: list[Record]) -> None:
        again = datasets.adapter(self.options.adapter)(root, self.options)
        pairs = zip(map(repr, again), map(repr, records), strict=False)
        unequal = abs(len(again) - len(records)) + sum(one != other for one, other in pairs)
        assert unequal == 0, f"{unequal} of {len(records)} records differ on a second call"

    def test_missing_folder_is_a_cohort_error(self, tmp_path: Path) -> None:
        with pytest.raises(CohortError, match="nowhere"):
            datasets.adapter(self.options.adapter)(tmp_path / "nowhere", self.options)

    def test_recognises_its_own_layout_only(self, root: Path, tmp_path: Path) -> None:
        recognise = datasets.recogniser(self.options.adapter)
        if recognise is None:
            pytest.skip(f"'{self.options.adapter}' is never recognised by layout")
        assert recognise(root), "recognise() is False for the adapter's own folder"
        assert not recognise(tmp_path / "nowhere"), "recognise() is True for a missing folder"
        others = {
            name: datasets.recogniser(name)
            for name in datasets.names()
            if name != self.options.adapter
        }
        also = [name for name, other in others.items() if other and other(root)]
        assert not also, f"adapters {also} recognise the folder too; make recognise() differ"

    def test_builds_a_cohort_with_prefixed_ids(self, root: Path, tmp_path: Path) -> None:
        options = self.options.model_copy(update={"path": root.name})
        everyone = FilterConfig(paediatric_sources=True)
        config = CohortConfig(datasets={"mine": options}, filters=everyone)
        result = build(tmp_path, config, seed=0)
        for column in ("image_id", "patient_id"):
            plain = int((~result.cohort[column].str.startswith("mine:")).sum())
            assert plain == 0, f"{plain} values of {column} lack the source's prefix 'mine:'"
        included = result.cohort[result.cohort["split"] != "excluded"]
        missing = [path for path in included["path"] if not (tmp_path / path).is_file()]
        assert not missing, f"{len(missing)} of {len(included)} included images are missing"
