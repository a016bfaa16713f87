"""What holds of every network by hand: equal to autograd, frugal, and honest about dropout."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from models.network import Network, layers_in_order
from models.tape.network import forward_with_tape
from tests.models.backprop.errors import check_error_reaches_pixels, relative_error
from tests.models.tape.test_network import one_per_cent_too_large, plant
from tests.support.small_networks import SMALL, SmallViTB16, noise, small_network
from training.backprop_proofs.memory import peak_bytes
from training.backprop_proofs.proofs import with_qkv_apart
from training.step.gradients import LossAndGradients, by_autograd, by_hand

NETWORKS = pytest.mark.parametrize("name", SMALL)
MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "running"])


def seeded(
    gradients_of: Callable[..., LossAndGradients], network: Network, batch: int = 3, **settings: Any
) -> dict[str, Tensor]:
    """Return loss and gradients, dropout's masks being drawn from the same seed each time."""
    torch.manual_seed(11)
    loss, gradients = gradients_of(copy.deepcopy(network), *noise(batch), **settings)
    return with_qkv_apart(gradients) | {"loss": loss}


def error(network: Network, **settings: Any) -> float:
    """Return the largest relative error of loss and gradients against autograd."""
    return relative_error(seeded(by_hand, network, **settings), seeded(by_autograd, network))


@NETWORKS
@MODES
def test_every_gradient_equals_autograd_with_dropout_as_well(name: str, training: bool) -> None:
    assert error(small_network(name, training=training)) < 1e-9


@NETWORKS
@MODES
def test_checkpointing_changes_no_gradient(name: str, training: bool) -> None:
    assert error(small_network(name, training=training), checkpointing=True) < 1e-9


def test_checkpointing_moves_running_statistics_once() -> None:
    moved = []
    for checkpointing in (False, True):
        network = small_network("chest_cnn", training=True)
        by_hand(network, *noise(3), checkpointing=checkpointing)
        moved.append(dict(network.named_buffers()))
    torch.testing.assert_close(*moved, rtol=0, atol=0)


def test_checkpointing_leaves_the_random_generator_where_it_was() -> None:
    network = small_network("vit_b16 token", training=True)
    states = []
    for checkpointing in (False, True):
        torch.manual_seed(1)
        by_hand(network, *noise(3), checkpointing=checkpointing)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_checkpointing_takes_less_memory() -> None:
    network = small_network("vit_b16 average", training=True)
    kept, recomputed = (
        peak_bytes(lambda c=checkpointing: by_hand(network, *noise(64), checkpointing=c))
        for checkpointing in (False, True)
    )
    assert recomputed < 0.7 * kept


@NETWORKS
def test_memory_is_at_most_a_fifth_more_than_autograds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmallViTB16, "depth", 8)  # of few blocks, one alone would be the peak
    network = small_network(name, training=True)
    hand, autograd = (
        peak_bytes(lambda g=gradients_of: g(network, *noise(16)))
        for gradients_of in (by_hand, by_autograd)
    )
    assert hand <= 1.2 * autograd


@NETWORKS
def test_nothing_is_computed_below_the_lowest_trainable_layer(name: str) -> None:
    network = small_network(name, training=True)
    layers = [(n, m) for n, m in layers_in_order(network) if any(True for _ in m.parameters())]
    middle = layers[len(layers) // 2][0]
    freeze_below(network, middle)
    _, tape = forward_with_tape(network, noise(3)[0])
    assert tape.chain.steps[0][0] == middle
    assert error(network) < 1e-9


def freeze_below(network: Network, layer: str) -> None:
    for name, module in layers_in_order(network):
        if name == layer:
            return
        module.requires_grad_(False)


@NETWORKS
def test_single_frozen_parameters_are_left_out(name: str) -> None:
    network = small_network(name, training=True)
    for number, parameter in enumerate(network.parameters()):
        parameter.requires_grad_(number % 3 != 1)
    assert error(network) < 1e-9


@NETWORKS
def test_a_frozen_network_has_no_gradients(name: str) -> None:
    network = small_network(name).requires_grad_(False)
    assert by_hand(network, *noise(2)).gradients == {}


@pytest.mark.parametrize("frozen", ["norm1", "attn", "attn.qkv", "attn.proj", "norm2", "mlp"])
@pytest.mark.parametrize("name", ["vit_b16 token", "vit_b16 average"])
def test_parts_of_a_block_can_be_frozen(name: str, frozen: str) -> None:
    network = small_network(name, training=True)
    network.embed.requires_grad_(False)
    for block in network.blocks:
        block.get_submodule(frozen).requires_grad_(False)
    assert error(network) < 1e-9


@pytest.mark.parametrize("name", ["vit_b16 token", "vit_b16 average"])
@pytest.mark.parametrize("trained", ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp"])
def test_one_part_of_the_last_block_can_be_trained_alone(name: str, trained: str) -> None:
    network = small_network(name, training=True).requires_grad_(False)
    network.blocks[-1].get_submodule(trained).requires_grad_(True)
    assert error(network) < 1e-9


@pytest.mark.parametrize("names", [("cls_token",), ("pos_embed",), ("proj.weight", "proj.bias")])
def test_parts_of_the_embedding_can_be_trained_alone(names: tuple[str, ...]) -> None:
    network = small_network("vit_b16 token", training=True).requires_grad_(False)
    for name in names:
        network.embed.get_parameter(name).requires_grad_(True)
    assert error(network) < 1e-9


@pytest.mark.parametrize("name", ["vit_b16 token", "vit_b16 average", "vgg16"])
def test_the_error_reaches_the_pixels(name: str) -> None:
    network = small_network(name)
    check_error_reaches_pixels(network, noise(2)[0])


PARTS = [
    ("transformer_layers", "attention_backward", "vit_b16 average"),
    ("transformer_layers", "class_token_backward", "vit_b16 token"),
    ("transformer_layers", "position_gradient", "vit_b16 token"),
    ("transformer_layers", "fork_backward", "vit_b16 token"),
    ("transformer_layers", "dropout_backward", "vit_b16 token"),
    ("transformer_layers", "linear_backward", "vit_b16 token"),
    ("transformer_layers", "linear_weight_gradient", "vit_b16 token"),
    ("trained_layers", "layer_norm_backward", "vit_b16 token"),
    ("trained_layers", "layer_norm_weight_gradient", "vit_b16 token"),
    ("trained_layers", "layer_norm_bias_gradient", "vit_b16 token"),
    ("fixed_layers", "gelu_backward", "vit_b16 token"),
    ("fixed_layers", "patch_average_backward", "vit_b16 average"),
    ("fixed_layers", "max_pool_backward", "vgg16 fully connected"),
    ("fixed_layers", "relu_backward", "vgg16"),
]


@pytest.mark.parametrize(("module", "function", "name"), PARTS)
def test_a_planted_error_in_any_part_is_seen(
    module: str, function: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, module, function, spoiled)
    assert error(small_network(name, training=True)) > 1e-4


def spoiled(gradient: Any) -> Any:
    if isinstance(gradient, tuple):
        return type(gradient)(*map(one_per_cent_too_large, gradient))
    return one_per_cent_too_large(gradient)
