"""A bundle at another hospital: measured, recalibrated, and honest about what it has seen."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from covid_cxr import cli, imaging
from covid_cxr import config as configuration
from covid_cxr.cohort import build, schema
from covid_cxr.config import CohortConfig, DatasetConfig
from covid_cxr.errors import BundleError, InputError
from covid_cxr.evaluation.compare import compare
from covid_cxr.files import sha256_of
from covid_cxr.inference import Predictor
from covid_cxr.inference.batch import predict_cohort
from covid_cxr.inference.runtime import Runtime
from covid_cxr.models import bundle
from covid_cxr.models.recalibrate import recalibrate
from covid_cxr.pipeline import RunFolder, validate
from covid_cxr.report import verdict
from covid_cxr.results import METRICS, RunMetrics

FEW_DRAWS = ["evaluation.bootstrap=100"]


@pytest.fixture(scope="module")
def hospital(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Films that the bundle has not seen: (data root, cohort.csv).

    A recipe of one epoch ranks nothing. So that there is something to recalibrate, the findings
    here follow what the bundle forecasts, with mistakes: 24 of 60 patients have COVID-19.
    """
    from covid_cxr.phantoms import write_cohort

    root = tmp_path_factory.mktemp("hospital")
    write_cohort(root, patients=60, seed=77, duplicates=0)
    config = CohortConfig(datasets={"ours": DatasetConfig(adapter="csv", path="manifest.csv")})
    cohort = build.build(root, config, 1).cohort
    answers = predict_cohort(Predictor(bundle.load(tiny_run / "bundle")), cohort, root)
    forecast = np.array([each.probabilities["covid-19"] for each in answers])
    mean = pd.Series(forecast).groupby(cohort["patient_id"].to_numpy()).mean().rank()
    noisy = mean + np.random.default_rng(0).normal(0, 12, len(mean))
    diseased = set(noisy.nlargest(24).index)
    cohort["finding"] = np.where(cohort["patient_id"].isin(diseased), "covid-19", "pneumonia")
    schema.save(cohort, root / "cohort.csv")
    return root, root / "cohort.csv"


@pytest.fixture(scope="module")
def validated(
    tiny_run: Path, hospital: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("validated") / "here"
    root, cohort = hospital
    words = [tiny_run / "bundle", "--cohort", cohort, "--data", root, "--out", out]
    assert cli.run([*map(str, ["validate", *words, "--recalibrate", "-s", *FEW_DRAWS])]) == 0
    return out


def metrics_of(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


def test_every_usable_image_is_measured_whatever_its_split(
    tiny_run: Path, hospital: tuple[Path, Path], tmp_path: Path
) -> None:
    root, file = hospital
    data = Path(shutil.copytree(root, tmp_path / "data"))
    cohort = schema.load(file)
    images_ = sorted(data / path for path in cohort["path"])
    images_[0].unlink()
    made = bundle.load(tiny_run / "bundle")
    settings = configuration.load(None, FEW_DRAWS)
    found = validate(made, file, data, tmp_path / "out", settings=settings, command="c --data DATA")
    assert found.rejection is None and found.folder is found.before
    usable = cohort[cohort["split"] != "excluded"]
    numbers = metrics_of(tmp_path / "out")
    external = numbers["splits"]["external"]
    assert external["n"] + external["errors"] == len(usable) and external["errors"] == 1
    assert set(cohort["split"]) >= {"train", "val", "test"}
    assert numbers["bundle"] == made.id and numbers["threshold"] == made.manifest.threshold
    assert numbers["external_validation"]["training_overlap"] == 0
    kept = RunFolder.open(tmp_path / "out").cohort()
    assert set(kept["split"]) == {"external"} | (
        {"excluded"} if (cohort["split"] == "excluded").any() else set()
    )
    rows = pd.read_csv(tmp_path / "out" / "predictions-external.csv").set_index("file")
    path = usable["path"].iloc[3]
    served = Predictor(made).predict(data / path).prediction
    assert rows.loc[path, "probability_covid-19"] == pytest.approx(
        served.probabilities["covid-19"], abs=1e-5
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert "external" in page and "Nothing was measured" not in page
    environment = json.loads((tmp_path / "out" / "environment.json").read_text())
    assert environment["command"] == "c --data DATA"


def test_images_of_the_training_are_left_out(
    tiny_run: Path, phantoms: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = schema.load(tiny_run / "cohort.csv")
    made = bundle.load(tiny_run / "bundle")
    settings = configuration.load(None, FEW_DRAWS)
    validate(
        made, tiny_run / "cohort.csv", phantoms, tmp_path / "o", settings=settings, command="c"
    )
    kept = RunFolder.open(tmp_path / "o").cohort().set_index("image_id")
    trained = cohort[cohort["split"].isin(("train", "val"))]["image_id"]
    assert (kept.loc[trained, "split"] == "excluded").all()
    assert (kept.loc[trained, "exclusion"] == "in the bundle's training").all()
    listed = pd.read_csv(tmp_path / "o" / "training-overlap.csv").set_index("image_id")
    assert (listed.loc[trained, "training_image"] == trained.to_numpy()).all()
    assert metrics_of(tmp_path / "o")["external_validation"]["training_overlap"] >= len(trained)
    assert "images are left out: the bundle was trained on them" in caplog.text
    only = cohort[cohort["split"].isin(("train", "val"))]
    schema.save(only.reset_index(drop=True), tmp_path / "trained.csv")
    with pytest.raises(InputError, match=r"trained on all \d+ images of the cohort"):
        validate(
            made, tmp_path / "trained.csv", phantoms, tmp_path / "x", settings=settings, command="c"
        )
    assert not (tmp_path / "x").exists()


def test_the_new_bundle_is_its_own_and_says_whose_child_it_is(
    validated: Path, tiny_run: Path
) -> None:
    old, new = bundle.load(tiny_run / "bundle"), bundle.load(validated / "bundle")
    assert new.id != old.id and new.manifest.derived_from == old.id
    found = metrics_of(validated)["external_validation"]["recalibration"]
    assert new.manifest.temperature == pytest.approx(old.manifest.temperature / found["slope"])
    assert new.manifest.shift == pytest.approx(found["shift"], abs=1e-6)
    assert found["derived_from"] == old.id and found["threshold"]["after"] == new.manifest.threshold
    assert new.manifest.training_data == old.manifest.training_data
    cohort = RunFolder.open(validated).cohort()
    fitted = cohort[cohort["split"] == "val"]
    assert sum(source.images for source in new.manifest.recalibrated_on) == len(fitted)
    assert new.has_reference and new.has_weights
    card = (validated / "bundle" / "MODEL_CARD.md").read_text()
    assert old.id in card and new.id in card and "recalibrat" in card.lower()
    assert new.manifest.metrics["external"].n == found["after"]["n"]


def test_it_is_measured_on_patients_that_it_was_not_fitted_to(
    validated: Path, hospital: tuple[Path, Path]
) -> None:
    cohort = RunFolder.open(validated).cohort()
    halves = [cohort[cohort["split"] == name] for name in ("val", "external")]
    assert not set(halves[0]["patient_id"]) & set(halves[1]["patient_id"])
    numbers = metrics_of(validated)
    found = numbers["external_validation"]["recalibration"]
    assert numbers["splits"]["external"]["n"] == len(halves[1]) == found["after"]["n"]
    assert found["before"]["n"] == found["after"]["n"]
    assert found["before"]["auroc"]["value"] == pytest.approx(
        found["after"]["auroc"]["value"], abs=0.02
    )
    # Every number follows from the predictions in the folder.
    rows = pd.read_csv(validated / "predictions-external.csv")
    truth = rows["file"].map(halves[1].set_index("path")["finding"]) == "covid-19"
    brier = float(np.mean((rows["probability_covid-19"] - truth) ** 2))
    assert found["after"]["brier"]["value"] == pytest.approx(brier, abs=1e-5)
    before = pd.read_csv(validated / "before" / "predictions-external.csv")
    assert len(before) == len(cohort[cohort["split"] != "excluded"])
    compared = json.loads((validated / "compare" / "compare.json").read_text())
    assert compared["groups"]["pooled"]["n"] == len(halves[1])
    assert [run["name"] for run in compared["runs"]] == ["before", "here"]
    again = compare([validated / "before", validated], "external")
    assert again.model_dump(mode="json")["runs"] == compared["runs"]
    assert (validated / "report.html").exists() and (validated / "before" / "report.html").exists()


def test_logits_and_class_maps_stay_consistent(
    validated: Path, tiny_run: Path, hospital: tuple[Path, Path]
) -> None:
    old, new = (bundle.load(path / "bundle") for path in (tiny_run, validated))
    line = metrics_of(validated)["external_validation"]["recalibration"]
    paths = schema.load(hospital[1])["path"][:6]
    radiographs = np.stack(
        [
            imaging.preprocess(imaging.read(hospital[0] / path).pixels, old.manifest.preprocess)
            for path in paths
        ]
    )
    a, b = Runtime(old).run(radiographs), Runtime(new).run(radiographs)
    odds = [each.logits[:, 1] - each.logits[:, 0] for each in (a, b)]
    assert odds[1] == pytest.approx(line["slope"] * odds[0] + line["shift"], abs=1e-4)
    assert b.probabilities[:, 1] == pytest.approx(1 / (1 + np.exp(-odds[1])), abs=1e-6)
    assert b.embedding == pytest.approx(a.embedding, abs=1e-5)
    # The maps sum to the log-odds but for a constant of the bundle, before and after.
    for each in (a, b):
        margin = (each.cam[:, 1] - each.cam[:, 0]).mean(axis=(1, 2))
        rest = each.logits[:, 1] - each.logits[:, 0] - margin
        assert np.ptp(rest) < 1e-4


def test_a_bundle_is_recalibrated_again(validated: Path, tmp_path: Path) -> None:
    once = bundle.load(validated / "bundle")
    twice = recalibrate(
        *(once, tmp_path / "again"),
        slope=0.5,
        shift=-1.0,
        threshold=0.3,
        fitted_to=(),
        command="c",
    )
    radiographs = np.random.default_rng(0).random((3, 1, 64, 64), dtype=np.float32)
    a, b = Runtime(once).run(radiographs), Runtime(twice).run(radiographs)
    expected = 0.5 * a.logits + np.array([0, -1.0])
    assert b.logits == pytest.approx(expected, abs=1e-5)
    assert b.cam == pytest.approx(0.5 * a.cam, abs=1e-5)
    assert twice.manifest.derived_from == once.id
    assert twice.manifest.shift == pytest.approx(0.5 * once.manifest.shift - 1)
    outputs = onnxruntime.InferenceSession(str(twice.graph)).get_outputs()
    assert [each.name for each in outputs] == ["logits", "probabilities", "embedding", "cam"]
    with pytest.raises(BundleError, match="exists"):
        recalibrate(
            once, tmp_path / "again", slope=1, shift=0, threshold=0.5, fitted_to=(), command="c"
        )


def test_nothing_changed_is_the_same_answer(validated: Path, tmp_path: Path) -> None:
    made = bundle.load(validated / "bundle")
    same = recalibrate(
        made, tmp_path / "same", slope=1, shift=0, threshold=0.5, fitted_to=(), command="c"
    )
    radiographs = np.random.default_rng(0).random((2, 1, 64, 64), dtype=np.float32)
    assert (
        Runtime(made).probabilities(radiographs) == Runtime(same).probabilities(radiographs)
    ).all()


def test_too_few_patients_are_measured_but_not_fitted_to(
    tiny_run: Path,
    hospital: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, file = hospital
    cohort = schema.load(file)
    few = cohort[cohort["patient_id"].isin(cohort["patient_id"].unique()[:20])]
    schema.save(few.reset_index(drop=True), tmp_path / "few.csv")
    words = [tiny_run / "bundle", "--cohort", tmp_path / "few.csv", "--data", root]
    out = tmp_path / "out"
    status = cli.run(
        [*map(str, ["validate", *words, "--out", out, "--recalibrate", "-s", *FEW_DRAWS, "-q"])]
    )
    displayed = capsys.readouterr()
    assert status == 2
    assert displayed.err.count("\n") == 1
    assert "not recalibrated: the images to fit to come from" in displayed.err
    assert "AUROC" in displayed.out and (out / "report.html").exists()
    external = metrics_of(out)["external_validation"]
    assert external["recalibration"] is None and external["recalibration_rejected"]
    assert bundle.load(out / "bundle").id == bundle.load(tiny_run / "bundle").id


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("evaluate", "Missing argument 'RUN'"),
        ("evaluate run --recalibrate", "No such option: --recalibrate"),
        ("evaluate run --prevalence x", "--prevalence"),
        ("validate", "Missing argument 'BUNDLE'"),
        ("validate m --out o", "Missing option '--cohort'"),
        ("validate m --cohort c", "Missing option '--out'"),
        ("validate m --cohort c --out o", "'m' is no bundle"),
        ("validate m --cohort c --out o --share 1", "share"),
        ("cross-validate c.yaml --cohort c --folds 1", "--folds"),
        ("cross-validate c.yaml --cohort c --folds 51", "less than or equal to 50"),
        ("cross-validate c.yaml --cohort c --leave-out patients", "'sources', 'sites', 'both'"),
        ("cross-validate c --cohort c --folds 5 --leave-out sites", "exclude each other"),
        ("train c.yaml --cohort c --folds 5", "No such option: --folds"),
    ],
)
def test_wrong_words_are_one_line(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(words.split()) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_another_prevalence_changes_the_report_alone(
    tiny_run: Path, hospital: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, cohort = hospital
    words = ["validate", tiny_run / "bundle", "--cohort", cohort, "--data", root]
    words += ["-s", *FEW_DRAWS, "--out"]
    assert cli.run([*map(str, [*words, tmp_path / "bad", "--prevalence", "1.5"])]) == 2
    err = capsys.readouterr().err
    assert "--prevalence is 1.5, expected a share over 0 and under 1" in err
    assert err.count("\n") == 1 and not (tmp_path / "bad").exists()
    assert cli.run([*map(str, [*words, tmp_path / "a"])]) == 0
    assert cli.run([*map(str, [*words, tmp_path / "b", "--prevalence", "0.05"])]) == 0
    for name in ("bundle/manifest.json", "bundle/model.onnx"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    answers = [pd.read_csv(tmp_path / run / "predictions-external.csv") for run in "ab"]
    assert answers[0].drop(columns="seconds").equals(answers[1].drop(columns="seconds"))
    numbers = [metrics_of(tmp_path / run)["splits"]["external"] for run in "ab"]
    assert numbers[0]["at_prevalence"] is None and numbers[0]["pooled"] == numbers[1]["pooled"]
    found = numbers[1]["at_prevalence"]
    val = schema.load(tiny_run / "cohort.csv").query("split == 'val'")["finding"]
    assert found["fitted"] == pytest.approx((val == "covid-19").mean(), abs=1e-6)
    assert "Where 5 % have COVID-19" in (tmp_path / "b" / "report.html").read_text()
    command = json.loads((tmp_path / "b" / "environment.json").read_text())["command"]
    assert "--prevalence 0.05" in command


def test_a_recalibrated_bundle_moves_from_the_share_it_was_fitted_to(
    validated: Path, hospital: tuple[Path, Path], tmp_path: Path
) -> None:
    root, cohort = Path(shutil.copytree(hospital[0], tmp_path / "data")), hospital[1]
    made = bundle.load(validated / "bundle")
    other = schema.load(cohort)
    for path in other["path"]:  # other bytes, else all are known to the bundle
        (root / path).write_bytes((root / path).read_bytes() + b"\0")
    other["sha256"] = [sha256_of(root / path) for path in other["path"]]
    schema.save(other, tmp_path / "cohort.csv")
    settings = configuration.load(None, FEW_DRAWS)
    options = {"settings": settings, "command": "c", "prevalence": 0.1}
    found = validate(made, tmp_path / "cohort.csv", root, tmp_path / "out", **options)
    fitted = made.manifest.recalibrated_on
    positives = sum(source.findings.get("covid-19", 0) for source in fitted)
    at_target = metrics_of(found.folder.path)["splits"]["external"]["at_prevalence"]
    assert at_target["fitted"] == pytest.approx(positives / sum(s.images for s in fitted), abs=1e-6)


def test_a_used_folder_is_rejected(validated: Path, tiny_run: Path, hospital: tuple) -> None:
    made = bundle.load(tiny_run / "bundle")
    with pytest.raises(InputError, match="holds a run already"):
        validate(
            *(made, hospital[1], hospital[0], validated),
            settings=configuration.load(None, FEW_DRAWS),
            command="c",
        )


def test_without_onnx_it_says_what_to_install(
    validated: Path, tmp_path: Path, hospital: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from covid_cxr.errors import MissingDependency

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependency, match=r"covid-cxr\[train\]"):
        validate(
            *(bundle.load(validated / "bundle"), hospital[1], hospital[0], tmp_path / "o"),
            settings=configuration.load(None, FEW_DRAWS),
            command="c",
            recalibrate=True,
        )
    assert not (tmp_path / "o").exists()


def test_the_run_folder_can_be_exported(validated: Path, tmp_path: Path) -> None:
    assert (
        cli.run(["export", str(validated), "--out", str(tmp_path / "b.zip"), "--no-weights"]) == 0
    )
    assert bundle.load(tmp_path / "b.zip").id == bundle.load(validated / "bundle").id


def test_own_images_say_nothing_of_other_hospitals(validated: Path) -> None:
    said = verdict(RunMetrics.read(validated / METRICS))
    elsewhere = next(claim for claim in said.claims if "hospitals" in claim.text)
    assert not elsewhere.supported and "These images alone were measured" in elsewhere.why
    assert "the pooled AUROC is" in said.sentences[0]
    assert sum("the AUROC is" in sentence for sentence in said.sentences) == 0
