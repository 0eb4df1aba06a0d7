"""Public data sets by name, as `catalogue.yaml` lists them: address, licence, citation, steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import TypeAdapter

from covid_cxr.files import packaged


@dataclass(frozen=True)
class DataSet:
    """One set: `access` is "git" or "https" if a program may fetch it, else "steps".

    Attributes:
        where: address of the repository, the file or the page to start from.
        folder: what its folder in the data root is called; adapters recognise what it holds.
        gigabytes: of the download, 0 where nobody knows.
        steps: what to do by hand; `{data}` stands for the data root.
    """

    access: Literal["git", "https", "steps"]
    where: str
    folder: str
    license: str
    cite: str
    gigabytes: float = 0
    note: str = ""
    steps: tuple[str, ...] = ()


@cache
def catalogue() -> dict[str, DataSet]:
    """Return the sets under the names of their adapters."""
    listed = packaged(__package__, "catalogue.yaml")
    return TypeAdapter(dict[str, DataSet]).validate_python(listed)
