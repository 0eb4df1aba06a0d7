"""The whole way on phantoms: what a run leaves behind, and that it can be taken up again."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from covid_cxr import pipeline
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig, with_settings
from covid_cxr.errors import ConfigError, InputError, LeakError, UnknownName
from covid_cxr.models import bundle, zoo
from covid_cxr.pipeline.examples import choose
from covid_cxr.progress import reporting
from covid_cxr.results import METRICS, RunMetrics
from covid_cxr.results.metrics import PointingMetrics
from covid_cxr.training import datamodule, experiment

pytestmark = pytest.mark.usefixtures("graph_templates")


def metrics_of(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


@pytest.fixture
def original(tiny_config: RunConfig) -> RunConfig:
    """A recipe with the original's network, which is quick to train at a small size."""
    return tiny_config.model_copy(update={"model": "dcnn-resnet"})


def test_a_run_leaves_everything_behind(tiny_run: Path) -> None:
    files = {str(path.relative_to(tiny_run)) for path in tiny_run.rglob("*") if path.is_file()}
    assert {
        *("config.json", "environment.json", "metrics.json", "report.html"),
        *("cohort.csv", "attrition.csv", "duplicates.csv"),
        *("predictions-val.csv", "predictions-test.csv"),
        *("bundle/manifest.json", "bundle/model.onnx", "bundle/MODEL_CARD.md"),
    } <= files
    assert any("tfevents" in name for name in files)
    assert sum(name.endswith(".png") for name in files) == 4  # 2 examples by lime and cam
    assert not [name for name in files if name.endswith((".ckpt", ".npy"))]
    environment = json.loads((tiny_run / "environment.json").read_text())
    assert environment["command"] == "covid-cxr run tiny.yaml --data DATA"
    assert len(environment["cohort_sha256"]) == 64


def test_metrics_follow_their_committed_schema(tiny_run: Path) -> None:
    text = (tiny_run / METRICS).read_text()
    assert RunMetrics.read(tiny_run / METRICS).model_dump_json(indent=2) + "\n" == text
    jsonschema = pytest.importorskip("jsonschema", reason="checked through pydantic alone")
    schema_file = Path(__file__).parents[2] / "docs" / "reference" / "metrics.schema.json"
    jsonschema.validate(json.loads(text), json.loads(schema_file.read_text()))


def test_numbers_come_with_intervals_pooled_and_per_source(tiny_run: Path) -> None:
    test = metrics_of(tiny_run)["splits"]["test"]
    cohort = schema.load(tiny_run / "cohort.csv")
    assert test["n"] == (cohort["split"] == "test").sum()
    assert set(test["pooled"]["auroc"]) == {"value", "low", "high"}
    assert set(test["per_source"]) == {"phantoms"}
    assert test["constant_prior"]["auroc"]["value"] == 0.5


def test_what_is_measured_is_what_is_served(tiny_run: Path, phantoms: Path) -> None:
    from covid_cxr.inference import Predictor

    rows = pd.read_csv(tiny_run / "predictions-test.csv")
    made = bundle.load(tiny_run / "bundle")
    assert set(rows["model"]) == {made.id}
    first = Predictor(made).predict(phantoms / rows["file"][0]).prediction
    assert rows["probability_covid-19"][0] == pytest.approx(
        first.probabilities["covid-19"], abs=1e-5
    )


def test_training_never_reads_the_test_split(
    phantoms: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(phantoms, tmp_path / "data"))
    folder = pipeline.RunFolder.create(tmp_path / "run", tiny_config, data, "test")
    from covid_cxr.cohort import build

    build.write(build.build(data, tiny_config.cohort, tiny_config.seed), tmp_path / "run")
    cohort = folder.cohort()
    for path in cohort.loc[cohort["split"] == "test", "path"]:
        (data / path).unlink()
    made = pipeline.train(folder)
    assert made.manifest.temperature != 1


def test_every_opening_of_test_is_recorded(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    before = metrics_of(run)["test_evaluations"]
    pipeline.evaluate(pipeline.RunFolder.open(run))
    after = metrics_of(run)["test_evaluations"]
    assert len(after) == len(before) + 1
    assert metrics_of(run)["splits"] == metrics_of(tiny_run)["splits"]


def test_the_same_run_goes_on_and_another_is_rejected(
    tiny_run: Path, tiny_config: RunConfig, phantoms: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    graph = (run / "bundle" / "model.onnx").read_bytes()
    pipeline.run(tiny_config, phantoms, run, command="again")
    assert (run / "bundle" / "model.onnx").read_bytes() == graph  # not trained twice
    assert metrics_of(run) == metrics_of(tiny_run)  # nor the test split opened twice
    other = tiny_config.model_copy(update={"seed": 7})
    with pytest.raises(ConfigError, match="holds a run whose 'seed' is 2020, not 7"):
        pipeline.run(other, phantoms, run, command="other")


def test_a_killed_training_goes_on_where_it_was(original: RunConfig, tmp_path: Path) -> None:
    """Killed in the third of three epochs and taken up again, it gives the uninterrupted net."""
    import numpy as np
    import torch

    longer = original.training.model_copy(update={"max_epochs": 3, "learning_rate": 0.01})
    config = original.model_copy(update={"training": longer})
    rng = np.random.default_rng(0)
    radiographs = rng.random((24, 1, 64, 64)).astype(np.float16)
    part = datamodule.TrainingData(radiographs, np.arange(24) % 2, np.arange(16), np.arange(16, 24))
    whole = experiment.fit(config, part, tmp_path / "whole")

    def stop(what: str, done: int, total: int) -> None:
        if done == 5:  # in the third epoch of two steps each
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)), reporting(stop):
        experiment.fit(config, part, tmp_path / "killed")
    recorded: list[int] = []
    with reporting(lambda what, done, total: recorded.append(done)):
        resumed = experiment.fit(config, part, tmp_path / "killed")
    assert recorded == [5, 6]  # whichever epoch was the best, the last one is gone on with
    assert resumed.val_loss == whole.val_loss
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    with reporting(stop):
        assert experiment.fit(config, part, tmp_path / "killed").val_loss == whole.val_loss


def test_of_several_seeds_the_best_on_validation_is_kept(
    original: RunConfig, tmp_path: Path
) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    radiographs = rng.random((24, 1, 64, 64)).astype(np.float16)
    part = datamodule.TrainingData(radiographs, np.arange(24) % 2, np.arange(16), np.arange(16, 24))
    two = original.training.model_copy(update={"runs": 2})
    twice = original.model_copy(update={"training": two})
    best = experiment.fit_best_of(twice, part, tmp_path)
    each = [
        experiment.fit(original.model_copy(update={"seed": seed}), part, tmp_path / str(seed))
        for seed in (2020, 2021)
    ]
    assert best.val_loss == pytest.approx(min(one.val_loss for one in each))
    assert best.seed == min(each, key=lambda one: one.val_loss).seed


def test_out_of_fold_answers_every_training_row_once(tiny_folds: Path) -> None:
    cohort = pipeline.RunFolder.open(tiny_folds).cohort()
    rows = pd.read_csv(tiny_folds / "predictions-oof.csv")
    assert sorted(rows["file"]) == sorted(
        cohort.loc[cohort["split"].isin(("train", "val")), "path"]
    )
    assert rows["model"].nunique() == 2
    assert metrics_of(tiny_folds)["out_of_fold"]["n"] == len(rows)
    class_sets = metrics_of(tiny_folds)["out_of_fold"]["conformal"]
    assert class_sets["parts"] == 2 and class_sets["by_level"][0]["pooled"]["n"] == len(rows)
    # all images of a patient are left out of the same model
    models = rows.set_index("file")["model"]
    linked = cohort[cohort["path"].isin(rows["file"])]
    assert (linked.groupby("patient_id")["path"].agg(lambda p: models[p].nunique()) == 1).all()
    assert not list(tiny_folds.rglob("*.ckpt"))


def test_another_prevalence_is_an_opening_on_record_and_nothing_else(
    tiny_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    before = {
        name: (run / name).read_bytes()
        for name in ("bundle/model.onnx", "predictions-val.csv", "cohort.csv", "config.json")
    }
    folder = pipeline.RunFolder.open(run)
    opened = metrics_of(run)["test_evaluations"]
    with pytest.raises(ConfigError, match="--prevalence is 0, expected"):
        pipeline.evaluate(folder, prevalence=0.0)
    assert metrics_of(run)["test_evaluations"] == opened
    identity = folder.bundle().id
    pipeline.evaluate(folder, prevalence=0.02)
    metrics = metrics_of(run)
    assert metrics["test_evaluations"][:-1] == opened
    assert metrics["test_evaluations"][-1]["prevalence"] == 0.02
    assert folder.bundle().id == identity
    scores = "probability_covid-19"
    test = pd.read_csv(run / "predictions-test.csv")[scores]
    assert test.equals(pd.read_csv(tiny_run / "predictions-test.csv")[scores])
    for name in ("bundle/model.onnx", "cohort.csv", "config.json"):
        assert (run / name).read_bytes() == before[name]
    found = metrics["splits"]["test"]["at_prevalence"]
    val = folder.cohort().query("split == 'val'")["finding"]
    assert found["fitted"] == pytest.approx((val == "covid-19").mean(), abs=1e-6)
    columns = [at["prevalence"] for at in metrics["splits"]["test"]["thresholds"][0]["at"]]
    assert columns == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    pipeline.evaluate(folder)
    assert metrics_of(run)["splits"]["test"]["at_prevalence"] is None


def test_a_bundle_is_never_measured_on_another_split(tiny_run: Path, tmp_path: Path) -> None:
    """A cohort exchanged under a trained model would make test of what it was trained on."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    folder = pipeline.RunFolder.open(run)
    cohort = folder.cohort()
    swapped = cohort.assign(split=cohort["split"].replace({"test": "train", "train": "test"}))
    with pytest.raises(ConfigError, match="begun on another cohort"):
        folder.put_cohort(swapped)
    schema.save(swapped, run / "cohort.csv")
    before = metrics_of(run)
    with pytest.raises(LeakError, match="may have been trained on"):
        pipeline.evaluate(folder)
    assert metrics_of(run) == before


def test_a_draft_is_no_bundle(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (run / "predictions-val.csv").unlink()
    with pytest.raises(InputError, match="no finished bundle"):
        pipeline.evaluate(pipeline.RunFolder.open(run))


def test_names_are_checked_before_anything_is_written(
    phantoms: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    methods = tiny_config.explain.model_copy(update={"methods": ("limee",)})
    for change in ({"model": "resnt18"}, {"explain": methods}):
        config = tiny_config.model_copy(update=change)
        with pytest.raises(UnknownName, match="did you mean"):
            pipeline.run(config, phantoms, tmp_path / "run", command="typo")
    assert not (tmp_path / "run").exists()


def test_the_honest_demo_is_never_reported_as_biased(tmp_path: Path) -> None:
    from covid_cxr.pipeline.demo import demo_config

    pipeline.RunFolder.create(tmp_path, demo_config(1), tmp_path, "demo")
    with pytest.raises(ConfigError, match="'name' is 'demo', not 'demo-rigged'"):
        pipeline.RunFolder.create(tmp_path, demo_config(1, rigged=True), tmp_path, "demo --rigged")


def test_multiclass_goes_the_same_way(
    phantoms: Path, tiny_config: RunConfig, tmp_path: Path
) -> None:
    config = tiny_config.model_copy(update={"task": "multiclass"})
    folder = pipeline.run(config, phantoms, tmp_path / "run", command="multiclass")
    pooled = folder.metrics().splits["test"].pooled
    assert {"auroc", "auroc_normal", "auroc_pneumonia", "auroc_macro"} <= set(pooled.named())
    assert folder.bundle().manifest.classes == ("normal", "pneumonia", "covid-19")


def test_the_originals_network_goes_the_same_way(
    phantoms: Path, original: RunConfig, tmp_path: Path
) -> None:
    """No class activation map: reports and predictions do without. Layers as configured."""
    layers = {"model_settings.dcnn_resnet.kernel": 5, "model_settings.dcnn_resnet.filters": 8}
    config = with_settings(original, layers)
    folder = pipeline.run(config, phantoms, tmp_path / "run", command="dcnn")
    assert not folder.bundle().manifest.has_cam
    network = zoo.load_weights(folder.bundle().folder)
    assert network.features[0].conv0.weight.shape == (8, 3, 5, 5)
    assert {path.name.split("-")[-1] for path in (folder.path / "explanations").iterdir()} == {
        "lime.png",
        "lime.json",
    }


def test_examples_are_drawn_not_picked(tiny_run: Path) -> None:
    cohort = schema.load(tiny_run / "cohort.csv")
    rows = list(choose(cohort, 6, seed=3))
    assert [row.image_id for row in rows] == [row.image_id for row in choose(cohort, 6, seed=3)]
    assert sum(row.finding == "covid-19" for row in rows) == 3
    assert {row.split for row in rows} == {"test"}


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run folder"):
        pipeline.RunFolder.open(tmp_path)


def test_localisation_counts_the_phantoms_called_right(
    tiny_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    from covid_cxr.pipeline.demo import localise

    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    path = run / "predictions-test.csv"
    rows = pd.read_csv(path)
    cohort = schema.load(run / "cohort.csv").set_index("path")["finding"]
    covid = rows["file"].map(cohort) == "covid-19"
    # as if the model had called all but the first of them right
    rows["predicted_class"] = "non-covid-19"
    called = rows.index[covid][1:]
    rows.loc[called, "predicted_class"] = "covid-19"
    rows.to_csv(path, index=False)
    found = localise(pipeline.RunFolder.open(run), phantoms / "masks", methods=["cam"])["cam"]
    assert found.images == len(called) > 0
    assert found.hit_rate.value == pytest.approx(found.hits / found.images, abs=1e-6)
    assert 0 <= found.inside_lungs <= 1
    rows["predicted_class"] = "non-covid-19"
    rows.to_csv(path, index=False)
    none = localise(pipeline.RunFolder.open(run), phantoms / "masks", methods=["cam"])
    assert none == {"cam": PointingMetrics(images=0)}
