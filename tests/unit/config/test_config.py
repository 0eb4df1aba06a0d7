"""Configuration: what is committed runs, what is wrong is named in one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from covid_cxr import config
from covid_cxr.errors import ConfigError


@pytest.mark.parametrize("name", ["default", "fine-tuned", "from-scratch", "seed-protocol"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_every_recipe_that_ships_loads_by_its_name_for_both_tasks(name: str, task: str) -> None:
    loaded = config.load(name, [f"task={task}", "model=dcnn-resnet"])
    assert loaded.name == name
    assert name in config.recipes()
    assert loaded.task == task


def test_a_file_comes_before_a_recipe_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("default").write_text("name: mine\n")
    assert config.load("default").name == "mine"
    assert config.load("fine-tuned").name == "fine-tuned"
    expected = "'x/default' is neither a file nor a recipe that ships: default, fine-tuned"
    with pytest.raises(ConfigError, match=expected):
        config.load("x/default")


def test_the_resolved_json_reads_back_to_the_same(tmp_path: Path) -> None:
    loaded = config.load("default", ["training.max_epochs=3"])
    (tmp_path / "config.json").write_text(config.dump(loaded))
    assert config.load(tmp_path / "config.json") == loaded
    assert loaded.training.max_epochs == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nonsense=1", "unknown key 'nonsense'"),
        ("training.epochs=1", "unknown key 'training.epochs'; did you mean 'training.max_epochs'"),
        ("modle=resnet18", "unknown key 'modle'; did you mean 'model'"),
        ("training.max_epochs=0", "'training.max_epochs' is 0"),
        ("model", "is not key=value"),
        ("name.x=1", "'name' is a value"),
        ("cohort.test=0.5", "train \\+ val \\+ test is 1.3, expected 1"),
        ("seed=[", "not YAML"),
        ("training.class_multipliers={covid19: 3}", "no class 'covid19'"),
        ("training.class_multipliers={covid-19: -3}", "class_multipliers.covid-19' is -3"),
        ("name=../up", "'name' is '../up'"),
    ],
)
def test_bad_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.load("seed-protocol", [override])


HELD_OUT = "cohort.strategy=leave-one-source-out"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([HELD_OUT], "'leave-one-source-out' needs held_out, the source to test on"),
        ([HELD_OUT, "cohort.held_out=''"], "needs held_out, the source to test on"),
        (["cohort.strategy=leave-one-site-out"], "needs held_out, the site to test on"),
        (["cohort.held_out=nih"], "held_out is for leave-one-.*, not for strategy 'random'"),
        (
            ["cohort.strategy=lists", "cohort.lists=a.csv", "cohort.held_out=nih"],
            "held_out is for leave-one-.*, not for strategy 'lists'",
        ),
        (
            [HELD_OUT, "cohort.held_out=nih", "cohort.external=[nih]"],
            "source 'nih' is both held_out and external",
        ),
        (["cohort.strategy=lists"], "'lists' needs lists, a CSV with image_id and split"),
        (["cohort.lists=a.csv"], "lists is for strategy 'lists', not for 'random'"),
        (
            ["cohort.strategy=lists", "cohort.lists=a.csv", "cohort.external=[nih]"],
            "the list says what is external; remove external",
        ),
        (["cohort.strategy=leave-one-out"], "'cohort.strategy' is 'leave-one-out'"),
    ],
)
def test_a_strategy_without_what_it_needs_or_with_what_it_has_no_use_for(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        config.load(None, overrides)
    assert "\n" not in str(caught.value)
    assert "{" not in str(caught.value)  # what is wrong, not the whole section


@pytest.mark.parametrize(
    "overrides",
    [
        [HELD_OUT, "cohort.held_out=nih", "cohort.external=[mila]"],
        ["cohort.strategy=leave-one-site-out", "cohort.held_out=nih", "cohort.external=[nih]"],
        ["cohort.strategy=lists", "cohort.lists=lists/a.csv"],
    ],
)
def test_a_strategy_with_what_it_needs(overrides: list[str], tmp_path: Path) -> None:
    loaded = config.load(None, overrides)
    (tmp_path / "config.json").write_text(config.dump(loaded))
    assert config.load(tmp_path / "config.json") == loaded


def test_a_file_that_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a file nor a recipe"):
        config.load(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="holds a list"):
        config.load(tmp_path / "list.yaml")
    (tmp_path / "code.yaml").write_text("name: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="not YAML"):
        config.load(tmp_path / "code.yaml")


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        (
            ["training.label_weights.normal=0.1"],
            "settings: 'training': label_weights with method 'gradient', expected 'linear-probe', ",
        ),
        (
            ["training.method=linear-probe", "training.imbalance=focal"],
            "settings: 'training': imbalance 'focal' with method 'linear-probe', expected ",
        ),
    ],
)
def test_a_rule_of_ours_is_told_in_our_own_words(settings: list[str], begins: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(None, settings)
    assert str(caught.value).startswith(begins)


def float_settings(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Yield the dotted name of every setting that is a number with decimals."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from float_settings(kind, f"{path}{name}.")
        elif float in (kind, *get_args(kind)):
            yield f"{path}{name}"


@pytest.mark.parametrize("setting", [*float_settings(config.RunConfig)])
@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e999"])
def test_no_setting_is_infinite_or_not_a_number(setting: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{setting}' is .*finite number|greater|less"):
        config.load(None, [f"{setting}={value}"])


@pytest.mark.parametrize(
    "override",
    [
        "training.label_weights={normal: .inf}",
        "training.class_multipliers={covid-19: .nan}",
        "training.label_weights={covid-19: 1e300}",
        "training.ridge_alpha=1e300",
        "cohort.filters.offset=[-.inf, 3]",
    ],
)
def test_nor_is_one_in_a_table_or_so_large_that_sums_are(override: str) -> None:
    with pytest.raises(ConfigError, match=r"finite number|less than or equal"):
        config.load(None, [override])


def test_the_settings_that_diverge_are_among_them() -> None:
    names = set(float_settings(config.RunConfig))
    assert {"training.ridge_alpha", "training.learning_rate", "audit.bounds.skill"} <= names
