"""chest_cnn keeps its promises on size, seam and arithmetic."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.architectures import build
from models.chest_cnn import ChestCNN
from tests.models.test_checkpoint import SPEC


@pytest.fixture
def network() -> ChestCNN:
    torch.manual_seed(0)
    return ChestCNN(classes=5, mean=0.5, std=0.25).eval()


def test_it_has_at_most_three_million_parameters(network: ChestCNN) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) <= 3_000_000


def test_it_costs_at_most_1_2_gmac(network: ChestCNN) -> None:
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 224, 224))
    assert counter.get_total_flops() / 2 <= 1.2e9


def test_the_target_layer_keeps_a_14x14_grid(network: ChestCNN) -> None:
    assert network.features(torch.zeros(2, 1, 224, 224)).shape == (2, 192, 14, 14)


def test_features_are_what_a_hook_on_the_target_layer_sees(network: ChestCNN) -> None:
    seen = []
    layer = network.get_submodule(SPEC.target_layer)
    layer.register_forward_hook(lambda *call: seen.append(call[2]))
    features = network.features(torch.rand(2, 1, 64, 64))
    assert torch.equal(features, seen[0])


def test_features_then_classify_is_forward(network: ChestCNN) -> None:
    pixels = torch.rand(3, 1, 64, 64)
    assert torch.equal(network(pixels), network.classify(network.features(pixels)))


def test_normalisation_is_inside_the_network(network: ChestCNN) -> None:
    pixels = torch.rand(2, 1, 32, 32)
    assert torch.allclose(network.normalise(pixels), (pixels - 0.5) / 0.25)


def test_convolutions_start_with_he_variance(network: ChestCNN) -> None:
    weight = network.stages[3][1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (192 * 9)) ** 0.5, rel=0.02)


def test_another_target_layer_is_refused() -> None:
    spec = SPEC.model_copy(update={"target_layer": "stages.2"})
    with pytest.raises(ValueError, match=r"target_layer of chest_cnn must be 'stages\.3'"):
        build(spec)


def test_findings_have_the_same_network_as_classes() -> None:
    multilabel = build(SPEC.model_copy(update={"task": "multilabel"}))
    assert multilabel.head.out_features == len(SPEC.class_names)
