"""Tables of public data sets, as `metadata_tables.yaml` lists them: file, folder and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from covid_cxr.cohort import patient_ids
from covid_cxr.cohort.tables import header_of, read_table
from covid_cxr.files import packaged


@dataclass(frozen=True)
class MetadataTable:
    """The table that describes a set's images.

    Attributes:
        file: name of the CSV in the set's folder.
        folder: of the images, beside the CSV.
        patient: the column of the patient's id.
        columns: those that are read; there may be others.
    """

    file: str
    folder: str
    patient: str
    columns: tuple[str, ...]

    def lies_in(self, root: Path) -> bool:
        """Whether `root` holds the table with its columns, beside the folder of images."""
        header = header_of(root / self.file, self.columns)
        return (root / self.folder).is_dir() and header.issuperset(self.columns)

    def misfit(self, root: Path) -> tuple[float, str] | None:
        """Return how much of the set `root` holds, in [0, 1], and what is wrong; None where little.

        A folder counts that holds the table and most of its columns, or the table beside the
        folder of images and one column: a table that is saved in a form that is not read.
        """
        file, folder = root / self.file, root / self.folder
        if not file.is_file():
            named = "/" in self.folder and folder.is_dir()  # no other set's folder is called so
            return (0.5, f"'{self.file}' is not beside '{self.folder}'") if named else None
        header = header_of(file, self.columns)
        missing = [column for column in self.columns if column not in header]
        share = 1 - len(missing) / len(self.columns)
        if not missing and folder.is_dir():
            return None
        if not missing:
            return share, f"there is no folder '{self.folder}' beside '{self.file}'"
        if share > 0.5 or (len(header) < 2 and folder.is_dir()):
            names = ", ".join(sorted(header)) or "no columns"
            return share, f"its table '{self.file}' lacks {', '.join(missing)}; it has {names}"
        return None

    def rows(self, root: Path) -> list[Mapping[str, str]]:
        """Return the rows, every cell as text, and no placeholder in the place of a patient.

        Raises:
            CohortError: no table, a column missing, no rows, or an id that was shortened.
        """
        table = read_table(root / self.file, self.columns)
        patient_ids.check(root / self.file, table, self.patient)
        patient_ids.warn_of_nobody(
            root / self.file, table[self.patient], self.patient, "a patient of its own"
        )
        table[self.patient] = table[self.patient].map(patient_ids.stated)
        return cast("list[Mapping[str, str]]", table.to_dict("records"))


@cache
def metadata_table(name: str) -> MetadataTable:
    """Return the table of the set that the adapter `name` reads."""
    listed = packaged(__package__, "metadata_tables.yaml")
    return TypeAdapter(dict[str, MetadataTable]).validate_python(listed)[name]
