"""Export a trained network as a bundle: graph, parity check, calibration, manifest."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pandas as pd
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from covid_cxr.config import EvaluationConfig, RunConfig
from covid_cxr.errors import CohortError, CovidCxrError, TrainingError
from covid_cxr.files import atomic_write
from covid_cxr.inference.runtime import Runtime
from covid_cxr.metrics import choose_threshold, fit_temperature, softmax
from covid_cxr.models import bundle
from covid_cxr.models.bundle import SHIPPED_LUNGS, Bundle
from covid_cxr.models.manifest import (
    FORMAT_VERSION,
    GRAPH,
    LUNGS,
    LUNGS_MANIFEST,
    Manifest,
    training_sources,
)
from covid_cxr.models.zoo.classifier import Classifier
from covid_cxr.types import CLASSES, FloatArray, Prediction

log = logging.getLogger(__name__)

PARITY = 1e-4
PARITY_IMAGES = 32
_TINY = 1e-12
_TEMPERATURE = "temperature"
LICENCES = (
    "weights: research use only, under the terms of the training images listed per source",
    "code: Apache-2.0",
)


class CalibrationSet(NamedTuple):
    """Logits at temperature 1 of n images that the model was not fitted to.

    Attributes:
        logits: (n, C), up to a constant per image.
        labels: (n,) class numbers.
        weights: (n,) of the images in the fit of the temperature; None: all the same.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None

    @classmethod
    def of_predictions(
        cls, predictions: Sequence[Prediction], labels: NDArray[np.int64]
    ) -> CalibrationSet:
        """Return a draft's predictions of images of known classes (N,); rejected ones left out.

        Raises:
            TrainingError: an answer is not finite.
        """
        for prediction in predictions:
            if prediction.status == "error":
                raise TrainingError(prediction.message)
        is_ok = np.array([prediction.status == "ok" for prediction in predictions])
        rows = [list(prediction.probabilities.values()) for prediction in predictions]
        chosen = [row for row, ok in zip(rows, is_ok, strict=True) if ok]
        scores = np.array(chosen or np.empty((0, 2)))
        return cls(np.log(np.maximum(scores, _TINY)), labels[is_ok])


class ExportedGraph(nn.Module):
    """The network with its temperature, and the outputs of the bundle contract."""

    temperature: Tensor

    def __init__(self, network: Classifier, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = network
        # a buffer becomes an initializer of the graph, which `calibrate` sets without a new export
        self.register_buffer(_TEMPERATURE, torch.tensor(temperature))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 1, S, S) -> logits / T, probabilities, embedding and, where exact, cam."""
        output = self.network(images)
        logits = output.logits / self.temperature
        outputs = (logits, torch.softmax(logits, dim=1), output.embedding)
        if not self.network.has_cam:
            return outputs
        return (*outputs, self.network.cam(output.features) / self.temperature)


def export(
    network: Classifier, config: RunConfig, cohort: pd.DataFrame, out: Path, command: str
) -> Bundle:
    """Write an uncalibrated bundle (temperature 1, threshold 0.5) to `out`.

    Args:
        network: trained weights.
        config: what was trained, and how.
        cohort: the rows of train and val, for the manifest's summary of training data.
        out: folder of the bundle; made where missing.
        command: how to make it again.

    Raises:
        TrainingError: a weight is not finite; nothing is written.
    """
    _require_finite(network)
    out.mkdir(parents=True, exist_ok=True)
    network.eval().to("cpu")
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    atomic_write(out / bundle.WEIGHTS, safetensors.torch.save(weights))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        id="",
        name=config.name,
        task=config.task,
        classes=CLASSES[config.task],
        architecture=config.model,
        model_settings=config.model_settings if config.model == "dcnn-resnet" else None,
        has_cam=network.has_cam,
        embedding_size=network.head.in_features,
        preprocess=config.preprocess,
        temperature=1.0,
        threshold=0.5,
        seed=config.seed,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
        command=command,
        licences=LICENCES,
        training_data=training_sources(cohort),
        metrics={},
        files={},
    )
    return _write(network, manifest, out)


def calibrate(draft: Bundle, calibration: CalibrationSet, config: EvaluationConfig) -> Bundle:
    """Set a draft's temperature and threshold to those fitted to a calibration set.

    Args:
        draft: a bundle made by `export`; replaced.
        calibration: logits of images that the network was not fitted to.
        config: the threshold rule.

    Raises:
        CohortError: there is no image, or none of a class that the threshold rule needs.
        TrainingError: a logit is not finite.
    """
    logits, labels, weights = calibration
    if not len(labels):
        raise CohortError(
            "none of the images to calibrate on can be answered: the input check rejects all of "
            "them; look at them, or at their orientation and grey levels"
        )
    if not np.isfinite(logits).all():
        raise TrainingError(
            f"the logits of {int((~np.isfinite(logits)).any(axis=1).sum())} of {len(labels)} "
            "images to calibrate on are not finite: training diverged; lower "
            "training.learning_rate"
        )
    temperature = fit_temperature(logits, labels, weights)
    covid = softmax(logits, temperature)[:, -1]
    positive = labels == logits.shape[1] - 1
    threshold = choose_threshold(positive, covid, config.threshold, config.min_sensitivity)
    fitted = "temperature %.3f and threshold %.3f from %d images"
    log.info(fitted, temperature, threshold, len(labels))
    share = float(np.average(positive, weights=weights))
    update = {
        "temperature": temperature,
        "threshold": round(threshold, 6),
        "prevalence": round(share, 6),
    }
    atomic_write(draft.graph, _with_temperature(draft.graph.read_bytes(), temperature))
    bundle.seal(draft.folder, draft.manifest.model_copy(update=update))
    return bundle.load(draft.folder)


def check_parity(network: Classifier, exported: Bundle, inputs: FloatArray) -> float:
    """Return the largest difference of torch and ONNX probabilities on `inputs` (N, 1, S, S).

    Raises:
        CovidCxrError: it exceeds 1e-4, so that the bundle must not be used.
    """
    inputs = inputs[:PARITY_IMAGES].astype(np.float32)
    model = ExportedGraph(network, exported.manifest.temperature)
    with torch.inference_mode():
        expected = model(torch.from_numpy(inputs))[1]
    difference = float(np.abs(expected.numpy() - Runtime(exported).probabilities(inputs)).max())
    if not difference <= PARITY:
        raise CovidCxrError(
            f"the exported graph's probabilities differ from torch's by {difference:.2g}, at most "
            f"{PARITY:g} is allowed; the bundle in '{exported.folder}' must not be used"
        )
    return difference


def _require_finite(network: Classifier) -> None:
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainingError(
                f"weights '{name}' are not finite: training diverged, and no bundle is written; "
                "lower training.learning_rate"
            )


def _write(network: Classifier, manifest: Manifest, out: Path) -> Bundle:
    outputs = ["logits", "probabilities", "embedding", *(["cam"] if manifest.has_cam else [])]
    # not 1, for the exporter removes a division by 1
    graph = graph_bytes(ExportedGraph(network, 2.0), manifest.preprocess.size, outputs)
    atomic_write(out / GRAPH, _with_temperature(graph, manifest.temperature))
    if manifest.preprocess.lung_margin is not None:
        for name in (LUNGS, LUNGS_MANIFEST):  # what preprocessing used
            atomic_write(out / name, (SHIPPED_LUNGS / name).read_bytes())
    bundle.seal(out, manifest)
    return bundle.load(out)


def _with_temperature(graph: bytes, temperature: float) -> bytes:
    """Return a graph with another temperature."""
    model = onnx.load_from_string(graph)
    scale = next(value for value in model.graph.initializer if value.name == _TEMPERATURE)
    scale.CopyFrom(onnx.numpy_helper.from_array(np.array(temperature, np.float32), _TEMPERATURE))
    return bytes(model.SerializeToString())


def graph_bytes(model: nn.Module, size: int, outputs: list[str]) -> bytes:
    """Return the ONNX graph of a model that takes `images` (N, 1, size, size)."""
    with quiet("torch.onnx", logging.ERROR, ""):
        program = torch.onnx.export(
            model.eval(),
            (torch.zeros(2, 1, size, size),),
            input_names=["images"],
            output_names=outputs,
            dynamic_shapes={"images": {0: torch.export.Dim("n", min=1)}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return bytes(_without_traces(program.model_proto).SerializeToString())


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's metadata: it contains the builder's paths and changes the hash."""
    for item in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del item.metadata_props[:]
        item.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    return model


@contextmanager
def quiet(logger: str, level: int, *messages: str) -> Iterator[None]:
    """Silence a library: its logger below `level`, and warnings that match (regex, from start).

    The exporter warns of its own internals and of the missing torchvision, Lightning gives advice
    and advertises; neither is of use to who runs a training.
    """
    log_of_library = logging.getLogger(logger)
    before = log_of_library.level
    log_of_library.setLevel(level)
    try:
        with warnings.catch_warnings():
            for message in messages:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        log_of_library.setLevel(before)
