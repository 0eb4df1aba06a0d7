"""The input check in the lung network's graph: what is added, and that masks stay as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from covid_cxr.errors import BundleError
from covid_cxr.inference.input_check import NO_CHEST, UPRIGHT, UPSIDE_DOWN, InputCheck, Limits
from covid_cxr.inference.lungs import (
    DISTANCE,
    FEATURES,
    GRAPH,
    MANIFEST,
    MASKS,
    REASON_LOGITS,
    LungSegmenter,
)
from research.input_check.experiment import write_network
from research.input_check.fit import Head
from research.input_check.graph import with_check, with_features
from research.input_check.samples import feature_shape, pooled
from research.lung_segmentation.export import SPEC, export

SHAPE = (4, 5, 5)  # of the features of the network below

pytestmark = pytest.mark.usefixtures("graph_templates")


class Tiny(nn.Module):
    """The least that comes down to a 32nd and up again."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 32, stride=32)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        coarse = self.down(images)
        size = [SPEC.size, SPEC.size]
        fine = nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
        return self.head(fine)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tiny]:
    torch.manual_seed(0)
    network = Tiny()
    return export(network, tmp_path_factory.mktemp("tiny"), {}, "a test"), network


@pytest.fixture(scope="module")
def head() -> Head:
    """Two components of 60 pooled features, three reasons."""
    rng, wide = np.random.default_rng(1), 4 * 5 * 3
    return Head(
        mean=rng.normal(size=wide).astype(np.float32),
        components=rng.normal(size=(wide, 2)).astype(np.float32),
        weights=rng.normal(size=(2, 3)).astype(np.float32),
        bias=np.array([0, 50, 0], np.float32),
        reasons=(UPRIGHT, UPSIDE_DOWN, NO_CHEST),
        centre=rng.normal(size=2).astype(np.float32),
        whitening=np.array([[2, 0], [0.5, 1]], np.float32),
    )


@pytest.fixture
def checked(tiny: tuple[Path, Tiny], head: Head, tmp_path: Path) -> Path:
    """The tiny network with a check in its graph that rejects everything."""
    folder = Path(shutil.copytree(tiny[0], tmp_path / "checked"))
    limits = Limits(least_log_odds=100, farthest_distance=1)
    check = InputCheck(reasons=head.reasons, lungs_found=limits, lungs_not_found=limits)
    model = with_check(with_features(tiny[0] / GRAPH), head, SHAPE)
    write_network(model, LungSegmenter(tiny[0]).manifest, check, folder)
    return folder


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, SPEC.size, SPEC.size), dtype=np.float32)


def test_columns_are_pooled_with_their_mirror_image_and_rows_are_not() -> None:
    row = np.array([1, 2, 3, 6], np.float32)
    assert pooled(row[None, None, None]).tolist() == [[3.5, 2.5]]
    odd = np.arange(10, dtype=np.float32).reshape(1, 1, 2, 5)
    assert pooled(odd).tolist() == [[2, 2, 2, 7, 7, 7]]
    features = np.random.default_rng(0).random((2, 3, 5, 5), dtype=np.float32)
    assert np.array_equal(pooled(features), pooled(features[..., ::-1]))
    assert not np.array_equal(pooled(features), pooled(features[:, :, ::-1]))


def test_features_leave_the_masks_as_they_are(tiny: tuple[Path, Tiny]) -> None:
    before = onnxruntime.InferenceSession(str(tiny[0] / GRAPH))
    after = onnxruntime.InferenceSession(with_features(tiny[0] / GRAPH).SerializeToString())
    (masks,) = before.run(None, {"images": images()})
    again, features = after.run([MASKS, FEATURES], {"images": images()})
    assert np.array_equal(masks, again)
    with torch.inference_mode():
        displayed = torch.from_numpy(images())
        straight, mirrored = tiny[1].down(displayed), tiny[1].down(displayed.flip(3)).flip(3)
    assert np.allclose(features, (straight + mirrored) / 2, atol=1e-5)


def test_the_graph_computes_what_the_head_does(
    checked: Path, tiny: tuple[Path, Tiny], head: Head
) -> None:
    segmenter = LungSegmenter(checked)
    assert feature_shape(segmenter) == SHAPE
    names = (MASKS, FEATURES, REASON_LOGITS, DISTANCE)
    masks, features, logits, distances = segmenter.outputs(images(), *names)
    assert np.array_equal(masks, LungSegmenter(tiny[0]).probabilities(images()))
    np.testing.assert_allclose(logits, head.reason_logits(pooled(features)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(distances, head.distances(pooled(features)), rtol=1e-4)
    assert distances.shape == (3,)


def test_logits_and_distance_by_hand() -> None:
    head = Head(
        mean=np.array([1, 0], np.float32),
        components=np.eye(2, dtype=np.float32),
        weights=np.array([[1, -1, 0], [0, 0, 1]], np.float32),
        bias=np.zeros(3, np.float32),
        reasons=(UPRIGHT, UPSIDE_DOWN, NO_CHEST),
        centre=np.array([2, 0], np.float32),
        whitening=np.diag([2, 1]).astype(np.float32),
    )
    features = np.array([[3, 0], [-1, 0], [1, 3]], np.float32)
    assert head.reason_logits(features).tolist() == [[2, -2, 0], [-2, 2, 0], [0, 0, 3]]
    assert head.distances(features) == pytest.approx([0, 8, 5])  # the last is (2 x -2, 3)


def test_a_second_check_replaces_the_first(checked: Path, head: Head, tmp_path: Path) -> None:
    model = with_features(checked / GRAPH)
    assert [output.name for output in model.graph.output] == [MASKS, FEATURES]
    again = with_check(model, head, SHAPE)
    assert again.SerializeToString() == (checked / GRAPH).read_bytes()


def test_a_graph_of_something_else_is_named(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1])
    answer = onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["images"], ["probabilities"])
    graph = onnx.helper.make_graph([node], "other", [value], [answer])
    onnx.save(onnx.helper.make_model(graph), tmp_path / GRAPH)
    with pytest.raises(BundleError, match="no graph of a lung network"):
        with_features(tmp_path / GRAPH)


def test_a_network_without_a_check_segments_and_does_not_analyse(tiny: tuple[Path, Tiny]) -> None:
    segmenter = LungSegmenter(tiny[0])
    assert segmenter.segment(list(images()[:, 0])) == [None] * 3
    with pytest.raises(BundleError, match="has no input check"):
        segmenter.analyse(list(images()[:, 0]))
    with pytest.raises(BundleError, match=f"no output '{FEATURES}'"):
        segmenter.outputs(images(), FEATURES)


def test_a_network_with_a_check_rejects_and_lungs_are_as_before(
    checked: Path, tiny: tuple[Path, Tiny]
) -> None:
    segmenter, plain = LungSegmenter(checked), LungSegmenter(tiny[0])
    analyses = segmenter.analyse(list(images()[:, 0]))
    assert [analysis.rejection for analysis in analyses] == [UPSIDE_DOWN] * 3
    assert [analysis.lungs for analysis in analyses] == plain.segment(list(images()[:, 0]))


def test_limits_that_are_not_whole_are_named(checked: Path) -> None:
    manifest = json.loads((checked / MANIFEST).read_text("utf-8"))
    del manifest["input_check"]["lungs_found"]
    (checked / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match="no lung network that can be read") as raised:
        LungSegmenter(checked)
    assert "\n" not in str(raised.value)
