"""The rules for network architectures, as tests that a plugin can inherit.

    class TestMyNetwork(ArchitectureContract):
        build = staticmethod(my_package.build)

`build` takes the number of classes and returns a `Classifier`. Run by pytest.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from covid_cxr.models.zoo.classifier import Classifier, Output
from covid_cxr.training.export import PARITY, ExportedGraph, graph_bytes

IMAGES, CLASSES = 2, 3


class Architecture(Protocol):
    """A function that builds a network for a number of classes."""

    def __call__(self, n_classes: int) -> Classifier: ...


class _Pass(NamedTuple):
    network: Classifier
    images: Tensor
    output: Output


class ArchitectureContract:
    """Inherit, name your function `build`, and let pytest collect the class."""

    build: ClassVar[Architecture]
    # Edge of the test images in pixels; a network for one size only states that size.
    size: ClassVar[int] = 64

    @classmethod
    @cache
    def forward(cls) -> _Pass:
        """Return the network in evaluation mode, noise (N, 1, S, S) in [0, 1] and its output."""
        network = cls.build(CLASSES).eval()
        generator = torch.Generator().manual_seed(0)
        images = torch.rand((IMAGES, 1, cls.size, cls.size), generator=generator)
        return _Pass(network, images, _evaluate(network, images))

    def test_shapes(self) -> None:
        """Logits (N, C), an embedding (N, E) that the head takes, a feature map (N, K, h, w)."""
        network, _, output = self.forward()
        shapes = [tuple(values.shape) for values in output]
        expected = [(IMAGES, CLASSES), (IMAGES, network.head.in_features)]
        assert shapes[:2] == expected, f"logits and embedding are {shapes[:2]}, expected {expected}"
        is_map = len(shapes[2]) == 4 and shapes[2][0] == IMAGES
        assert is_map, f"features are {shapes[2]}, expected ({IMAGES}, K, h, w)"

    def test_numbers_are_finite_float32(self) -> None:
        """On noise, and on a black and a white image."""
        network, images, output = self.forward()
        constant = torch.stack([torch.zeros_like(images[0]), torch.ones_like(images[0])])
        for values in (*output, *_evaluate(network, constant)):
            assert values.dtype == torch.float32, f"output is {values.dtype}, expected float32"
            infinite = int((~values.isfinite()).sum())
            assert infinite == 0, f"{infinite} of {values.numel()} output values are not finite"

    def test_number_of_classes(self) -> None:
        """The head has one output a class."""
        outputs = self.build(2).head.out_features
        assert outputs == 2, f"the head has {outputs} outputs for 2 classes"

    def test_logits_are_linear_in_the_embedding(self) -> None:
        """Dropout aside, the logits are the head of the embedding."""
        network, _, output = self.forward()
        _check_close(output.logits, network.head(output.embedding), "the head of the embedding")

    def test_activation_maps_average_to_the_logits(self) -> None:
        """With `has_cam`, the mean of a class's map plus its bias is its logit."""
        network, _, output = self.forward()
        if network.has_cam:
            expected = network.cam(output.features).mean((2, 3)) + network.head.bias
            _check_close(output.logits, expected, "the average of the maps")

    def test_evaluation_is_deterministic(self) -> None:
        """Two calls agree to the last bit."""
        network, images, first = self.forward()
        again = _evaluate(network, images)
        for a, b in zip(first, again, strict=True):
            most = float((a - b).abs().max())
            assert most == 0, f"two passes differ by {most:.3g}, expected 0; is something random?"

    def test_an_image_does_not_depend_on_its_batch(self) -> None:
        """Alone and among others it has the same logits, but for rounding."""
        network, images, output = self.forward()
        alone = _evaluate(network, images[:1])
        _check_close(alone.logits, output.logits[:1], "an image alone and in a batch")

    def test_every_weight_is_trained(self) -> None:
        """In training mode, the loss has a finite gradient for each trainable weight."""
        network = self.build(CLASSES).train()
        logits = network(self.forward().images).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(IMAGES))
        loss.backward()  # type: ignore[no-untyped-call]
        for name, weight in network.named_parameters():
            if weight.requires_grad:
                assert weight.grad is not None, f"weight '{name}' has no gradient: it is not used"
                infinite = int((~weight.grad.isfinite()).sum())
                assert infinite == 0, f"{infinite} gradients of '{name}' are not finite"

    def test_weights_can_be_saved_and_loaded(self, tmp_path: Path) -> None:
        """A bundle's safetensors hold all that a fresh network needs for the same logits."""
        network, images, output = self.forward()
        state = {name: values.contiguous() for name, values in network.state_dict().items()}
        save_file(state, tmp_path / "weights.safetensors")
        again = self.build(CLASSES).eval()
        again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        most = float((_evaluate(again, images).logits - output.logits).abs().max())
        assert most == 0, f"logits of the loaded network differ by {most:.3g}, expected 0"

    def test_exported_graph_agrees(self) -> None:
        """ONNX Runtime gives the same probabilities for any number of images."""
        network, images, output = self.forward()
        names = ["logits", "probabilities", "embedding", *["cam"] * network.has_cam]
        graph = graph_bytes(ExportedGraph(network, temperature=1.0), self.size, names)
        session = onnxruntime.InferenceSession(graph)
        found = [output.name for output in session.get_outputs()]
        assert found == names, f"the graph has the outputs {found}, expected {names}"
        expected = torch.softmax(output.logits, dim=1).numpy()
        for count in range(1, IMAGES + 1):
            (actual,) = session.run(["probabilities"], {"images": images[:count].numpy()})
            most = float(np.abs(actual - expected[:count]).max())
            assert most <= PARITY, (
                f"probabilities of {count} images differ by {most:.3g} between torch and ONNX "
                f"Runtime, expected at most {PARITY:g}"
            )


def _check_close(logits: Tensor, expected: Tensor, what: str, bound: float = 1e-4) -> None:
    """Check two tensors (N, C) by their largest difference, relative where they exceed 1."""
    most = float(((logits - expected).abs() / expected.abs().clamp(min=1)).max().detach())
    assert most <= bound, f"logits and {what} differ by {most:.3g}, expected at most {bound:g}"


def _evaluate(network: Classifier, images: Tensor) -> Output:
    with torch.no_grad():
        output: Output = network(images)
    return output
