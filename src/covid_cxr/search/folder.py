"""The folder of a search: its settings, its images and its studies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from filelock import FileLock

from covid_cxr.cohort import schema
from covid_cxr.cohort.splits.grouped import grouped_folds
from covid_cxr.errors import ConfigError, InputError
from covid_cxr.files import atomic_write
from covid_cxr.search.cache import TrainingCache
from covid_cxr.search.objective import Rows, Scorer
from covid_cxr.search.settings import SearchConfig
from covid_cxr.search.storage import open_storage
from covid_cxr.search.study import prepare
from covid_cxr.training.run import development_rows

SETTINGS, STUDY, COHORT = "search.json", "study.sqlite", "cohort.csv"
# what may change when a search is taken up again
_FREE = frozenset({"trials", "heartbeat", "prune"})


@dataclass(frozen=True)
class SearchFolder:
    """A search on disk.

    Attributes:
        path: of the folder.
        search: its settings.
        data_root: folder that the cohort's paths are relative to.
        nested: outer folds; 0 for none.
        storage: URL of the store.
    """

    path: Path
    search: SearchConfig
    data_root: Path
    nested: int
    storage: str

    @classmethod
    def create(
        cls,
        path: Path,
        search: SearchConfig,
        cohort: pd.DataFrame,
        *,
        data_root: Path,
        nested: int = 0,
        storage: str | None = None,
    ) -> SearchFolder:
        """Begin a search in `path`, or continue the one that was begun there.

        Only train and val rows are written: no test image can be named by a trial.

        Raises:
            ConfigError: the folder holds a search with other settings or another cohort.
        """
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / ".lock"):
            _require_same(path, search)
            rows = development_rows(cohort)
            if (path / COHORT).exists() and not schema.load(path / COHORT).equals(rows):
                raise ConfigError(f"'{path}' holds a search on another cohort; give another --out")
            if rows.empty:
                raise InputError("the cohort has no train or val rows, expected some to search on")
            schema.save(rows, path / COHORT)
            raw = {
                "search": search.model_dump(mode="json"),
                "data_root": str(data_root.resolve()),
                "nested": nested,
            }
            atomic_write(path / SETTINGS, json.dumps(raw, indent=2) + "\n")
        return cls(path, search, data_root, nested, storage or _default_url(path))

    @classmethod
    def open(cls, path: Path, storage: str | None = None) -> SearchFolder:
        """Open a search that was begun.

        Raises:
            InputError: the folder holds none.
        """
        if not (path / SETTINGS).exists():
            raise InputError(
                f"'{path}' is no search (no {SETTINGS}); name the --out of covid-cxr search"
            )
        raw = json.loads((path / SETTINGS).read_text("utf-8"))
        search = SearchConfig.model_validate(raw["search"])
        url = storage or _default_url(path)
        return cls(path, search, Path(raw["data_root"]), raw["nested"], url)

    def studies(self) -> list[tuple[optuna.Study, Scorer]]:
        """Open the study and, for a nested estimate, one for each outer fold."""
        storage = open_storage(self.storage, self.search.heartbeat)
        rows = schema.load(self.path / COHORT)
        cache = TrainingCache(self.path / "cache", rows, self.data_root)
        parts = [(self.search.name, np.arange(len(rows)))]
        for number, (inner, _) in enumerate(self.outer_folds(rows), start=1):
            parts.append((f"{self.search.name}-nested-{number}-of-{self.nested}", inner))
        with FileLock(self.path / ".lock"):
            return [
                (
                    prepare(storage, name, self.search, _identity(self.search, rows.iloc[chosen])),
                    Scorer(self.search.objective, cache, chosen),
                )
                for name, chosen in parts
            ]

    def outer_folds(self, rows: pd.DataFrame) -> list[tuple[Rows, Rows]]:
        """Return the rows that each nested study may use, and those that its choice is scored on.

        Patients and duplicates are on one side.
        """
        if not self.nested:
            return []
        fold = grouped_folds(rows, self.nested, self.search.seed).to_numpy()
        numbers = range(self.nested)
        return [(np.flatnonzero(fold != n), np.flatnonzero(fold == n)) for n in numbers]


def _identity(search: SearchConfig, rows: pd.DataFrame) -> str:
    """Return a hash of what makes trials comparable: settings and images."""
    raw = search.model_dump(mode="json", exclude=set(_FREE))
    text = json.dumps(raw, sort_keys=True) + "\n".join(rows["image_id"] + rows["sha256"])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write_rows(rows: pd.DataFrame, path: Path) -> None:
    if path.exists() and path.read_text("utf-8") != rows.to_csv(index=False, lineterminator="\n"):
        raise ConfigError(f"'{path}' is of another cohort; give another --out")
    schema.save(rows, path)


def _require_same(path: Path, search: SearchConfig) -> None:
    if not (path / SETTINGS).exists():
        return
    before = SearchFolder.open(path).search.model_dump(mode="json", exclude=set(_FREE))
    now = search.model_dump(mode="json", exclude=set(_FREE))
    differs = _first_difference(before, now)
    if differs:
        raise ConfigError(
            f"'{path}' holds a search with other settings: {differs}; give another --out"
        )


def _first_difference(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Return "trials is 20, was 50" of the first value that differs; "" where none does."""
    for key in [*before, *(key for key in now if key not in before)]:
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            inner = _first_difference(old, new)
            if inner:
                return f"{key}.{inner}"
        elif old != new:
            return f"{key} is {new}, was {old}"
    return ""


def _default_url(path: Path) -> str:
    return f"sqlite:///{path.resolve() / STUDY}"
