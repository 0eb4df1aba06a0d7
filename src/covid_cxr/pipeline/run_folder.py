"""The run folder: where its files are, and what belongs to the same run."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig
from covid_cxr.errors import ConfigError, InputError
from covid_cxr.files import atomic_write, sha256_of
from covid_cxr.models import bundle
from covid_cxr.models.bundle import Bundle
from covid_cxr.results import AUDIT, METRICS, AuditResult, RunMetrics

_PACKAGES = ("covid-cxr", "numpy", "onnxruntime", "pydicom", "scikit-image", "torch", "lightning")


@dataclass(frozen=True)
class RunFolder:
    """One run on disk.

    Attributes:
        path: the folder.
        config: resolved, with the data root.
        command: how to do the run again, data root written as DATA.
    """

    path: Path
    config: RunConfig
    command: str

    @classmethod
    def create(cls, path: Path, config: RunConfig, data_root: Path, command: str) -> RunFolder:
        """Start a run in `path`, or continue the one that was started there with the same config.

        The settings of the audit may differ: they change no model and no score.

        Raises:
            ConfigError: the folder holds a run with another configuration.
        """
        resolved = config.model_copy(update={"data_root": str(data_root.resolve())})
        file = path / "config.json"
        if file.exists():
            _require_same_config(file, resolved)
        atomic_write(file, configuration.dump(resolved))
        folder = cls(path, resolved, command)
        if not (path / "environment.json").exists():
            folder.write_environment()
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that exists.

        Raises:
            InputError: the folder is no run.
        """
        if not (path / "config.json").exists():
            raise InputError(
                f"'{path}' is no run folder (no config.json); name one made by covid-cxr run or "
                "train"
            )
        environment = path / "environment.json"
        stored = json.loads(environment.read_text("utf-8")) if environment.exists() else {}
        return cls(path, configuration.load(path / "config.json"), stored.get("command", ""))

    @property
    def data_root(self) -> Path:
        """Folder that the cohort's paths are relative to."""
        return Path(self.config.data_root or ".")

    def cohort(self) -> pd.DataFrame:
        """Return the run's cohort, checked for leaks."""
        return schema.load(self.path / "cohort.csv")

    def put_cohort(self, cohort: pd.DataFrame) -> None:
        """Make `cohort` the run's, or check that it is.

        Raises:
            ConfigError: the run was begun on another cohort.
        """
        file = self.path / "cohort.csv"
        if not file.exists():
            schema.save(cohort, file)
            self.write_environment()
        elif not self.cohort().equals(cohort):
            raise ConfigError(
                f"'{self.path}' was begun on another cohort, and its model may have seen what is "
                "now test; choose another --out, or delete that folder"
            )

    @property
    def is_trained(self) -> bool:
        """Whether the bundle is finished: calibrated, checked, and validation predicted."""
        return self.predictions("val").exists()

    def predictions(self, split: str) -> Path:
        """Return where the predictions of a split are."""
        return self.path / f"predictions-{split}.csv"

    def bundle(self) -> Bundle:
        """Return the run's bundle, verified.

        Raises:
            InputError: it is not finished.
        """
        if not self.is_trained:
            raise InputError(
                f"'{self.path}' holds no finished bundle; repeat the command that started the run "
                "to continue"
            )
        return bundle.load(self.path / "bundle")

    @property
    def has_metrics(self) -> bool:
        """Whether anything was measured yet."""
        return (self.path / METRICS).exists()

    def metrics(self) -> RunMetrics:
        """Return `metrics.json`.

        Raises:
            InputError: there is none yet, or it is of another version.
        """
        return RunMetrics.read(self.path / METRICS)

    def write_metrics(self, metrics: RunMetrics) -> None:
        """Write `metrics.json`."""
        metrics.write(self.path / METRICS)

    def audit(self) -> AuditResult | None:
        """Return `audit.json`; None without an audit."""
        path = self.path / AUDIT
        return AuditResult.read(path) if path.exists() else None

    def write_environment(self) -> None:
        """Write `environment.json`, with the cohort's hash once there is a cohort."""
        cohort = self.path / "cohort.csv"
        environment = {
            "command": self.command,
            "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "seed": self.config.seed,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "packages": {name: _version(name) for name in _PACKAGES},
            "cohort_sha256": sha256_of(cohort) if cohort.exists() else None,
        }
        text = json.dumps(environment, indent=2, allow_nan=False)
        atomic_write(self.path / "environment.json", text + "\n")


def _require_same_config(file: Path, config: RunConfig) -> None:
    before = configuration.load(file).model_dump(mode="json")
    for key, value in config.model_dump(mode="json", exclude={"audit"}).items():
        if before.get(key) != value:
            raise ConfigError(
                f"'{file.parent}' holds a run whose '{key}' is {before.get(key)!r}, not {value!r}; "
                "choose another --out, or delete that folder"
            )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
