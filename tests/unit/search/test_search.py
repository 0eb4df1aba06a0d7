"""Searches on phantoms: what they read, write and choose, and that they go on where they were."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest

from covid_cxr import config as configuration
from covid_cxr.cli.main import run as command
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig, with_settings
from covid_cxr.errors import ConfigError, InputError
from covid_cxr.search import ObjectiveConfig, SearchConfig, search
from covid_cxr.search import objective as objectives
from covid_cxr.search.cache import TrainingCache
from covid_cxr.search.objective import Report, Score, Scorer
from covid_cxr.search.page import sentences
from covid_cxr.search.sampling import SeededSampler
from covid_cxr.training import hold_out_validation
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.run import labelled_data, train

pytestmark = pytest.mark.usefixtures("graph_templates")

ALPHA = "training.ridge_alpha"


@pytest.fixture
def data_without_test(phantoms: Path, phantom_cohort: pd.DataFrame, tmp_path: Path) -> Path:
    """The data root with every test image deleted."""
    root = tmp_path / "data"
    for row in phantom_cohort.itertuples():
        if row.split in ("train", "val"):
            path = root / str(row.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(phantoms / str(row.path))
    return root


@pytest.fixture
def quick_score(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Score by a formula, best at ridge_alpha 1 without mirror images; list what was scored."""
    scored: list[RunConfig] = []

    def score(self: Scorer, config: RunConfig, out: Path, report: object) -> Score:
        scored.append(config)
        value = 0.9 - 0.1 * abs(np.log10(config.training.ridge_alpha)) - 0.05 * config.augment.flip
        return Score(float(value), (float(value),))

    monkeypatch.setattr(Scorer, "score", score)
    return scored


def test_a_search_never_reads_a_test_image(
    data_without_test: Path,
    phantom_cohort: pd.DataFrame,
    probe: SearchConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And leaves all its results; its best recipe trains; more trials can follow."""
    read: list[int] = []
    real = TrainingCache.inputs.__globals__["preprocess_cohort"]

    def count(rows: pd.DataFrame, *args: object) -> object:
        read.append(len(rows))
        return real(rows, *args)

    monkeypatch.setattr("covid_cxr.search.cache.preprocess_cohort", count)
    out = tmp_path / "search"
    assert (phantom_cohort["split"] == "test").sum() > 5
    result = search(probe, phantom_cohort, data_without_test, out)
    kept = schema.load(out / "cohort.csv")
    assert set(kept["split"]) == {"train", "val"}
    assert read == [len(kept)]  # once for all trials
    assert [trial.number for trial in result.trials] == [0, 1, 2, 3, 4]
    assert result.default.parameters == {ALPHA: 1.0, "augment.flip": 0.0}
    assert result.best.values[0] == max(trial.values[0] for trial in result.trials)
    assert result.best.values[0] == pytest.approx(np.mean(result.best.repeats))
    assert result.best.spread == pytest.approx(np.std(result.best.repeats, ddof=1))

    table = pd.read_csv(out / "trials.csv")
    assert list(table["trial"]) == [0, 1, 2, 3, 4]
    assert table["auroc"].max() == pytest.approx(result.best.values[0])
    page = (out / "search.html").read_text("utf-8")
    assert "A constant prior scores 0.500." in page
    assert "how much, a nested search says" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (out / "tensorboard").is_dir()

    more = probe.model_copy(update={"trials": 6})
    again = search(more, phantom_cohort, data_without_test, out, nested=2)
    assert again.trials[:5] == result.trials
    assert len(again.trials) == 6
    assert read == [len(kept)]
    assert again.nested is not None
    assert len(again.nested.folds) == 2
    assert "Nested estimate, 2 outer folds" in (out / "search.html").read_text("utf-8")

    recipe = configuration.load(out / "best.yaml")
    assert recipe.training.ridge_alpha == again.best.parameters[ALPHA]
    bundle = train(recipe, phantom_cohort, data_without_test, tmp_path / "run", command="train")
    assert bundle.manifest.name == "probe-best"


def test_a_search_that_goes_on_draws_what_it_would_have_drawn(  # noqa: PLR0917
    phantoms: Path,
    phantom_cohort: pd.DataFrame,
    probe: SearchConfig,
    tmp_path: Path,
    quick_score: list[RunConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("covid_cxr.search.output.write", lambda result, out: None)
    whole = search(probe, phantom_cohort, phantoms, tmp_path / "whole")
    half = probe.model_copy(update={"trials": 2})
    search(half, phantom_cohort, phantoms, tmp_path / "halves")
    rest = search(probe, phantom_cohort, phantoms, tmp_path / "halves")
    assert [t.parameters for t in rest.trials] == [t.parameters for t in whole.trials]
    assert len({t.parameters[ALPHA] for t in whole.trials}) == 5
    assert len(quick_score) == 10

    other = probe.model_copy(update={"seed": 1})
    with pytest.raises(ConfigError, match="other settings: seed is 1, was 2020"):
        search(other, phantom_cohort, phantoms, tmp_path / "halves")
    first = phantom_cohort.index[phantom_cohort["split"] == "train"][0]
    fewer = phantom_cohort.drop(index=first).reset_index(drop=True)
    with pytest.raises(ConfigError, match="on another cohort"):
        search(probe, fewer, phantoms, tmp_path / "halves")


@pytest.mark.usefixtures("quick_score")
@pytest.mark.parametrize("sampler", ["exhaustive", "grid"])
def test_every_combination_of_a_finite_space_is_tried_once(
    sampler: str,
    phantom_cohort: pd.DataFrame,
    probe: SearchConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = probe.model_dump()
    raw["space"][ALPHA]["points"] = 3
    raw |= {"sampler": sampler, "trials": 4}
    monkeypatch.setattr("covid_cxr.search.output.write", lambda result, out: None)
    finite = SearchConfig.model_validate(raw)
    result = search(finite, phantom_cohort, tmp_path, tmp_path / "out")
    tried = [tuple(trial.parameters.values()) for trial in result.trials]
    every = {(alpha, flip) for alpha in (0.01, 1.0, 100.0) for flip in (0.0, 0.5)}
    assert len(set(tried)) == len(tried)
    assert tried[0] == (1.0, 0.0)
    if sampler == "exhaustive":
        assert set(tried) == every
    else:  # as many as asked for
        assert len(tried) == 4
        assert set(tried) < every
    assert result.best.number == 0
    assert (
        sentences(result)[0] == "No trial scored above the default recipe: AUROC out of fold 0.900."
    )


def test_cheaper_networks_make_a_pareto_front(
    phantoms: Path,
    phantom_cohort: pd.DataFrame,
    tiny_config: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = {8: 0.7, 16: 0.8, 32: 0.75}

    def score(self: Scorer, config: RunConfig, out: Path, report: object) -> Score:
        value = scores[config.model_settings.dcnn_resnet.filters]
        return Score(value, (value,))

    monkeypatch.setattr(Scorer, "score", score)
    filters = "model_settings.dcnn_resnet.filters"
    own = SearchConfig(
        recipe=with_settings(tiny_config, {"model": "dcnn-resnet", "preprocess.size": 32}),
        objective=ObjectiveConfig(also=("size",)),
        sampler="exhaustive",
        space={filters: {"type": "choice", "values": [8, 16, 32]}},
    )
    result = search(own, phantom_cohort, phantoms, tmp_path)
    # 32 filters are larger than 16 and score less; 8 score least and are smallest
    assert {trial.parameters[filters] for trial in result.trials if trial.pareto} == {8, 16}
    assert result.recipe.model_settings.dcnn_resnet.filters == 16
    sizes = {trial.parameters[filters]: trial.values[1] for trial in result.trials}
    weights = objectives.zoo.build("dcnn-resnet", 2, result.recipe.model_settings, 32)
    count = sum(weight.numel() for weight in weights.parameters())
    assert sizes[16] == pytest.approx(4 * count / 1e6)
    assert "Pareto front" in (tmp_path / "search.html").read_text("utf-8")


def test_epochs_are_reported_and_an_interrupted_trial_is_repeated(
    phantoms: Path,
    phantom_cohort: pd.DataFrame,
    tiny_config: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layers = {"filters": 2, "growth": 1, "dense": 4, "blocks": 2}
    settings = {f"model_settings.dcnn_resnet.{key}": value for key, value in layers.items()}
    more = {"model": "dcnn-resnet", "preprocess.size": 32, "training.max_epochs": 2}
    recipe = with_settings(tiny_config, settings | more | {"training.learning_rate": 1e-3})
    rate = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
    own = SearchConfig(recipe=recipe, trials=2, space={"training.learning_rate": rate})
    real, calls = Scorer.score, []

    def interrupted(self: Scorer, *args: object) -> Score:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(Scorer, "score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(own, phantom_cohort, phantoms, tmp_path)
    result = search(own, phantom_cohort, phantoms, tmp_path)
    assert [trial.number for trial in result.trials] == [0, 2]  # 1 was interrupted
    assert calls[1][0].training == calls[2][0].training
    assert all(set(trial.steps) <= {1, 2} and trial.steps for trial in result.trials)
    assert list(result.default.steps) == [1, 2]
    assert "Learning curves" in (tmp_path / "search.html").read_text("utf-8")
    assert not list((tmp_path / "trials").rglob("*.ckpt"))


def test_trials_that_fall_behind_are_stopped_early_but_never_the_default(
    phantom_cohort: pd.DataFrame,
    tiny_config: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def score(self: Scorer, config: RunConfig, out: Path, report: Report) -> Score:
        value = config.training.label_smoothing  # the default, 0, is the worst of all
        for epoch in range(1, config.training.max_epochs + 1):
            report(value, epoch)
        return Score(value, (value,))

    monkeypatch.setattr(Scorer, "score", score)
    own = SearchConfig(
        recipe=with_settings(tiny_config, {"training.max_epochs": 9}),
        trials=20,
        sampler="random",
        space={"training.label_smoothing": {"type": "float", "low": 0, "high": 0.9}},
    )
    result = search(own, phantom_cohort, tmp_path, tmp_path / "out")
    stopped = [trial for trial in result.trials if trial.state == "stopped early"]
    assert stopped
    assert all(len(trial.steps) < 9 for trial in stopped)
    assert len(result.complete) + len(stopped) == 20
    assert list(result.default.steps) == list(range(1, 10))
    best = result.best.values[0]
    assert all(trial.steps[1] <= best for trial in stopped)
    assert "stopped early" in (tmp_path / "out" / "search.html").read_text("utf-8")


def test_workers_that_ask_at_the_same_time_are_given_different_values(
    probe: SearchConfig,
) -> None:
    store, alpha = optuna.storages.InMemoryStorage(), probe.space[ALPHA]
    optuna.create_study(storage=store, study_name="probe")
    studies = [
        optuna.load_study(study_name="probe", storage=store, sampler=SeededSampler(probe))
        for _ in range(2)
    ]
    trials = [study.ask() for study in studies]
    values = [alpha.suggest(trial, ALPHA) for trial in trials]
    again = optuna.create_study(sampler=SeededSampler(probe))
    assert values[0] != values[1]
    assert [alpha.suggest(again.ask(), ALPHA) for _ in range(2)] == values


def test_sites_left_out_by_hand(
    tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sites of one source are left out in turn; at the second, nothing is recognised."""
    patients = [f"{number}" for number in range(80)]
    rows = pd.DataFrame({"image_id": patients, "patient_id": patients, "sha256": patients})
    rows = rows.assign(source="a", duplicate_group="", split="train", view="PA")
    rows["finding"] = ["covid-19", "normal"] * 40
    rows["site"] = ["first"] * 40 + ["second"] * 40
    data = labelled_data(tiny_config, rows, np.zeros((80, 1, 1, 1), np.float16), None)

    def odds(trained: object, data: TrainingData, scored: np.ndarray) -> np.ndarray:
        return np.where(scored < 40, 1.0, 0.0) * data.labels[scored]

    monkeypatch.setattr(hold_out_validation, "fit_recipe", lambda *args: None)
    monkeypatch.setattr(hold_out_validation, "log_odds", odds)
    cache = SimpleNamespace(rows=rows, data=lambda config: data)
    scorer = Scorer(ObjectiveConfig(kind="leave-out"), cache)
    steps: list[tuple[float, int]] = []
    score = scorer.score(tiny_config, tmp_path, lambda *step: steps.append(step))
    # the first site is ranked without an error: 1. Of the 40 x 40 pairs of both sites together, the
    # 20 cases of the first win all, the 20 of the second are even with all 40: (20 + 10) / 40
    assert steps == [(1.0, 1), (0.75, 2)]
    assert score.value == 0.75


def test_a_recipe_that_cannot_be_trained_ends_the_search(
    phantoms: Path, phantom_cohort: pd.DataFrame, probe: SearchConfig, tmp_path: Path
) -> None:
    healthy = phantom_cohort[phantom_cohort["finding"] != "covid-19"].reset_index(drop=True)
    with pytest.raises(InputError, match="the recipe itself, trial 0, fails: "):
        search(probe, healthy, phantoms, tmp_path)


def test_the_store_says_why_it_cannot_be_used(
    phantoms: Path, phantom_cohort: pd.DataFrame, probe: SearchConfig, tmp_path: Path
) -> None:
    url = "postgresql://user:secret@127.0.0.1:1/nowhere"
    with pytest.raises(InputError, match="--storage cannot be used") as raised:
        search(probe, phantom_cohort, phantoms, tmp_path, storage=url)
    assert "secret" not in str(raised.value)


def test_a_plain_installation_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith("covid_cxr.search")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    arguments = ["search", "search-original", "--cohort", str(tmp_path / "c.csv")]
    assert command(arguments) == 2
    assert "pip install 'covid-cxr[search]'" in capfd.readouterr().err
