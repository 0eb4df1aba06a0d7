"""The functions of the public API; `import covid_cxr` gives them, and the command line calls them.

Importing this module imports nothing heavy: each function imports what it needs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from covid_cxr.errors import ConfigError, InputError

if TYPE_CHECKING:
    import pandas as pd

    from covid_cxr.cohort.build import CohortResult
    from covid_cxr.config import RunConfig
    from covid_cxr.config.audit import Budget
    from covid_cxr.inference.model import Model
    from covid_cxr.inference.predictor import ForProcessing
    from covid_cxr.models.bundle import Bundle
    from covid_cxr.results import AuditResult, RunMetrics

    Location = str | os.PathLike[str]

_MOST_THREADS = 1024


def load(
    bundle: Location | None = None,
    threads: int | None = None,
    for_processing: ForProcessing = "assess",
) -> Model:
    """Open a model, ready to predict.

    Args:
        bundle: folder or zip of a bundle; None for the one that ships in the package.
        threads: CPU threads, 1 to 1024; None for all cores.
        for_processing: "assess" DICOM images that hold detector values before any processing for
            display, with a flag, or "abstain" from them.

    Raises:
        BundleError: not a bundle, damaged, or of an incompatible version.
        InputError: `bundle` is no path, or another argument is out of range.

    >>> import covid_cxr
    >>> model = covid_cxr.load(threads=1)
    >>> model.bundle.manifest.task
    'binary'
    """
    from covid_cxr.inference.model import Model
    from covid_cxr.models import bundle as bundles

    if threads is not None and (type(threads) is not int or not 1 <= threads <= _MOST_THREADS):
        raise InputError(f"threads is {threads!r}, expected 1 to {_MOST_THREADS}, or None")
    if for_processing not in ("assess", "abstain"):
        raise InputError(f"for_processing is {for_processing!r}, expected 'assess' or 'abstain'")
    opened = default_bundle() if bundle is None else bundles.load(_path(bundle, "bundle"))
    return Model(opened, threads, for_processing)


def default_bundle() -> Bundle:
    """Open the bundle that ships in the package.

    Raises:
        BundleError: it is damaged.

    >>> import covid_cxr
    >>> sorted(source.source for source in covid_cxr.default_bundle().manifest.training_data)
    ['covid-cxnet', 'figure1', 'mila', 'nih']
    """
    from covid_cxr.models import bundle as bundles

    return bundles.load(Path(__file__).parent / "bundles" / "default")


def explainers() -> dict[str, str]:
    """Return the explanation methods, built in and of installed plugins: name -> description.

    >>> import covid_cxr
    >>> "lime" in covid_cxr.explainers()
    True
    """
    from covid_cxr import explain, registry

    return registry.summaries(explain.EXPLAINERS, explain.GROUP)


def datasets() -> dict[str, str]:
    """Return the data sets that can be read, built in and of plugins: name -> description.

    >>> import covid_cxr
    >>> covid_cxr.datasets()["dicom"]
    'DICOM files in any nesting, and a CSV that labels them.'
    """
    from covid_cxr import registry
    from covid_cxr.cohort import datasets as adapters

    return registry.summaries(adapters.DATASETS, adapters.GROUP, of_module=True)


def architectures() -> dict[str, str]:
    """Return the networks that can be trained, built in and of plugins: name -> description.

    >>> import covid_cxr
    >>> "efficientnet-lite0" in covid_cxr.architectures()
    True
    """
    from covid_cxr import registry
    from covid_cxr.models import zoo

    return registry.summaries(zoo.ARCHITECTURES, zoo.GROUP)


def audit_checks() -> dict[str, str]:
    """Return the checks of the shortcut audit, built in and of plugins: name -> its question.

    >>> import covid_cxr
    >>> covid_cxr.audit_checks()["leak"]
    'Is a patient or a copy of an image in two splits?'
    """
    from covid_cxr.audit import checks
    from covid_cxr.audit.verdicts import descriptions

    own = descriptions()
    return {
        name: own[name]["question"] if name in own else checks.get(name).question
        for name in checks.names()
    }


def build_cohort(
    data: Location,
    out: Location,
    *,
    config: Location | RunConfig | None = None,
    settings: Sequence[str] = (),
    processes: int = 1,
) -> CohortResult:
    """Build a cohort: one table of all images, with labels and splits that keep patients whole.

    Writes cohort.csv, attrition.csv (why rows were left out), duplicates.csv and more. Called again
    it reads only files that are new or have changed.

    Args:
        data: data root, the folder that holds the data sets.
        out: folder for the tables; made where missing.
        config: YAML file or RunConfig whose `cohort` section is used; None for the defaults.
        settings: changes to it, as "cohort.val=0.1".
        processes: processes that read images. With more than one, a script needs
            `if __name__ == "__main__":`.

    Raises:
        CohortError: no data set is recognised, or one lacks what it must have.
        ConfigError: the configuration does not validate.
        LeakError: a fixed list of splits divides a patient.

    >>> import covid_cxr, tempfile
    >>> from covid_cxr.phantoms import write_cohort
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_cohort(folder / "data", patients=5, seed=1, duplicates=0)
    >>> dataset = "cohort.datasets={ours: {adapter: csv, path: manifest.csv}}"
    >>> shares = ["cohort.train=0.4", "cohort.val=0.3", "cohort.test=0.3"]
    >>> result = covid_cxr.build_cohort(
    ...     folder / "data", folder / "cohort", settings=[dataset, *shares]
    ... )
    >>> sorted(set(result.cohort["split"]) - {"excluded"})
    ['test', 'train', 'val']
    """
    from covid_cxr.cohort import build, inventory

    chosen, folder = _config(config, settings), _path(out, "out")
    result = build.build(
        _data_root(data, None),
        chosen.cohort,
        chosen.seed,
        files=folder / inventory.NAME,
        max_pixels=chosen.preprocess.max_pixels,
        processes=processes,
    )
    build.write(result, folder)
    return result


def train_run(
    config: Location | RunConfig,
    cohort: Location | pd.DataFrame,
    out: Location,
    *,
    data: Location | None = None,
    settings: Sequence[str] = (),
    command: str = "covid_cxr.train_run",
) -> Bundle:
    """Train a model on a cohort and calibrate it; the test split is not read.

    Called again with the same arguments, it continues or returns the bundle that is there.

    Args:
        config: YAML file or RunConfig: the recipe.
        cohort: cohort.csv, or the table it holds.
        out: run folder, which `evaluate_run` and `audit_run` take.
        data: data root, the folder that the cohort's paths are relative to; None for the
            configuration's.
        settings: changes to the configuration, as "training.max_epochs=5".
        command: how to repeat it; goes into the bundle's manifest and card.

    Returns:
        The bundle, which `covid_cxr.load(bundle.folder)` opens as a model.

    Raises:
        ConfigError: the configuration does not validate, or the folder holds another run.
        CohortError: the cohort cannot be trained on.
        LeakError: a patient of the cohort is in two splits.
        MissingDependency: the `train` extra is not installed.
    """
    import pandas as pd

    from covid_cxr import pipeline
    from covid_cxr.cohort import schema

    chosen = _config(config, settings)
    root = _data_root(data, chosen.data_root)
    table = cohort if isinstance(cohort, pd.DataFrame) else schema.load(_path(cohort, "cohort"))
    folder = pipeline.RunFolder.create(_path(out, "out"), chosen, root, command)
    folder.put_cohort(table)
    return pipeline.train(folder)


def evaluate_run(run: Location, *, prevalence: float | None = None) -> RunMetrics:
    """Evaluate a run's model on its test split and write its report.

    Each call reads the test split once more, which the run records.

    Args:
        run: folder of `train_run`.
        prevalence: share of COVID-19 to report predictive values for too, in (0, 1).

    Returns:
        What metrics.json holds: scores with 95 % intervals, pooled and per source.

    Raises:
        InputError: the folder holds no trained run.
        ConfigError: the prevalence is out of range.
    """
    from covid_cxr import pipeline

    folder = pipeline.RunFolder.open(_path(run, "run"))
    return pipeline.evaluate(folder, prevalence=prevalence).metrics()


def audit_run(
    run: Location, *, budget: Budget | None = None, only: Sequence[str] = ()
) -> AuditResult:
    """Audit a run for shortcuts: does its model read the disease, or the data set?

    Reads training and validation images, never the test split.

    Args:
        run: folder of `train_run`.
        budget: "quick" fits linear models, "full" also retrains; None for what the run's
            configuration says.
        only: names of checks, of `audit_checks()`; empty for all.

    Returns:
        What audit.json holds: the verdict, and each check's findings.

    Raises:
        InputError: the folder holds no trained run.
        UnknownName: no such check.
    """
    from covid_cxr import pipeline

    if budget not in (None, "quick", "full"):
        raise InputError(f"budget is {budget!r}, expected 'quick', 'full' or None")
    only = [only] if isinstance(only, str) else only
    return pipeline.audit(pipeline.RunFolder.open(_path(run, "run")), budget=budget, only=only)


def _path(value: Location, name: str) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InputError(f"{name} is {value!r:.50}, expected the path of a file or folder")
    return Path(value)


def _config(config: Location | RunConfig | None, settings: Sequence[str]) -> RunConfig:
    from covid_cxr import config as configuration

    if config is not None and not isinstance(config, configuration.RunConfig):
        config = _path(config, "config")
    return configuration.load(config, [settings] if isinstance(settings, str) else settings)


def _data_root(given: Location | None, configured: str | None) -> Path:
    chosen = configured if given is None else given
    if chosen is None:
        raise ConfigError("no data root: give data, or data_root in the configuration")
    root = _path(chosen, "data")
    if not root.is_dir():
        raise InputError(f"data root '{root}' is no folder; name the one with the data sets")
    return root
