"""Tables of public data sets, as `metadata_tables.yaml` lists them: file, folder and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from covid_cxr.cohort.records import header_of, read_table
from covid_cxr.files import packaged


@dataclass(frozen=True)
class MetadataTable:
    """The table that describes a set's images.

    Attributes:
        file: name of the CSV in the set's folder.
        folder: of the images, beside the CSV.
        columns: those that are read; there may be others.
        encoding: of the CSV.
    """

    file: str
    folder: str
    columns: tuple[str, ...]
    encoding: str = "utf-8-sig"

    def lies_in(self, root: Path) -> bool:
        """Whether `root` holds the table with its columns, beside the folder of images."""
        header = header_of(root / self.file, self.encoding)
        return (root / self.folder).is_dir() and header.issuperset(self.columns)

    def rows(self, root: Path) -> list[Mapping[str, str]]:
        """Return the rows, every cell as text.

        Raises:
            CohortError: no table, a column missing or no rows.
        """
        table = read_table(root / self.file, self.columns, self.encoding)
        return cast("list[Mapping[str, str]]", table.to_dict("records"))


@cache
def metadata_table(name: str) -> MetadataTable:
    """Return the table of the set that the adapter `name` reads."""
    listed = packaged(__package__, "metadata_tables.yaml")
    return TypeAdapter(dict[str, MetadataTable]).validate_python(listed)[name]
