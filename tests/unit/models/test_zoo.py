"""Networks: shapes and parameter counts worked out by hand, exact maps, honest names."""

import pytest
import torch

from covid_cxr.config import DcnnResnetSettings, ModelSettings, RunConfig
from covid_cxr.errors import UnknownName
from covid_cxr.models import zoo

WITH_CAM = [name for name in zoo.ARCHITECTURES if name != "dcnn-resnet"]


def conv(inputs: int, outputs: int) -> int:
    return inputs * outputs * 9 + outputs


def norm(channels: int) -> int:
    return 2 * channels


def dcnn_parameters(blocks: int, classes: int) -> int:
    """Block i: conv -> 16 x 3^i filters, norm, conv, joined with the input, norm."""
    total, channels = 0, 3
    for i in range(blocks):
        filters = 16 * 3**i
        total += conv(channels, filters) + norm(filters) + conv(filters, filters)
        channels += filters
        total += norm(channels)
    edge = 224 // 2**blocks
    return total + channels * edge * edge * 128 + 128 + 128 * classes + classes


def test_dcnn_resnet_is_the_originals_size() -> None:
    # 3 -> 19 -> 67 -> 211 channels, 28 x 28 left: 211 * 784 * 128 weights in the dense layer
    assert dcnn_parameters(3, 2) == 21_481_220
    binary = zoo.build("dcnn-resnet", 2)
    assert sum(p.numel() for p in binary.parameters()) == 21_481_220
    assert binary.recipe.learning_rate == 1e-5
    multiclass = zoo.build("dcnn-resnet", 3)
    assert sum(p.numel() for p in multiclass.parameters()) == dcnn_parameters(4, 3)
    assert multiclass.recipe.learning_rate == 2e-4


def test_dcnn_resnet_shapes_and_layers() -> None:
    network = zoo.build("dcnn-resnet", 2).eval()
    with torch.inference_mode():
        output = network(torch.rand(2, 1, 224, 224))
    assert output.features.shape == (2, 3 + 16 + 48 + 144, 28, 28)
    assert output.embedding.shape == (2, 128)
    assert not network.has_cam
    # the activity penalty covers 2 convolutions a block and the hidden layer, not the head
    assert len(network.regularised_layers()) == 2 * 3 + 1
    assert {m.negative_slope for m in network.modules() if isinstance(m, torch.nn.LeakyReLU)} == {
        0.3
    }


def test_dcnn_resnet_takes_the_originals_other_sizes() -> None:
    own = DcnnResnetSettings(
        kernel=5, pool=3, filters=8, growth=2, dense=64, blocks=4, dropout=0.1, activity_l2=0
    )
    network = zoo.build("dcnn-resnet", 2, ModelSettings(dcnn_resnet=own), 96).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 1, 96, 96))
    # 96 -> 32 -> 10 -> 3 -> 1 pixels; 3 + 8 + 16 + 32 + 64 channels
    assert output.features.shape == (1, 123, 1, 1)
    assert output.embedding.shape == (1, 64)
    assert network.recipe.activity_l2 == 0
    weights = [8 * (3 + 8), 16 * (11 + 16), 32 * (27 + 32), 64 * (59 + 64)]
    convolutions = 25 * sum(weights)
    counted = sum(m.weight.numel() for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    assert counted == convolutions
    assert own._weights((8, 16, 32, 64), 1, 2) == convolutions + 123 * 64 + 64 * 2


def test_the_seeded_default_is_as_it_was_before_it_could_be_configured() -> None:
    torch.manual_seed(0)
    state = zoo.build("dcnn-resnet", 2).state_dict()
    assert len(state) == 46
    # the head is drawn last, so that it shows every earlier draw
    head = state["head.weight"].flatten()[:2]
    torch.testing.assert_close(head, torch.tensor([-0.0348933, -0.1820026]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "size", "reason"),
    [
        ({"blocks": 8}, 224, "8 poolings by 2 leave nothing of 224 pixels"),
        ({"blocks": 5, "pool": 3}, 224, "5 poolings by 3 leave nothing"),
        # 32 x 3^6 = 23,328 filters squared x 9 are 4.9 thousand million by themselves
        ({"blocks": 7, "filters": 32}, 224, "million weights .7 blocks of 32 to 23328 filters"),
    ],
)
def test_a_network_that_cannot_be_built_is_no_config(settings, size, reason) -> None:
    raw = {"model": "dcnn-resnet", "model_settings": {"dcnn_resnet": settings}}
    with pytest.raises(ValueError, match=reason):
        RunConfig.model_validate(raw | {"preprocess": {"size": size}})
    ModelSettings.model_validate(raw["model_settings"])  # values in range, wrong together


def test_settings_of_another_architecture_are_an_error() -> None:
    raw = {"model": "resnet18", "model_settings": {"dcnn_resnet": {"kernel": 5}}}
    with pytest.raises(ValueError, match=r"model_settings\.dcnn_resnet with model 'resnet18'"):
        RunConfig.model_validate(raw)


def test_prior_starts_the_logits_at_the_log_odds() -> None:
    network = zoo.build("dcnn-resnet", 2).eval()
    network.set_prior([0.9, 0.1])
    with torch.no_grad():
        network.head.weight.zero_()
        logits = network(torch.rand(1, 1, 224, 224)).logits
    torch.testing.assert_close(logits.softmax(1), torch.tensor([[0.9, 0.1]]))


@pytest.mark.parametrize("name", WITH_CAM)
def test_the_mean_of_a_map_plus_bias_is_the_logit(name: str) -> None:
    network = zoo.build(name, 3).eval()
    with torch.inference_mode():
        output = network(torch.rand(1, 1, 64, 64))
        maps = network.cam(output.features)
    assert network.has_cam
    expected = maps.mean((2, 3)) + network.head.bias
    torch.testing.assert_close(output.logits, expected, rtol=1e-4, atol=1e-4)


def test_the_cut_network_gives_maps_twice_as_fine() -> None:
    radiograph = torch.rand(1, 1, 224, 224)
    edges = {}
    for name in ("efficientnet-lite0", "efficientnet-lite0-stride16"):
        with torch.inference_mode():
            edges[name] = zoo.build(name, 2).eval()(radiograph).features.shape[-1]
    assert edges == {"efficientnet-lite0": 7, "efficientnet-lite0-stride16": 14}


def test_our_cut_of_efficientnet_is_the_packages_network() -> None:
    from covid_cxr.models.zoo.efficientnet import EfficientNetFeatures, pretrained

    network, radiograph = pretrained().eval(), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = network.extract_features(radiograph)
        torch.testing.assert_close(EfficientNetFeatures(network).eval()(radiograph), expected)


def test_running_means_follow_the_images_not_imagenet() -> None:
    """With the package's momentum of 0.01, validation scores were wrong for many epochs."""
    network = zoo.build("efficientnet-lite0-stride16", 2)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {round(m.momentum or 0, 6) for m in norms} == {0.1}


def test_an_unknown_name_lists_the_known_and_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'resnet18'\? known are .*densenet121"):
        zoo.build("resnet8", 2)
