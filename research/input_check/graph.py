"""A lung network's graph also says what its way down sees: a second output, nothing retrained.

The exported network looks at the film and at its mirror image; each pass comes down to a 32nd of
the film before the first `Resize` brings it up again. The mean of both, mirrored back, does not
change where left and right change places, so that a film put in mirrored is judged as any other.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from covid_cxr.errors import BundleError
from covid_cxr.inference.lungs import FEATURES

_COLUMNS = 3  # of (N, C, H, W)


def with_features(path: Path) -> bytes:
    """Return the graph at `path` with the output `features` (N, C, S/32, S/32) added.

    What the graph answered before stays as it is, bit for bit. A graph that has the output
    already is returned unchanged.

    Raises:
        BundleError: it is not the graph of a lung network: no two passes come down and up.
    """
    model = onnx.load(path)
    if FEATURES not in {each.name for each in model.graph.output}:
        straight, mirrored = _deepest(model, path)
        model.graph.node.extend(_mean_of_both(straight, mirrored))
        shape = ["n", None, None, None]
        told = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape)
        model.graph.output.append(told)
        model.graph.initializer.extend(_constants())
        onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _deepest(model: ModelProto, path: Path) -> tuple[str, str]:
    """Return what the pass over the film and the pass over its mirror image first bring up."""
    makers = {name: node for node in model.graph.node for name in node.output}
    first: dict[bool, str] = {}
    for node in model.graph.node:
        if node.op_type == "Resize":
            first.setdefault(_is_mirrored(node.input[0], makers), node.input[0])
    if set(first) != {True, False}:
        raise BundleError(f"'{path}' is no graph of a lung network; make one with covid-cxr lungs")
    return first[False], first[True]


def _is_mirrored(name: str, makers: dict[str, NodeProto]) -> bool:
    """Tell whether a `Slice`, which is how a film is mirrored, lies between `name` and the film."""
    waiting, seen = [name], set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.output[0] in seen:
            continue
        if node.op_type == "Slice":
            return True
        seen.add(node.output[0])
        waiting.extend(node.input)
    return False


def _mean_of_both(straight: str, mirrored: str) -> list[NodeProto]:
    bounds = [f"{FEATURES}_{each}" for each in ("start", "end", "axis", "step")]
    back, total = f"{FEATURES}_back", f"{FEATURES}_sum"
    return [
        helper.make_node("Slice", [mirrored, *bounds], [back], name=f"{back}_node"),
        helper.make_node("Add", [straight, back], [total], name=f"{total}_node"),
        helper.make_node("Mul", [total, f"{FEATURES}_half"], [FEATURES], name=f"{FEATURES}_node"),
    ]


def _constants() -> list[TensorProto]:
    lowest = -(2**63) + 1  # to the first column and beyond, backwards
    whole = {"start": -1, "end": lowest, "axis": _COLUMNS, "step": -1}
    made = [
        helper.make_tensor(f"{FEATURES}_{name}", TensorProto.INT64, [1], [value])
        for name, value in whole.items()
    ]
    return [*made, helper.make_tensor(f"{FEATURES}_half", TensorProto.FLOAT, [], [0.5])]
