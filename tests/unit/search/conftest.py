"""A cohort of phantoms and a search over a recipe that is quick to fit."""

from pathlib import Path

import pandas as pd
import pytest

from covid_cxr.cohort import build, schema
from covid_cxr.config import AugmentConfig, RunConfig, TrainingConfig
from covid_cxr.search import ObjectiveConfig, SearchConfig
from support.shared_folders import once


@pytest.fixture(scope="session")
def phantom_cohort(
    phantoms: Path, tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    """The rows of the small cohort, test split included."""

    def fill(folder: Path) -> None:
        build.write(build.build(phantoms, tiny_config.cohort, tiny_config.seed), folder)

    return schema.load(once(tmp_path_factory, "search-cohort", fill) / "cohort.csv")


@pytest.fixture
def probe(tiny_config: RunConfig) -> SearchConfig:
    """A search over a linear probe at 64 pixels."""
    recipe = tiny_config.model_copy(
        update={
            "training": TrainingConfig(method="linear-probe"),
            "augment": AugmentConfig(rotation=0),
        }
    )
    return SearchConfig(
        name="probe",
        recipe=recipe,
        objective=ObjectiveConfig(kind="out-of-fold", folds=3, repeats=2),
        trials=5,
        heartbeat=1,
        space={
            "training.ridge_alpha": {"type": "float", "low": 0.01, "high": 100, "log": True},
            "augment.flip": {"type": "choice", "values": [0.0, 0.5]},
        },
    )
