"""Where each source of a cohort lies: named in the configuration, or recognised by layout."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from covid_cxr.cohort import datasets
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError

logger = logging.getLogger(__name__)


class Source(NamedTuple):
    """A data set on disk: its folder (for `csv` also the file) and how to read it."""

    root: Path
    options: DatasetConfig


def locate(data_root: Path, chosen: Mapping[str, DatasetConfig]) -> dict[str, Source]:
    """Return source name -> where it lies; all sets that are recognised if none are chosen.

    Raises:
        CohortError: a folder that is not there, nothing recognised, or two of one kind.
        UnknownName: no such adapter.
    """
    if not data_root.is_dir():
        raise CohortError(f"data root '{data_root}' is no folder; expected one with data sets")
    if chosen:
        return {name: _one(data_root, name, options) for name, options in chosen.items()}
    recognised = {
        kind: Source(root, DatasetConfig(adapter=kind))
        for kind in datasets.names()
        for root in _recognised(data_root, kind)
    }
    used = {source.root for source in recognised.values()}
    left = sorted(set(_folders(data_root)) - used)
    for folder in left:
        _check_misfit(folder)
    if not recognised:
        kinds = filter(datasets.recogniser, datasets.names())
        raise CohortError(
            f"'{data_root}' neither is nor holds a data set that is recognised by layout; looked "
            f"for {', '.join(kinds)}; name others in the configuration's datasets"
        )
    names = [folder.name for folder in left if folder != data_root]
    if names and data_root not in used:
        logger.warning("left out, as their layout is not recognised: %s", ", ".join(names))
    return recognised


def _check_misfit(folder: Path) -> None:
    """Raise for a folder with files of a set in a form that is not recognised."""
    misfits = {
        kind: wrong
        for kind in datasets.names()
        if (misfit := datasets.misfit(kind)) and (wrong := misfit(folder))
    }
    if misfits:
        kind = max(misfits, key=lambda kind: misfits[kind][0])
        raise CohortError(
            f"'{folder}' has files of a data set '{kind}', but {misfits[kind][1]}; correct it, "
            "move the folder away, or name the sets to use in the configuration's datasets"
        )


def _one(data_root: Path, name: str, options: DatasetConfig) -> Source:
    if options.path is not None:
        datasets.adapter(options.adapter)
        root = data_root / options.path
        if not root.exists():
            raise CohortError(f"source '{name}': '{root}' does not exist; correct its path")
        return Source(root, options)
    folders = _recognised(data_root, options.adapter)
    if not folders:
        raise CohortError(
            f"source '{name}': no folder in '{data_root}' has the layout of '{options.adapter}'; "
            f"give its path, datasets.{name}.path"
        )
    return Source(folders[0], options)


def _recognised(data_root: Path, kind: str) -> list[Path]:
    """Return the folder with the layout of `kind`, or nothing.

    Raises:
        CohortError: there are two.
    """
    recognise = datasets.recogniser(kind)
    folders = [folder for folder in _folders(data_root) if recognise and recognise(folder)]
    if len(folders) > 1:
        raise CohortError(
            f"'{folders[0]}' and '{folders[1]}' both have the layout of '{kind}'; name the one to "
            f"use in the configuration, datasets.{kind}.path"
        )
    return folders


def _folders(data_root: Path) -> list[Path]:
    inside = sorted(path for path in data_root.iterdir() if path.is_dir())
    # A disk's root holds folders such as lost+found that may not be read.
    return [data_root, *(path for path in inside if os.access(path, os.R_OK | os.X_OK))]
