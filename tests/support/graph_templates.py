"""ONNX graphs of networks that differ in their weights alone, traced once.

Tracing takes seconds, and tests export the same few architectures many times. Without the
exporter's optimisation every weight is an initializer under its own name, so that the graph of one
network is that of another with other initializers. Parity with torch is checked wherever a bundle
is made, and `tests/unit/training/test_export.py` compares a template with the exporter's own graph.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from support.shared_folders import locked


class Program(NamedTuple):
    """What the caller of `torch.onnx.export` uses."""

    model_proto: onnx.ModelProto


class GraphTemplates:
    """A replacement of `torch.onnx.export` that traces a network's structure once.

    Args:
        export: the real one.
        folder: templates lie in it, for all processes of a test session and, as they are named
            after what they are traced from, for later sessions.
    """

    def __init__(self, export: Callable[..., Any], folder: Path) -> None:
        self.real, self._folder = export, folder

    def __call__(self, model: nn.Module, args: tuple[Tensor, ...], **options: Any) -> Any:
        weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        path = self._folder / f"{_key(model, weights, args, options)}.onnx"
        with locked(path.with_suffix(".lock")):
            if not path.exists():
                program = self.real(model, args, **options, optimize=False)
                _write(path, program.model_proto, weights)
        template = onnx.load(path)
        names = {value.name for value in template.graph.initializer}
        if any(value.dim() and name not in names for name, value in weights.items()):
            return self.real(model, args, **options)
        for value in template.graph.initializer:
            if value.name in weights:
                array = weights[value.name].detach().cpu().numpy()
                value.CopyFrom(onnx.numpy_helper.from_array(array, value.name))
        return Program(template)


def _key(
    model: nn.Module, weights: dict[str, Tensor], args: tuple[Tensor, ...], options: dict[str, Any]
) -> str:
    """Hash the structure of a network, the source of its modules and the exporter's version."""
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    structure = (str(model), shapes, tuple(args[0].shape), options["output_names"])
    files = sorted({inspect.getfile(type(module)) for module in model.modules()})
    sources = [Path(file).read_bytes() for file in files]
    versions = (torch.__version__, onnx.__version__)
    return hashlib.sha256(repr((structure, sources, versions)).encode()).hexdigest()[:16]


def _write(path: Path, template: onnx.ModelProto, weights: dict[str, Tensor]) -> None:
    """Write a template without the weights: each network brings its own."""
    for value in template.graph.initializer:
        if value.name in weights:
            value.ClearField("raw_data")
    part = path.with_suffix(".part")
    part.write_bytes(template.SerializeToString())
    part.replace(path)
