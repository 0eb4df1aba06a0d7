"""The exported graph: its outputs, its temperature, and the templates that other tests use."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from covid_cxr.models import zoo
from covid_cxr.models.zoo.classifier import Classifier
from covid_cxr.training.export import ExportedGraph, _with_temperature, graph_bytes
from support.graph_templates import GraphTemplates

OUTPUTS = ["logits", "probabilities", "embedding", "cam"]
IMAGES = np.random.default_rng(0).random((3, 1, 64, 64), dtype=np.float32)


def network(seed: int) -> Classifier:
    torch.manual_seed(seed)
    network = zoo.build("efficientnet-lite0-stride16", 2)
    with torch.no_grad():
        network.train()(torch.rand(4, 1, 64, 64))  # other statistics of batch normalisation
        network.head.weight.normal_(std=0.05)
    return network.eval()


def run(graph: bytes) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(graph).run(OUTPUTS, {"images": IMAGES})


@pytest.fixture(scope="module")
def exported() -> bytes:
    """The graph as the exporter itself makes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", getattr(torch.onnx.export, "real", torch.onnx.export))
        return graph_bytes(ExportedGraph(network(1), 2.0), 64, OUTPUTS)


def test_the_graph_is_the_network(exported: bytes) -> None:
    with torch.inference_mode():
        expected = ExportedGraph(network(1), 2.0)(torch.from_numpy(IMAGES))
    for ours, theirs in zip(run(exported), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_another_temperature_needs_no_new_export(exported: bytes) -> None:
    warm, cold = run(exported), run(_with_temperature(exported, 0.5))
    np.testing.assert_allclose(cold[0], 4 * warm[0], rtol=1e-6)
    np.testing.assert_allclose(cold[2], warm[2])
    np.testing.assert_allclose(cold[3], 4 * warm[3], rtol=1e-6)
    odds = np.log(cold[1][:, 1] / cold[1][:, 0])
    np.testing.assert_allclose(odds, cold[0][:, 1] - cold[0][:, 0], rtol=1e-3, atol=1e-5)


def test_a_template_with_other_weights_is_the_other_network(
    exported: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(torch.onnx.export, "real", torch.onnx.export)
    traced: list[object] = []

    def count(*args: object, **options: object) -> object:
        traced.append(args)
        return real(*args, **options)

    monkeypatch.setattr(torch.onnx, "export", GraphTemplates(count, tmp_path))
    graphs = [graph_bytes(ExportedGraph(network(seed), 2.0), 64, OUTPUTS) for seed in (2, 1)]
    assert len(traced) == 1
    for ours, theirs in zip(run(graphs[1]), run(exported), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not np.allclose(run(graphs[0])[0], run(exported)[0], atol=1e-2)
