"""An image that was replaced after the cohort was built is not used with the old label."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import covid_cxr
from covid_cxr import imaging
from covid_cxr.audit.context import AuditContext
from covid_cxr.cohort import build
from covid_cxr.config import CohortConfig, DatasetConfig, PreprocessSpec, RunConfig
from covid_cxr.errors import AlteredImage
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import embed_cohort, predict_cohort
from covid_cxr.phantoms import write_cohort


@pytest.fixture(scope="module")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Return a data root and four rows of its cohort; since, the second image was replaced."""
    root = tmp_path_factory.mktemp("replaced")
    write_cohort(root, patients=20, seed=3, duplicates=0)
    config = CohortConfig(datasets={"ours": DatasetConfig(adapter="csv", path="manifest.csv")})
    cohort = build.build(root, config, 1).cohort
    rows = cohort[cohort["split"] == "train"].reset_index(drop=True).head(4)
    (root / rows["path"][1]).write_bytes((root / rows["path"][3]).read_bytes())
    return root, rows


def test_read_compares_the_bytes_that_it_decodes(replaced: tuple[Path, pd.DataFrame]):
    root, rows = replaced
    for row in rows.itertuples():
        if row.Index == 1:
            continue
        assert imaging.read(root / row.path, sha256=row.sha256).width == row.width
    with pytest.raises(AlteredImage) as error:
        imaging.read(root / rows["path"][1], sha256=rows["sha256"][1])
    message = str(error.value)
    assert str(root / rows["path"][1]) in message
    assert rows["sha256"][1][:12] in message  # expected
    assert rows["sha256"][3][:12] in message  # present
    assert "build the cohort again" in message
    assert "\n" not in message


def _train(root: Path, rows: pd.DataFrame, out: Path) -> object:
    from covid_cxr.training.inputs import preprocess_cohort

    return preprocess_cohort(rows, root, PreprocessSpec(size=32), out / "inputs.npy")


def _predict(root: Path, rows: pd.DataFrame, _: Path) -> object:
    return predict_cohort(Predictor(covid_cxr.default_bundle()), rows, root)


def _embed(root: Path, rows: pd.DataFrame, _: Path) -> object:
    return embed_cohort(Predictor(covid_cxr.default_bundle()), rows, root)


def _audit(root: Path, rows: pd.DataFrame, out: Path) -> object:
    datasets = {"ours": DatasetConfig(adapter="csv", path="manifest.csv")}
    config = RunConfig(name="tiny", data_root=str(root), cohort=CohortConfig(datasets=datasets))
    return AuditContext(out, config, rows, covid_cxr.default_bundle()).images


@pytest.mark.parametrize("use", [_train, _predict, _embed, _audit])
def test_every_use_of_a_cohort_stops_at_the_first_replaced_image(
    replaced: tuple[Path, pd.DataFrame],
    use: Callable[[Path, pd.DataFrame, Path], object],
    tmp_path: Path,
):
    root, rows = replaced
    with pytest.raises(AlteredImage, match=rows["path"][1]):
        use(root, rows, tmp_path)
    assert use(root, rows.drop(index=1).reset_index(drop=True), tmp_path) is not None
