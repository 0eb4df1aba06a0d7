"""Which threads answer, and what is not done twice."""

from pathlib import Path

import numpy as np
import pytest

import covid_cxr
from covid_cxr.inference import predictor, runtime
from covid_cxr.inference.batch import BATCH, predict_to
from covid_cxr.inference.predictor import Predictor
from covid_cxr.inference.runtime import Outputs
from covid_cxr.types import Radiograph


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return covid_cxr.load(tiny_run / "bundle", threads=1)


def test_two_batches_at_a_time_have_half_the_threads_each(
    model: Predictor,
    phantoms: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert model.halved is model  # has one thread
    several = covid_cxr.load(tiny_run / "bundle", threads=3)
    assert several.halved is several.halved
    assert several.halved.threads == 2
    films = sorted((phantoms / "images").glob("*.png"))[: BATCH + 1]
    used = [0, 0]

    def counted(which: int, of: Predictor) -> None:
        run = of.runtime.run

        def counting(images: np.ndarray) -> Outputs:
            used[which] += len(images)
            return run(images)

        monkeypatch.setattr(of.runtime, "run", counting)

    counted(0, several)
    counted(1, several.halved)
    predict_to(tmp_path, several, films)
    assert used == [0, len(films)]
    predict_to(tmp_path, several, films[:BATCH])  # one batch alone has all of them
    assert used == [BATCH, len(films)]


def test_lungs_that_the_gate_did_not_find_are_not_looked_for_again(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).random((200, 200), dtype=np.float32)
    whole = model.bundle.manifest.preprocess.model_copy(update={"lung_margin": None})
    monkeypatch.setattr(model.preparer, "spec", whole)
    radiograph = Radiograph(noise, "noise", "PNG", 8)
    (gated,) = model.preparer.gate([noise])
    (prepared,) = model.preparer.prepare([noise])
    asked: list[int] = []
    monkeypatch.setattr(model.preparer, "find_lungs", lambda films: asked.append(1) or [None])
    assert model.lungs_of(gated.film, radiograph) is None
    assert asked == []
    assert model.lungs_of(prepared, radiograph) is None  # nobody has looked yet
    assert asked == [1]


def test_threads_are_halved_of_those_that_the_process_may_use(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "processors", lambda: 1)
    alone = covid_cxr.load(tiny_run / "bundle")
    assert alone.halved is alone
    monkeypatch.setattr(predictor, "processors", lambda: 6)
    several = covid_cxr.load(tiny_run / "bundle")
    assert several.halved.threads == 3
    assert runtime.processors() >= 1
