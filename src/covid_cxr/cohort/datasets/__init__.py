"""Adapters: each turns a public or own data set's folder into records, one file an adapter.

An adapter module has `records(root, options) -> list[Record]` and, where its layout is
unmistakable, `recognise(root) -> bool`; where files of the set can lie there in a form that is not
recognised, `misfit(root)` says what is wrong. Hold a new one to `covid_cxr.testing.datasets`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from covid_cxr import registry

if TYPE_CHECKING:  # pandas stays unimported while names are only listed
    from covid_cxr.cohort.records import Adapter, Misfit, Recogniser

DATASETS: dict[str, str] = {
    "mila": "covid_cxr.cohort.datasets.mila:records",
    "figure1": "covid_cxr.cohort.datasets.figure1:records",
    "nih": "covid_cxr.cohort.datasets.nih:records",
    "rsna": "covid_cxr.cohort.datasets.rsna:records",
    "actualmed": "covid_cxr.cohort.datasets.actualmed:records",
    "hannover": "covid_cxr.cohort.datasets.hannover:records",
    "covid-cxnet": "covid_cxr.cohort.datasets.covid_cxnet:records",
    "kaggle-covid19": "covid_cxr.cohort.datasets.kaggle:records",
    "dicom": "covid_cxr.cohort.datasets.dicom:records",
    "folder": "covid_cxr.cohort.datasets.folder:records",
    "csv": "covid_cxr.cohort.datasets.manifest:records",
}
GROUP = "covid_cxr.datasets"


def names() -> list[str]:
    """Return the names of all adapters, installed plugins included; imports none of them."""
    return sorted(registry.names(DATASETS, GROUP))


def adapter(name: str) -> Adapter:
    """Return the `records` function of an adapter.

    Raises:
        UnknownName: no such adapter.
        InputError: a plugin's cannot be imported, or is no function of a folder and options.
    """
    entry = ("data set adapter", name, DATASETS, GROUP)
    found = registry.resolve(*entry)
    owner = registry.described(*entry)
    registry.check_parameters(found, 2, owner, "records(root, options) -> list[Record]")
    return cast("Adapter", found)


def recogniser(name: str) -> Recogniser | None:
    """Return `recognise` from the adapter's module, None where it has none.

    Raises:
        UnknownName: no such adapter.
    """
    module = import_module(adapter(name).__module__)
    return cast("Recogniser | None", getattr(module, "recognise", None))


def misfit(name: str) -> Misfit | None:
    """Return `misfit` from the adapter's module, None where it has none.

    Raises:
        UnknownName: no such adapter.
    """
    return cast("Misfit | None", getattr(import_module(adapter(name).__module__), "misfit", None))
