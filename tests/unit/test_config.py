"""Configuration: what is committed runs, what is wrong is named in one line."""

from pathlib import Path

import pytest

from covid_cxr import config
from covid_cxr.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_every_committed_config_loads_for_both_tasks(path: Path, task: str) -> None:
    loaded = config.load(path, [f"task={task}", "model=dcnn-resnet"])
    assert loaded.name == path.stem
    assert loaded.task == task


def test_the_resolved_json_reads_back_to_the_same(tmp_path: Path) -> None:
    loaded = config.load(CONFIGS / "default.yaml", ["training.max_epochs=3"])
    (tmp_path / "config.json").write_text(config.dump(loaded))
    assert config.load(tmp_path / "config.json") == loaded
    assert loaded.training.max_epochs == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nonsense=1", "unknown key 'nonsense'"),
        ("training.epochs=1", "unknown key 'training.epochs'"),
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
        config.load(CONFIGS / "seed-protocol.yaml", [override])


def test_a_file_that_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="holds a list"):
        config.load(tmp_path / "list.yaml")
    (tmp_path / "code.yaml").write_text("name: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="not YAML"):
        config.load(tmp_path / "code.yaml")
