"""What a run's configuration asks of its explainers, plugins among them."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import Field

from covid_cxr import config, explain, registry
from covid_cxr.errors import ConfigError, InputError, UnknownName
from covid_cxr.pipeline.examples import explain_settings
from covid_cxr.pipeline.run import run
from covid_cxr.types import FloatArray

MINE = ["explain.methods=[lime, mine]"]


class MySettings(explain.FillSettings):
    masks: int = Field(1000, ge=10, le=20_000)


def mine(image: FloatArray, model: explain.Model, index: int, settings: MySettings) -> FloatArray:
    return image[0]


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", f"{__name__}:mine", explain.GROUP)
    points = {explain.GROUP: [point]}
    monkeypatch.setattr(registry, "entry_points", lambda group: points.get(group, []))


def test_a_method_takes_the_shared_settings_and_its_own_over_them() -> None:
    own = ["explain.settings.mine.masks=50", "explain.settings.lime={fill: dark, seed: 7}"]
    chosen = config.load(None, [*MINE, *own, "explain.fill=blur", "seed=3"])
    assert config.load(None, [f"explain={chosen.explain.model_dump_json()}"]).explain == (
        chosen.explain
    )
    settings = explain_settings(chosen, "mine").model_dump()
    assert [settings[name] for name in ("masks", "fill", "seed")] == [50, "blur", 3]
    settings = explain_settings(chosen, "lime").model_dump()
    assert [settings[name] for name in ("samples", "fill", "seed")] == [1000, "dark", 7]


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("explain.settings.mine.masks=5", InputError, "masks of mine is 5, expected"),
        ("explain.settings.mine.mask=50", UnknownName, "setting of mine 'mask': did you mean"),
        ("explain.regions=1001", InputError, "regions of lime is 1001, expected"),
    ],
)
def test_a_wrong_setting_is_an_error_before_anything_is_written(
    tmp_path: Path, override: str, error: type[InputError], said: str
) -> None:
    chosen = config.load(None, [*MINE, override])
    with pytest.raises(error, match=said):
        run(chosen, tmp_path, tmp_path / "run", command="test")
    assert list(tmp_path.iterdir()) == []


def test_settings_of_a_method_that_is_not_used_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"settings of 'rise', which is not among methods \(lime"):
        config.load(None, ["explain.settings.rise.masks=50"])
