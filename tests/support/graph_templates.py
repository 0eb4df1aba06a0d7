"""ONNX graphs of networks that differ in their weights alone, traced once.

Tracing takes seconds, and tests export the same few architectures many times. Without the
exporter's optimisation every weight is an initializer under its own name, so that the graph of one
network is that of another with other initializers. Parity with torch is checked wherever a bundle
is made, and `tests/unit/training/test_export.py` compares a template with the exporter's own graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from torch import Tensor, nn


class Program(NamedTuple):
    """What the caller of `torch.onnx.export` uses."""

    model_proto: onnx.ModelProto


class GraphTemplates:
    """A replacement of `torch.onnx.export` that traces a network's structure once.

    Args:
        export: the real one.
        folder: templates lie in it, for all processes of a test session.
    """

    def __init__(self, export: Callable[..., Any], folder: Path) -> None:
        self.real, self._folder = export, folder

    def __call__(self, model: nn.Module, args: tuple[Tensor, ...], **options: Any) -> Any:
        weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        shapes = {name: tuple(value.shape) for name, value in weights.items()}
        structure = (str(model), shapes, tuple(args[0].shape), options["output_names"])
        key = hashlib.sha256(repr(structure).encode()).hexdigest()[:16]
        path = self._folder / f"{key}.onnx"
        if not path.exists():
            program = self.real(model, args, **options, optimize=False)
            part = path.with_suffix(f".{id(self)}")
            part.write_bytes(program.model_proto.SerializeToString())
            part.replace(path)
        template = onnx.load(path)
        names = {value.name for value in template.graph.initializer}
        if any(value.dim() and name not in names for name, value in weights.items()):
            return self.real(model, args, **options)
        for value in template.graph.initializer:
            if value.name in weights:
                array = weights[value.name].detach().cpu().numpy()
                value.CopyFrom(onnx.numpy_helper.from_array(array, value.name))
        return Program(template)
