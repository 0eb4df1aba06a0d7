"""Which threads answer, and what is not done twice."""

from pathlib import Path
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest

import covid_cxr
from covid_cxr.inference import runtime
from covid_cxr.inference.answers import BATCH
from covid_cxr.inference.batch import predict_to
from covid_cxr.inference.predictor import Predictor
from covid_cxr.inference.runtime import Outputs
from covid_cxr.types import Radiograph


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return covid_cxr.load(tiny_run / "bundle", threads=1)


def meeting(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Tell of each call of the network whether another was made at the same time."""
    run, barrier, met = predictor.runtime.run, Barrier(2, timeout=3), []

    def meet(images: np.ndarray) -> Outputs:
        try:
            barrier.wait()
            met.append(True)
        except BrokenBarrierError:
            met.append(False)
        return run(images)

    monkeypatch.setattr(predictor.runtime, "run", meet)
    return met


def test_two_batches_are_answered_at_a_time(
    phantoms: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = covid_cxr.load(tiny_run / "bundle", threads=2)
    paths = sorted((phantoms / "images").glob("*.png"))[: BATCH + 1]
    met = meeting(several, monkeypatch)
    predict_to(tmp_path, several, paths)
    assert met == [True, True]


def test_one_thread_answers_one_batch_after_the_other(
    model: Predictor, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted((phantoms / "images").glob("*.png"))[: BATCH + 1]
    met = meeting(model, monkeypatch)
    predict_to(tmp_path, model, paths)
    assert met == [False, False]


def test_the_lung_network_runs_once_a_radiograph(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, calls = model.preparer.segmenter, []
    outputs = segmenter.outputs
    monkeypatch.setattr(
        segmenter,
        "outputs",
        lambda batch, *names: calls.append(len(batch)) or outputs(batch, *names),
    )
    noise = np.random.default_rng(0).random((200, 200), dtype=np.float32)
    reading = model.explain(Radiograph(noise, "noise", "PNG", 8), "cam")
    assert reading.prediction.status == "abstained"
    assert calls == [1]


def test_processors_are_those_that_the_process_may_use() -> None:
    assert runtime.processors() >= 1
