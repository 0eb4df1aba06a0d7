"""A bundle whose log-odds are stretched and shifted: a new bundle with its own id.

Only the graph's last nodes change, so that it needs neither the network's code nor torch.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from covid_cxr.errors import BundleError, MissingDependency
from covid_cxr.files import atomic_write
from covid_cxr.models import bundle
from covid_cxr.models.bundle import CARD, Bundle
from covid_cxr.models.manifest import GRAPH, Manifest, TrainingSource
from covid_cxr.types import COVID

_LOGITS, _CAM = "logits", "cam"


def recalibrate(
    original: Bundle,
    out: Path,
    *,
    slope: float,
    shift: float,
    threshold: float,
    fitted_to: tuple[TrainingSource, ...],
    command: str,
) -> Bundle:
    """Write the bundle whose logits are slope * logits, and `shift` more for COVID-19.

    Class maps are multiplied by the slope, so that they still sum to the logits but for a
    constant. Embeddings and weights stay; the card is left to the caller.

    Args:
        original: the bundle it is derived from; its id goes into the manifest.
        out: folder, must not exist.
        slope: over 0; the temperature is divided by it.
        shift: added to what `original` adds.
        threshold: on the new probability of COVID-19.
        fitted_to: what slope, shift and threshold were fitted to.
        command: how to make it again.

    Raises:
        BundleError: `out` exists, or the graph has no output of that name.
        MissingDependency: the package onnx is not installed.
    """
    if out.exists():
        raise BundleError(f"'{out}' exists; delete it or choose another name")
    before = original.manifest
    changes: dict[str, Any] = {
        "temperature": before.temperature / slope,
        "shift": slope * before.shift + shift,
        "threshold": round(threshold, 6),
        "prevalence": None,  # that of `fitted_to`, which are not weighted; see `fitted_share`
        "derived_from": original.id,
        "recalibrated_on": fitted_to,
        "created": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": command,
        "warnings": (),  # of the temperature and threshold that are replaced
        "metrics": {},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".bundle-") as temporary:
        folder = Path(temporary) / "bundle"
        bundle.copy_files(original, folder, without=(CARD,))
        atomic_write(folder / GRAPH, _graph(original.graph, before, slope, shift))
        manifest = before.model_copy(update=changes)
        bundle.seal(folder, manifest)
        folder.replace(out)
    return bundle.load(out)


def need_onnx(purpose: str = "recalibrating") -> Any:
    """Return the package onnx.

    Args:
        purpose: what it is needed for.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{purpose} needs the package 'onnx', which is not installed: "
            "pip install 'covid-cxr[train]'"
        ) from error
    return onnx


def _graph(path: Path, manifest: Manifest, slope: float, shift: float) -> bytes:
    """Return the graph at `path` with slope and shift behind its logits and class maps."""
    onnx = need_onnx()
    model = onnx.load(path)
    shifts = np.array([shift * (name == COVID) for name in manifest.classes], dtype=np.float32)
    _behind(onnx, model.graph, _LOGITS, slope, shifts)
    if manifest.has_cam:
        _behind(onnx, model.graph, _CAM, slope, None)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _behind(onnx: Any, graph: Any, output: str, slope: float, shifts: Any) -> None:
    """Put a multiplication, and an addition where there is one, behind what makes `output`.

    Whatever reads the output, the softmax among them, reads it after.
    """
    position = next((i for i, node in enumerate(graph.node) if output in node.output), None)
    if position is None:
        raise BundleError(f"the bundle's graph makes no '{output}'; export the bundle again")
    taken = {name for node in graph.node for name in node.output}
    # A bundle may be recalibrated again; every name in a graph is used once.
    number = next(n for n in range(1, len(taken) + 2) if f"{output}_before_{n}" not in taken)
    before, scaled = f"{output}_before_{number}", f"{output}_scaled_{number}"
    steps = [("Mul", before, np.float32(slope), output if shifts is None else scaled)]
    if shifts is not None:
        steps.append(("Add", scaled, shifts, output))
    node = graph.node[position]
    node.output[list(node.output).index(output)] = before
    for offset, (kind, source, constant, target) in enumerate(steps, start=1):
        name = f"{output}_{kind.lower()}_{number}"
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(constant), name))
        new = onnx.helper.make_node(kind, [source, name], [target], name=f"{name}_node")
        graph.node.insert(position + offset, new)
