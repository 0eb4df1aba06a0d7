"""The lung network's graph with the input check in it: more outputs, nothing retrained.

The exported network takes the image and its mirror image; each pass comes down to a 32nd of the
image before the first `Resize` brings it up again. The mean of both, mirrored back, does not
change where left and right change places, so that a mirrored radiograph is checked as any other.

The check is made of convolutions, whose results are the same bit for bit whatever the batch and
the number of threads, as those of ONNX Runtime's matrix products are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from covid_cxr.errors import BundleError
from covid_cxr.inference.lungs import DISTANCE, FEATURES, REASON_LOGITS
from research.input_check.fit import Head
from research.input_check.samples import pooled_columns

_COLUMNS = 3  # the axis of (N, C, H, W)
_PREFIX = "input_check"


def with_features(path: Path) -> ModelProto:
    """Return the graph at `path` with the output `features` (N, C, S/32, S/32) and no check.

    What the graph answered before stays as it is, bit for bit.

    Raises:
        BundleError: it is not the graph of a lung network: no two passes come down and up.
    """
    model = _without_check(onnx.load(path))
    if FEATURES not in {output.name for output in model.graph.output}:
        nodes = _Nodes(model, FEATURES)
        straight, mirrored = _deepest(model, path)
        both = nodes.add("Add", [straight, nodes.mirrored(mirrored)])
        nodes.output("Mul", [both, nodes.constant(np.float32(0.5))], FEATURES, [None, None, None])
        onnx.checker.check_model(model)
    return model


def with_check(model: ModelProto, head: Head, shape: tuple[int, int, int]) -> ModelProto:
    """Return a graph with features (N, C, h, w), with `reason_logits` and `distance` added.

    Args:
        model: as `with_features` returns it.
        head: fitted to its pooled features.
        shape: C, h, w.
    """
    channels, height, width = shape
    pooled_shape = (channels, height, pooled_columns(width))
    nodes = _Nodes(model, _PREFIX)
    constant = nodes.constant
    both = nodes.add("Add", [FEATURES, nodes.mirrored(FEATURES)])
    first, end, axis = (constant(np.array([i])) for i in (0, pooled_shape[2], _COLUMNS))
    pooled = nodes.add(
        "Mul", [nodes.add("Slice", [both, first, end, axis]), constant(np.float32(0.5))]
    )
    centred = nodes.add("Sub", [pooled, constant(head.mean.reshape(1, *pooled_shape))])
    kernels = constant(head.components.T.reshape(-1, *pooled_shape))
    components = nodes.add("Conv", [centred, kernels])  # (N, K, 1, 1)
    logits = nodes.add("Conv", [components, _pointwise(nodes, head.weights), constant(head.bias)])
    squeezed = [logits, constant(np.array([2, 3]))]
    nodes.output("Squeeze", squeezed, REASON_LOGITS, [len(head.reasons)])
    away = nodes.add("Sub", [components, constant(head.centre.reshape(1, -1, 1, 1))])
    white = nodes.add("Conv", [away, _pointwise(nodes, head.whitening)])
    axes = constant(np.array([1, 2, 3]))
    nodes.output("ReduceL2", [white, axes], DISTANCE, [], keepdims=0)
    onnx.checker.check_model(model)
    return model


class _Nodes:
    """Adds nodes and constants to a model, each under a name of its own."""

    def __init__(self, model: ModelProto, prefix: str) -> None:
        self._graph, self._prefix, self._count = model.graph, prefix, 0

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        return self._node(kind, inputs, self._name(), attributes)

    def output(
        self, kind: str, inputs: list[str], name: str, shape: list[int | None], **attributes: Any
    ) -> None:
        """Add a node whose output (n, *shape) is the graph's."""
        self._node(kind, inputs, name, attributes)
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        self._graph.output.append(value)

    def constant(self, value: np.generic | np.ndarray) -> str:
        """Add a constant and return its name."""
        name = self._name()
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def mirrored(self, name: str) -> str:
        """Add the mirror image of (N, C, H, W) and return its name."""
        lowest = -(2**63) + 1  # to the first column and beyond, backwards
        bounds = [self.constant(np.array([i])) for i in (-1, lowest, _COLUMNS, -1)]
        return self.add("Slice", [name, *bounds])

    def _node(self, kind: str, inputs: list[str], name: str, attributes: dict[str, Any]) -> str:
        node = helper.make_node(kind, inputs, [name], name=f"{name}_node", **attributes)
        self._graph.node.append(node)
        return name

    def _name(self) -> str:
        self._count += 1
        return f"{self._prefix}_{self._count}"


def _pointwise(nodes: _Nodes, matrix: np.ndarray) -> str:
    """Add a matrix (K, M) as kernels (M, K, 1, 1) and return its name."""
    return nodes.constant(matrix.T[:, :, None, None])


def _without_check(model: ModelProto) -> ModelProto:
    """Remove the nodes, constants and outputs of an input check that was fitted before."""
    graph = model.graph
    check = (f"{_PREFIX}_", REASON_LOGITS, DISTANCE)
    for part in (graph.node, graph.initializer, graph.output):
        kept = [item for item in part if not item.name.startswith(check)]
        del part[:]
        part.extend(kept)
    return model


def _deepest(model: ModelProto, path: Path) -> tuple[str, str]:
    """Return what the pass over the image and the pass over its mirror image first bring up."""
    makers = {name: node for node in model.graph.node for name in node.output}
    first: dict[bool, str] = {}
    for node in model.graph.node:
        if node.op_type == "Resize":
            first.setdefault(_is_mirrored(node.input[0], makers), node.input[0])
    if set(first) != {True, False}:
        raise BundleError(
            f"'{path}' is no graph of a lung network; make one with "
            "python -m research.lung_segmentation"
        )
    return first[False], first[True]


def _is_mirrored(name: str, makers: dict[str, NodeProto]) -> bool:
    """Tell whether a `Slice`, which is how an image is mirrored, lies between `name` and it."""
    waiting, visited = [name], set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.output[0] in visited:
            continue
        if node.op_type == "Slice":
            return True
        visited.add(node.output[0])
        waiting.extend(node.input)
    return False
