"""Fixtures that several test files share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from covid_cxr.config import (
    AuditConfig,
    CohortConfig,
    DatasetConfig,
    EvaluationConfig,
    ExplainConfig,
    PreprocessSpec,
    RunConfig,
    TrainingConfig,
)
from support.shared_folders import once, session_folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data sets: $COVID_CXR_DATA, or `shared/datasets` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "datasets"
    folder = Path(os.environ.get("COVID_CXR_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data sets not at hand: '{folder}' is no folder; set COVID_CXR_DATA")
    return folder


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom cohort on disk, with its masks and manifest."""
    from covid_cxr.phantoms import write_cohort

    def fill(root: Path) -> None:
        write_cohort(root, patients=40, seed=1, duplicates=4)

    return once(tmp_path_factory, "phantoms", fill)


@pytest.fixture(scope="session")
def tiny_config() -> RunConfig:
    """A recipe that is over in seconds and learns next to nothing."""
    return RunConfig(
        name="tiny",
        model="efficientnet-lite0-stride16",
        cohort=CohortConfig(
            datasets={"phantoms": DatasetConfig(adapter="csv", path="manifest.csv")},
            train=0.5,
            val=0.25,
            test=0.25,
        ),
        preprocess=PreprocessSpec(size=64),
        training=TrainingConfig(max_epochs=1, batch_size=8),
        evaluation=EvaluationConfig(bootstrap=100),
        explain=ExplainConfig(examples=2, errors=0, montages=False, samples=20),
        audit=AuditConfig(budget="none"),
    )


@pytest.fixture(scope="session")
def graph_templates(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Trace every architecture once: see `support.graph_templates`."""
    import torch.onnx

    from support.graph_templates import GraphTemplates

    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    if cache is None:  # switched off
        folder = session_folder(tmp_path_factory) / "graph-templates"
        folder.mkdir(exist_ok=True)
    else:
        folder = cache.mkdir("graph-templates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", GraphTemplates(torch.onnx.export, folder))
        yield


@pytest.fixture(scope="session")
def tiny_run(
    phantoms: Path,
    tiny_config: RunConfig,
    tmp_path_factory: pytest.TempPathFactory,
    graph_templates: None,
) -> Path:
    """A finished run folder of the whole pipeline on the small cohort."""
    from covid_cxr import pipeline

    def fill(folder: Path) -> None:
        command = "covid-cxr run tiny.yaml --data DATA"
        pipeline.run(tiny_config, phantoms, folder / "tiny", command=command)

    return once(tmp_path_factory, "run", fill) / "tiny"


@pytest.fixture(scope="session")
def tiny_folds(
    phantoms: Path,
    tiny_config: RunConfig,
    tmp_path_factory: pytest.TempPathFactory,
    graph_templates: None,
) -> Path:
    """A run folder of two folds over the small cohort, without a bundle of its own."""
    from covid_cxr import pipeline
    from covid_cxr.cohort import build

    def fill(out: Path) -> None:
        folder = pipeline.RunFolder.create(out, tiny_config, phantoms, "covid-cxr train")
        build.write(build.build(phantoms, tiny_config.cohort, tiny_config.seed), out)
        pipeline.cross_validate(folder, 2)

    return once(tmp_path_factory, "folds", fill)
