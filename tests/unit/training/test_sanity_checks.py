"""What a training warns of, and that the input check sees every image that is trained on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr import default_bundle
from covid_cxr.config import PreprocessSpec
from covid_cxr.errors import CohortError
from covid_cxr.files import sha256_of
from covid_cxr.inference.inputs import Preparer
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.inputs import preprocess_cohort
from covid_cxr.training.run import _require_answered
from covid_cxr.training.sanity_checks import (
    ImageCheck,
    calibration_warnings,
    count_by_source,
    input_check_warnings,
)
from covid_cxr.types import COVID, Prediction

MANIFEST = default_bundle().manifest


def answers(*scores: float) -> list[Prediction]:
    return [Prediction("a.png", "ok", probabilities={COVID: score}) for score in scores]


def rows_of(*with_covid: int) -> pd.DataFrame:
    findings = [COVID if covid else "normal" for covid in with_covid]
    return pd.DataFrame(
        {"finding": findings, "patient_id": [f"p{i}" for i in range(len(findings))]}
    )


def warned(scores: list[float], covid: list[int], **changes: float) -> list[str]:
    manifest = MANIFEST.model_copy(update={"temperature": 1.0, "threshold": 0.5, **changes})
    return list(calibration_warnings(manifest, answers(*scores), rows_of(*covid)))


APART = [0.1, 0.2, 0.1, 0.2, 0.1, 0.9, 0.8, 0.9, 0.8, 0.9]
HALVES = [0] * 5 + [1] * 5


def test_a_sound_model_warns_of_nothing() -> None:
    assert warned(APART, HALVES) == []


@pytest.mark.parametrize("temperature", [0.05, 20.0])
def test_a_temperature_on_a_bound(temperature: float) -> None:
    (sentence,) = warned(APART, HALVES, temperature=temperature)
    assert "is at a bound of its search (0.05 to 20)" in sentence


def test_a_constant_model() -> None:
    (sentence,) = warned([0.25] * 10, HALVES, threshold=0.25)
    assert sentence == (
        "All 10 validation images have the same probability of COVID-19, 0.250000: nothing was "
        "learned."
    )


@pytest.mark.parametrize(("threshold", "every"), [(0.1, "COVID-19"), (0.95, "not COVID-19")])
def test_a_threshold_at_an_end(threshold: float, every: str) -> None:
    (sentence,) = warned(APART, HALVES, threshold=threshold)
    assert sentence.endswith(f"calls all 10 validation images {every}.")


def test_an_auroc_that_is_not_above_chance_level() -> None:
    # Of 25 pairs 10 are ranked right: 0.4.
    (sentence,) = warned([0.6, 0.7, 0.8, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.35], HALVES)
    assert sentence.startswith("The AUROC on 10 validation images, 0.400 (")
    assert "is not above 0.5" in sentence


def test_validation_images_of_one_class_have_no_auroc() -> None:
    assert warned(APART, [1] * 10) == []


def test_every_validation_image_rejected() -> None:
    rejected = [Prediction("a.png", "abstained")] * 2
    (sentence,) = calibration_warnings(MANIFEST, rejected, rows_of(0, 1))
    assert sentence == "The input check rejects every validation image."


def test_training_images_are_checked_by_source_in_the_pass_that_reads_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.new("L", (64, 64), 90).save(tmp_path / "blank.png")
    noise = rng.integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.fromarray(noise.astype(np.uint16) * 16).save(tmp_path / "twelve-bits.png")
    names = ["blank.png", "noise.png", "twelve-bits.png"]
    hashes = [sha256_of(tmp_path / name) for name in names]
    rows = pd.DataFrame({"path": names, "sha256": hashes, "source": ["ward", "ward", "other"]})
    spec = PreprocessSpec(size=32)
    inputs, checks = preprocess_cohort(rows, tmp_path, spec, tmp_path / "inputs.npy")
    counts = count_by_source(rows["source"].tolist(), checks)
    assert counts["ward"].images == 2
    assert counts["ward"].abstained["blank image"] == 1
    assert counts["ward"].unanswered == 2
    assert sum(counts["other"].flags.values()) == 1
    sentences = input_check_warnings(counts)
    assert sentences[0].startswith("Source other: of 1 training images the input check rejects 1 (")
    assert "reading flags" in sentences[0]
    assert "the input check rejects 2 (" in sentences[1]
    assert "blank image 1" in sentences[1]
    # the same input as without the check
    expected = Preparer(spec).prepare([noise.astype(np.float32) / np.float32(255)])[0].image
    np.testing.assert_array_equal(inputs[1], expected.astype(np.float16))


def test_no_source_is_named_that_has_nothing_to_warn_of() -> None:
    assert input_check_warnings(count_by_source(["a"], [ImageCheck("", ())])) == ()


@pytest.mark.parametrize(("rejected", "name"), [((1,), "with"), ((0, 2), "without")])
def test_validation_images_that_are_all_rejected_end_before_training(
    rejected: tuple[int, ...], name: str
) -> None:
    checks = tuple(ImageCheck("upside down" if i in rejected else "", ()) for i in range(3))
    inputs, labels = np.zeros((3, 1, 32, 32), np.float16), np.array([0, 1, 0])
    data = TrainingData(inputs, labels, np.arange(0), np.arange(3), checks=checks)
    with pytest.raises(CohortError, match=f"rejects every validation image {name} COVID-19"):
        _require_answered(data)
