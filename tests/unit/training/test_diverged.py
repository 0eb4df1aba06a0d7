"""What is not finite, and rows that lack a class, end as one line before a bundle is written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from covid_cxr.cohort.splits.hold_out import HoldOut
from covid_cxr.config import EvaluationConfig, RunConfig, TrainingConfig
from covid_cxr.errors import CohortError, TrainingError
from covid_cxr.models import zoo
from covid_cxr.training import hold_out_validation, run
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.experiment import fit
from covid_cxr.training.export import CalibrationSet, calibrate, export
from covid_cxr.training.linear_probe import require_classes_out_of_fold
from covid_cxr.training.module import TrainingModule
from covid_cxr.types import Prediction

MODEL = "efficientnet-lite0-stride16"


def data_of(images: int = 8) -> TrainingData:
    rows, rng = np.arange(images), np.random.default_rng(0)
    pixels = rng.random((images, 1, 64, 64)).astype(np.float16)
    return TrainingData(pixels, rows % 2, rows[: images // 2], rows[images // 2 :])


def test_a_learning_rate_that_diverges_is_an_error(tmp_path: Path) -> None:
    training = TrainingConfig(learning_rate=1e30, max_epochs=3, batch_size=2)
    config = RunConfig(model=MODEL, training=training)
    with pytest.raises(TrainingError, match=r"diverged: the \w+ loss is .*; lower training.learni"):
        fit(config, data_of(), tmp_path)
    assert not (tmp_path / "done.json").exists()


def test_a_validation_loss_that_is_not_finite_is_an_error() -> None:
    module = TrainingModule(zoo.build(MODEL, 2), TrainingConfig(), np.ones(2))
    module._steps = [(torch.tensor([[0.0, torch.nan]]), torch.tensor([1]))]
    with pytest.raises(TrainingError, match="the validation loss is nan in epoch 1"):
        module.on_validation_epoch_end()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_no_bundle_is_written_of_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    network = zoo.build(MODEL, 2)
    with torch.no_grad():
        network.head.bias[1] = value
    with pytest.raises(TrainingError, match=r"weights 'head\.bias' are not finite"):
        export(network, RunConfig(model=MODEL), pd.DataFrame(), tmp_path / "bundle", "command")
    assert not (tmp_path / "bundle").exists()


def test_logits_that_are_not_finite_are_not_calibrated_on() -> None:
    logits = np.array([[0.0, 1.0], [0.0, np.nan]])
    with pytest.raises(TrainingError, match="the logits of 1 of 2 images"):
        calibrate(None, CalibrationSet(logits, np.array([0, 1])), EvaluationConfig())  # type: ignore[arg-type]


def test_without_an_answered_image_there_is_nothing_to_calibrate_on() -> None:
    rejected = [Prediction("a.png", "abstained"), Prediction("b.png", "abstained")]
    nothing = CalibrationSet.of_predictions(rejected, np.array([0, 1]))
    with pytest.raises(CohortError, match="none of the images to calibrate on can be answered"):
        calibrate(None, nothing, EvaluationConfig())  # type: ignore[arg-type]


def cohort_of(findings: list[str], split: list[str]) -> pd.DataFrame:
    names = [f"p{number}" for number in range(len(findings))]
    columns = {"finding": findings, "split": split, "patient_id": names, "image_id": names}
    constant = {"source": "one", "site": "", "sha256": names, "duplicate_group": "", "path": names}
    return pd.DataFrame(columns | constant)


def not_yet(*_: object) -> None:
    raise AssertionError("images are read before the rows are checked")


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "load_training_data", not_yet)
    monkeypatch.setattr(hold_out_validation, "load_training_data", not_yet)


@pytest.mark.usefixtures("unread")
def test_a_validation_split_without_a_class_is_found_before_images_are_read(tmp_path: Path) -> None:
    cohort = cohort_of(["normal", "covid-19"] * 4 + ["normal"] * 2, ["train"] * 8 + ["val"] * 2)
    with pytest.raises(CohortError, match="validation rows have no image of class covid-19"):
        run.train(RunConfig(), cohort, tmp_path, tmp_path, command="")


@pytest.mark.usefixtures("unread")
def test_a_fold_without_a_class_is_found_before_images_are_read(tmp_path: Path) -> None:
    # Two patients with COVID-19 in ten parts: some fold stops on a part that has none.
    cohort = cohort_of(["normal"] * 18 + ["covid-19"] * 2, ["train"] * 20)
    with pytest.raises(CohortError, match=r"rows of fold \d of 5 have no image of class covid-19"):
        run.out_of_fold(RunConfig(), cohort, tmp_path, tmp_path, folds=5, command="")


@pytest.mark.usefixtures("unread")
def test_a_calibration_fold_without_a_class_is_found_before_images_are_read(tmp_path: Path) -> None:
    config = RunConfig(training=TrainingConfig(method="linear-probe"))
    cohort = cohort_of(
        ["normal"] * 9 + ["covid-19", "normal", "covid-19"], ["train"] * 10 + ["val"] * 2
    )
    with pytest.raises(CohortError, match="class covid-19 come from too few patients"):
        run.train(config, cohort, tmp_path, tmp_path, command="")


def test_every_class_must_be_in_two_folds() -> None:
    labels = np.array([0, 0, 1, 1])
    require_classes_out_of_fold("binary", labels, np.array([0, 1, 0, 1]))
    with pytest.raises(CohortError, match="class covid-19"):
        require_classes_out_of_fold("binary", labels, np.array([0, 1, 1, 1]))


def test_a_hold_out_of_one_class_is_not_scored(caplog: pytest.LogCaptureFixture) -> None:
    rows = cohort_of(["normal", "covid-19", "normal", "normal"], ["train"] * 4)
    train = np.array([True, True, False, False])
    one_class = HoldOut("within a", "within", "0", train, ~train)
    both = HoldOut("within b", "within", "0", ~train, train)
    assert hold_out_validation._scorable(rows, [one_class, both]) == [both]
    assert "'within a' is left out: its images are all of one class" in caplog.text
    with pytest.raises(CohortError, match="'within a' has images of one class only"):
        hold_out_validation._scorable(rows, [one_class])
