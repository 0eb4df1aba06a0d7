"""The gate: its arithmetic by hand, its file, the network's second output, what it remarks on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from covid_cxr.errors import BundleError
from covid_cxr.files import sha256_of
from covid_cxr.inference.input_check import (
    CUT_OFF,
    FLAT,
    NO_CHEST,
    SATURATED,
    UNLIKE,
    UPRIGHT,
    UPSIDE_DOWN,
    Gate,
    pooled,
    remarks,
)
from covid_cxr.inference.lungs import FEATURES, GRAPH, MANIFEST, SHIPPED, LungFinder
from covid_cxr.models import bundle
from covid_cxr.models.bundle import GATE
from covid_cxr.types import Lungs
from research.input_check.graph import with_features
from research.lung_segmentation.export import SPEC, export

pytestmark = pytest.mark.usefixtures("graph_templates")

LUNGS = Lungs(np.eye(4, dtype=bool), np.eye(4, dtype=bool)[::-1])


def small_gate() -> Gate:
    """Two features; the first says upright or upside down, the second that it is no chest."""
    return Gate(
        mean=np.array([1, 0], np.float32),
        components=np.eye(2, dtype=np.float32),
        weights=np.array([[1, -1, 0], [0, 0, 1]], np.float32),
        bias=np.zeros(3, np.float32),
        reasons=np.array([UPRIGHT, UPSIDE_DOWN, NO_CHEST]),
        centre=np.array([2, 0], np.float32),
        whitening=np.diag([2, 1]).astype(np.float32),
        least=np.array([0.5, 1.5], np.float32),
        farthest=np.array([4, 1], np.float32),
    )


def seen(*pairs: tuple[float, float]) -> np.ndarray:
    """Features (N, 2, 1, 1)."""
    return np.array(pairs, np.float32)[:, :, None, None]


def test_odds_reasons_and_distance_by_hand() -> None:
    gate = small_gate()
    known = gate.project(seen((3, 0), (-1, 0), (1, 3)))
    assert known.tolist() == [[2, 0], [-2, 0], [0, 3]]
    odds, reasons = gate.head(known)
    # logits (2, -2, 0): 2 - log(e^-2 + e^0); (-2, 2, 0): -2 - log(e^2 + 1); (0, 0, 3)
    by_hand = [2 - np.log(np.exp(-2) + 1), -2 - np.log(np.exp(2) + 1), -np.log(1 + np.exp(3))]
    assert odds == pytest.approx(by_hand, abs=1e-6)
    assert reasons.tolist() == [NO_CHEST, UPSIDE_DOWN, NO_CHEST]
    assert gate.distance(known) == pytest.approx([0, 8, 5])  # the last is (2 x -2, 3)


def test_a_film_is_answered_within_both_limits() -> None:
    gate = small_gate()
    looks = seen((3, 0), (-1, 0), (1, 3), (6, 0))
    found = gate.judge(looks, [LUNGS] * 4)
    assert found == [None, UPSIDE_DOWN, NO_CHEST, UNLIKE]  # the last lies 6 from the centre


def test_limits_are_stricter_where_no_lungs_are_found() -> None:
    gate = small_gate()
    # odds 1.21 and distance 1; odds 2.4 and distance 1.2
    looks = seen((2.5, 0), (3.6, 0))
    assert gate.judge(looks, [LUNGS, LUNGS]) == [None, None]
    assert gate.judge(looks, [None, None]) == [NO_CHEST, UNLIKE]


def test_what_is_no_number_is_refused() -> None:
    looks = seen((np.nan, 0), (3, 0))
    first, second = small_gate().judge(looks, [LUNGS, LUNGS])
    assert first is not None
    assert second is None


def test_columns_are_pooled_with_their_mirror_image_and_rows_are_not() -> None:
    row = np.array([1, 2, 3, 6], np.float32)
    assert pooled(row[None, None, None]).tolist() == [[3.5, 2.5]]
    odd = np.arange(10, dtype=np.float32).reshape(1, 1, 2, 5)
    assert pooled(odd).tolist() == [[2, 2, 2, 7, 7, 7]]
    features = np.random.default_rng(0).random((2, 3, 5, 5), dtype=np.float32)
    assert np.array_equal(pooled(features), pooled(features[..., ::-1]))
    assert not np.array_equal(pooled(features), pooled(features[:, :, ::-1]))


def test_a_gate_is_read_as_it_was_written_and_always_the_same(tmp_path: Path) -> None:
    gate = small_gate()
    gate.save(tmp_path / "a.npz")
    gate.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = Gate.load(tmp_path / "a.npz")
    for name in ("mean", "components", "weights", "reasons", "centre", "least", "farthest"):
        assert np.array_equal(getattr(again, name), getattr(gate, name))


@pytest.mark.parametrize(
    "wrong",
    [
        {"bias": np.zeros(2, np.float32)},
        {"components": np.zeros((3, 2), np.float32)},
        {"least": np.zeros(1, np.float32)},
        {"reasons": np.array([UPRIGHT] * 3)},
        {"reasons": np.array([NO_CHEST] * 3)},
        {"mean": np.array([[None]])},
    ],
)
def test_what_is_no_gate_is_named(wrong: dict[str, np.ndarray], tmp_path: Path) -> None:
    replace(small_gate(), **wrong).save(tmp_path / GATE)
    with pytest.raises(BundleError, match="copy it again, whole") as raised:
        Gate.load(tmp_path / GATE)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_archive_are_named(tmp_path: Path) -> None:
    (tmp_path / GATE).write_bytes(b"PK no")
    with pytest.raises(BundleError, match="holds no gate"):
        Gate.load(tmp_path / GATE)


def test_poor_films_are_remarked_on() -> None:
    rng = np.random.default_rng(0)
    good = rng.random((50, 50)).astype(np.float32) * np.float32(0.9) + np.float32(0.05)
    inside = np.zeros((10, 10), bool)
    inside[2:8, 2:4] = True
    assert remarks(good, Lungs(inside, inside[:, ::-1])) == ()
    assert remarks(0.4 + 0.2 * good, None) == (FLAT,)
    assert remarks(np.round(good), None) == (SATURATED,)
    to_the_edge = np.zeros((10, 10), bool)
    to_the_edge[:, :3] = True
    assert remarks(good, Lungs(to_the_edge, to_the_edge & False)) == (CUT_OFF,)


def test_a_film_is_judged_alike_in_any_company() -> None:
    gate = Gate.load(SHIPPED / GATE)
    features = np.random.default_rng(0).normal(size=(16, 192, 5, 5)).astype(np.float32)
    known = gate.project(features)
    exact = (pooled(features) - gate.mean).astype(np.float64) @ gate.components
    np.testing.assert_allclose(known, exact, atol=1e-5)
    for number in (1, 4, 7):
        np.testing.assert_array_equal(gate.project(features[:number]), known[:number])
        np.testing.assert_array_equal(gate.distance(known[:number]), gate.distance(known)[:number])


@settings(max_examples=200, deadline=None)
@given(
    spread=st.floats(0.25, 0.35),
    power=st.sampled_from([0.2, 1, 8]),
    rare=st.floats(0, 0.03),
    shape=st.sampled_from([(9, 40), (100, 90), (700, 60)]),
    seed=st.integers(0, 99),
)
def test_a_film_is_flat_where_its_percentiles_are_close(
    spread: float, power: float, rare: float, shape: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    film = 0.5 + spread * (rng.random(shape) ** power - 0.5)
    film[rng.random(shape) < rare] = 1  # a few pixels may lie anywhere
    film[rng.random(shape) < rare] = 0
    film = film.astype(np.float32)
    low, high = np.percentile(film, [1, 99])
    assert (FLAT in remarks(film, None)) == (high - low < 0.3)


class Tiny(nn.Module):
    """The least that comes down to a 32nd and up again."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 32, stride=32)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        coarse = self.down(films)
        size = [SPEC.size, SPEC.size]
        fine = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        return self.head(fine)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tiny]:
    torch.manual_seed(0)
    network = Tiny()
    return export(network, tmp_path_factory.mktemp("tiny"), {}, "a test"), network


@pytest.fixture
def gated(tiny: tuple[Path, Tiny], tmp_path: Path) -> Path:
    """The tiny network with its second output and a gate that refuses everything."""
    folder = Path(shutil.copytree(tiny[0], tmp_path / "gated"))
    (folder / GRAPH).write_bytes(with_features(tiny[0] / GRAPH))
    wide = 4 * 5 * 3
    refusing = replace(
        small_gate(),
        mean=np.zeros(wide, np.float32),
        components=np.zeros((wide, 2), np.float32),
        bias=np.array([0, 5, 0], np.float32),
    )
    refusing.save(folder / GATE)
    name_in(folder, sha256=sha256_of(folder / GRAPH), gate=sha256_of(folder / GATE))
    return folder


def name_in(folder: Path, **changes: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | changes), "utf-8")


def films(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, SPEC.size, SPEC.size), dtype=np.float32)


def test_the_second_output_leaves_the_masks_as_they_are(tiny: tuple[Path, Tiny]) -> None:
    before = onnxruntime.InferenceSession(str(tiny[0] / GRAPH))
    after = onnxruntime.InferenceSession(with_features(tiny[0] / GRAPH))
    (masks,) = before.run(None, {"images": films()})
    again, features = after.run(["probabilities", FEATURES], {"images": films()})
    assert np.array_equal(masks, again)
    with torch.inference_mode():
        shown = torch.from_numpy(films())
        straight, mirrored = tiny[1].down(shown), tiny[1].down(shown.flip(3)).flip(3)
    assert np.allclose(features, (straight + mirrored) / 2, atol=1e-5)


def test_a_second_time_nothing_is_added(gated: Path) -> None:
    assert with_features(gated / GRAPH) == (gated / GRAPH).read_bytes()


def test_a_graph_of_something_else_is_named(tmp_path: Path) -> None:
    import onnx

    value = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1])
    answer = onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["images"], ["probabilities"])
    graph = onnx.helper.make_graph([node], "other", [value], [answer])
    onnx.save(onnx.helper.make_model(graph), tmp_path / GRAPH)
    with pytest.raises(BundleError, match="no graph of a lung network"):
        with_features(tmp_path / GRAPH)


def test_a_folder_without_a_gate_works_as_before(tiny: tuple[Path, Tiny]) -> None:
    finder = LungFinder(tiny[0])
    assert not finder.has_gate
    assert [each.refusal for each in finder.look(list(films()[:, 0]))] == [None] * 3
    with pytest.raises(BundleError, match=f"no output '{FEATURES}'"):
        finder.see(films())


def test_a_gate_beside_the_network_is_asked_and_lungs_are_as_before(
    gated: Path, tiny: tuple[Path, Tiny]
) -> None:
    finder, plain = LungFinder(gated), LungFinder(tiny[0])
    looks = finder.look(list(films()[:, 0]))
    assert [each.refusal for each in looks] == [UPSIDE_DOWN] * 3
    assert [each.lungs for each in looks] == plain.find(list(films()[:, 0]))
    assert finder.find(list(films()[:, 0])) == plain.find(list(films()[:, 0]))


def test_an_altered_or_missing_gate_is_named(gated: Path) -> None:
    with (gated / GATE).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"gate\.npz' was altered"):
        LungFinder(gated)
    (gated / GATE).unlink()
    with pytest.raises(BundleError, match=r"lacks gate\.npz"):
        LungFinder(gated)


def test_the_gate_is_part_of_a_bundles_id_and_older_bundles_keep_theirs() -> None:
    files = {"model.onnx": "a", "lungs.onnx": "b"}
    ids = {
        bundle.bundle_id({**files, **more}, SPEC, 0.5)
        for more in ({}, {"gate.npz": "c"}, {"gate.npz": "d"})
    }
    assert len(ids) == 3
    assert bundle.bundle_id(files, SPEC, 0.5) == "daf05f6034b6799a"
