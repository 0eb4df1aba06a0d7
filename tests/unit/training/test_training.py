"""Training parts: weights, losses, augmentation, schedule; each against numbers by hand."""

import numpy as np
import pytest
import torch

from covid_cxr.config import AugmentConfig, RunConfig, TrainingConfig
from covid_cxr.errors import CohortError
from covid_cxr.models import zoo
from covid_cxr.training.datamodule import DataModule, InputDataset, TrainingData
from covid_cxr.training.experiment import fit
from covid_cxr.training.inputs import augmentation
from covid_cxr.training.module import TrainingModule, _WarmCosine, class_weights
from covid_cxr.training.tracking import confusion_figure, roc_figure

BINARY = ("non-covid-19", "covid-19")


def test_class_weights_are_inverse_frequency_times_multiplier() -> None:
    labels = np.array([0] * 900 + [1] * 100)
    multipliers = {"non-covid-19": 0.15, "covid-19": 1.0}
    config = TrainingConfig(class_multipliers=multipliers)
    # 1000 / (2 * 900) * 0.15 and 1000 / (2 * 100) * 1
    np.testing.assert_allclose(class_weights(labels, BINARY, config), [1 / 12, 5.0])
    plain = TrainingConfig(imbalance="none", class_multipliers=multipliers)
    np.testing.assert_allclose(class_weights(labels, BINARY, plain), [1, 1])


def module_of(**settings: object) -> TrainingModule:
    network = zoo.build("efficientnet-lite0-stride16", 2)
    return TrainingModule(network, TrainingConfig.model_validate(settings), np.array([1.0, 3.0]))


def test_focal_loss_is_lins_formula() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    labels = torch.tensor([0, 1])
    # MONAI's mean runs over N x C cells, of which the true class alone is not zero
    one_hot = torch.nn.functional.one_hot(labels, 2)
    log_p = logits.log_softmax(1)
    by_hand = -((1 - log_p.exp()) ** 2 * log_p * one_hot * torch.tensor([1.0, 3.0])).mean()
    torch.testing.assert_close(module_of(imbalance="focal").loss(logits, labels), by_hand)


def test_activity_penalty_is_keras_sum_over_batch() -> None:
    network = zoo.build("dcnn-resnet", 2)
    module = TrainingModule(network, TrainingConfig(), np.ones(2)).train()
    layers = [m for b in network.features for m in (b.conv0, b.conv1)] + [network.embed[2]]
    outputs: list[torch.Tensor] = []
    for layer in layers:
        layer.register_forward_hook(lambda _, __, output: outputs.append(output.detach()))
    module(torch.rand(2, 1, 224, 224))
    by_hand = 1e-4 * sum(float(output.square().sum()) for output in outputs) / 2
    assert module._take_penalty(2).item() == pytest.approx(by_hand, rel=1e-4)
    assert module._take_penalty(2).item() == 0  # taken once


def test_schedule_warms_up_then_falls_to_nothing() -> None:
    factor = _WarmCosine(100)
    assert [factor(step) for step in (0, 4)] == [0.2, 1.0]
    assert factor(5) == 1.0
    assert factor(52) == pytest.approx(0.5, abs=0.01)
    assert factor(100) == pytest.approx(0, abs=1e-9)


def inputs(n: int = 6, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = rng.random((n, 1, size, size)).astype(np.float16)
    return pixels, np.arange(n, dtype=np.int64) % 2


ALL_ON = AugmentConfig(
    rotation=10, shift=0.1, scale=0.1, gamma=0.5, noise=0.05, blur=1, erasing=1, flip=0.5
)


def test_augmentation_is_seeded_by_epoch_and_row() -> None:
    pixels, labels = inputs()
    data, rows = TrainingData(pixels, labels, np.arange(6), np.arange(0)), np.arange(6)

    def draw(epoch: int, row: int) -> torch.Tensor:
        return InputDataset(data, rows, augmentation(ALL_ON, 64), lambda: (1, epoch))[row][0]

    torch.testing.assert_close(draw(0, 2), draw(0, 2))
    assert not torch.equal(draw(0, 2), draw(1, 2))
    assert draw(0, 2).shape == (1, 64, 64)
    assert 0 <= float(draw(0, 3).min()) <= float(draw(0, 3).max()) <= 1


def test_validation_inputs_are_not_augmented() -> None:
    pixels, labels = inputs()
    data = TrainingData(pixels, labels, np.arange(0), np.array([4, 1]))
    image, label = InputDataset(data, data.val)[1]
    np.testing.assert_array_equal(image.numpy(), pixels[1].astype(np.float32))
    assert int(label) == 1


def test_no_flip_by_default_because_the_heart_has_a_side() -> None:
    assert AugmentConfig().flip == 0
    pixels = np.zeros((1, 1, 64, 64), np.float16)
    pixels[..., :32] = 1  # bright on the viewer's left
    data = TrainingData(pixels, np.zeros(1, np.int64), np.array([0]), np.arange(0))
    transform = augmentation(AugmentConfig(), 64)
    for epoch in range(20):
        seed = (0, epoch)
        dataset = InputDataset(data, data.train, transform, lambda seed=seed: seed)
        image = dataset[0][0]
        assert image[0, :, :32].mean() > image[0, :, 32:].mean()


def test_oversampling_evens_the_classes_out() -> None:
    even = TrainingConfig(imbalance="oversample")
    labels = np.array([0] * 95 + [1] * 5)
    pixels, rows = np.zeros((100, 1, 4, 4), np.float16), np.arange(100)
    configs = [RunConfig(training=even, seed=seed) for seed in range(20)]
    data = TrainingData(pixels, labels, rows, rows)
    synthetic = [labels[i] for config in configs for i in DataModule(config, data).order()]
    assert 0.45 < np.mean(synthetic) < 0.55


def test_a_class_without_images_is_an_error_before_training(tmp_path) -> None:
    pixels, _ = inputs()
    data = TrainingData(pixels, np.zeros(6, np.int64), np.arange(4), np.array([4, 5]))
    with pytest.raises(CohortError, match="training rows have no image of class covid-19"):
        fit(RunConfig(), data, tmp_path)


def test_tensorboard_pictures_draw() -> None:
    logits = np.array([[2, 0], [0, 1], [1, 0]], np.float32)
    labels = np.array([0, 1, 1])
    assert roc_figure(labels, logits).axes[0].get_xlabel() == "1 - specificity"
    texts = [text.get_text() for text in confusion_figure(labels, logits, BINARY).axes[0].texts]
    assert texts == ["1", "0", "1", "1"]
