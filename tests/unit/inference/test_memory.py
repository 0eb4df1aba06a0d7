"""Few radiographs are in memory at a time, however many are answered."""

import os
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import covid_cxr
from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec
from covid_cxr.explain.rendering.overlay import OverlayStyle
from covid_cxr.inference import answers
from covid_cxr.inference.entries import expand, listing
from covid_cxr.inference.explaining import ExplainSettings
from covid_cxr.inference.input_check import sample_of, warnings_of
from covid_cxr.inference.predictor import Predictor, ReducedRadiograph
from covid_cxr.phantoms import draw
from covid_cxr.types import Lungs, Radiograph
from support.predictions import predicted

EDGE = 700  # more than is looked at when markers are searched
EXPLAINED = ExplainSettings("cam", style=OverlayStyle(longest=64), montage=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("large")
    for number in range(10):
        pixels = np.uint8(np.round(255 * draw("normal", number, size=128).pixels))
        Image.fromarray(pixels).resize((EDGE, EDGE)).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


class Counter:
    """Counts the radiographs that are in memory at their own size."""

    def __init__(self, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = 0
        read = predictor.read

        def counted(source: Path, sha256: str | None) -> Radiograph:
            radiograph = read(source, sha256)
            self.now += 1
            self.most = max(self.most, self.now)
            weakref.finalize(radiograph.pixels, self.drop)
            return radiograph

        monkeypatch.setattr(predictor, "read", counted)

    def drop(self) -> None:
        self.now -= 1


@pytest.mark.parametrize(
    "settings", [None, ExplainSettings("cam", style=OverlayStyle(longest=64), montage=True)]
)
def test_as_many_radiographs_are_in_memory_as_files_are_read_at_once(
    tiny_run: Path,
    images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: ExplainSettings | None,
) -> None:
    predictor = covid_cxr.load(tiny_run / "bundle", threads=2)
    count = Counter(predictor, monkeypatch)
    rows = predicted(tmp_path, predictor, images, settings=settings)
    assert [row.status for row in rows] == ["ok"] * 10
    assert count.most <= 2
    assert count.now == 0


def test_a_bundle_that_needs_whole_radiographs_answers_fewer_together(
    tiny_run: Path, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a search for markers a crop to the lungs is made of the radiograph itself."""
    predictor = covid_cxr.load(tiny_run / "bundle", threads=1)
    spec = PreprocessSpec(size=64, remove_markers=False, lung_margin=0.06)
    monkeypatch.setattr(predictor.preparer, "spec", spec)
    together: list[int] = []
    infer = predictor.infer_reduced

    def counted(radiographs: list[ReducedRadiograph]) -> object:
        together.append(len(radiographs))
        return infer(radiographs)

    monkeypatch.setattr(predictor, "infer_reduced", counted)
    monkeypatch.setattr(answers, "_MOST_PIXELS", 2 * EDGE**2 - 1)
    few = predicted(tmp_path / "few", predictor, images[:4])
    assert [n for n in together if n] == [2, 2]
    together.clear()
    monkeypatch.setattr(answers, "_MOST_PIXELS", 4 * EDGE**2)
    many = predicted(tmp_path / "many", predictor, images[:4])
    assert [n for n in together if n] == [4]
    assert [row.probabilities for row in few] == [row.probabilities for row in many]


@pytest.mark.parametrize("remove_markers", [True, False])
@pytest.mark.parametrize("margin", [None, 0.1])
@pytest.mark.parametrize("shape", [(900, 700), (300, 400)])
def test_the_input_of_what_is_left_is_that_of_the_radiograph(
    remove_markers: bool, margin: float | None, shape: tuple[int, int]
) -> None:
    spec = PreprocessSpec(size=64, remove_markers=remove_markers, lung_margin=margin, equalise=True)
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:8, 1:4] = True
    lungs = Lungs(mask, mask[:, ::-1])
    left = imaging.reduce(pixels, spec)
    keeps_all = not remove_markers and margin is not None
    assert left.size <= (pixels.size if keeps_all else 512 * 512)
    whole = imaging.preprocess(pixels, spec, lungs)
    np.testing.assert_array_equal(imaging.preprocess(left, spec, lungs), whole)


@pytest.mark.parametrize("edge", [32, 511, 512, 1023, 1024, 1535, 1536, 5000])
def test_the_warnings_of_a_sample_are_those_of_the_radiograph(edge: int) -> None:
    pixels = np.random.default_rng(0).random((edge, 40), dtype=np.float32)
    sample = sample_of(pixels)
    assert max(sample.shape) < 1024
    np.testing.assert_array_equal(sample_of(sample), sample)
    assert warnings_of(sample, None) == warnings_of(pixels, None)


def test_folders_are_listed_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    listed: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path).name) or scan(path))
    entries = expand([tmp_path])
    assert next(entries).file == f"{tmp_path}/a/1.png"
    assert listed == [tmp_path.name, "a"]
    assert [entry.file for entry in entries] == [f"{tmp_path}/b/1.png", f"{tmp_path}/c/1.png"]


def test_a_list_of_files_is_not_kept(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for number in range(50):
            (tmp_path / str(folder) / f"{number}.png").touch()

    def peak() -> int:
        tracemalloc.start()
        assert listing([tmp_path]).files == 1000
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak()
    assert peak() < 100_000  # bytes: 100 a file
