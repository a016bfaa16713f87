import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from models.chest_cnn import ChestCNN
from models.tape.network import forward_with_tape, parameter_gradients
from tests.models.backprop import trajectory
from tests.models.backprop.errors import check_error_reaches_pixels
from tests.models.backprop.trajectory import films, network_in_float64

pytestmark = pytest.mark.slow

MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "running"])


@MODES
def test_every_gradient_of_chest_cnn_equals_autograd_at_full_size(training: bool) -> None:
    network = network_in_float64(ChestCNN, training=training)
    assert trajectory.error_of_gradients(network, batch=2, size=224) < 1e-9


@MODES
@pytest.mark.parametrize(("batch", "size"), [(1, 32), (3, 45), (4, 64)])
def test_every_gradient_of_a_small_network_equals_autograd(
    training: bool, batch: int, size: int
) -> None:
    network = network_in_float64(training=training)
    assert trajectory.error_of_gradients(network, batch=batch, size=size) < 1e-9


@MODES
def test_gradients_are_named_as_the_parameters_are(training: bool) -> None:
    network = network_in_float64(training=training)
    _, gradients = trajectory.by_hand(network, *films(2, 32))
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    assert {name: gradient.shape for name, gradient in gradients.items()} == shapes


@MODES
def test_the_loss_moves_along_the_gradient(training: bool) -> None:
    assert trajectory.error_of_slope(network_in_float64(training=training)) < 1e-5


@MODES
def test_ten_training_steps_of_a_small_network_equal_autograds(training: bool) -> None:
    assert trajectory.error_of_trajectory(network_in_float64(training=training)) < 1e-9


# Random running statistics do not normalise, so the deep network takes smaller steps with them.
@pytest.mark.parametrize(("training", "rate"), [(True, 0.02), (False, 2e-5)])
def test_ten_training_steps_of_chest_cnn_equal_autograds(training: bool, rate: float) -> None:
    network = network_in_float64(ChestCNN, training=training)
    assert trajectory.error_of_trajectory(network, rate=rate) < 1e-9


@MODES
def test_the_loss_falls_over_ten_steps_by_hand(training: bool) -> None:
    network = network_in_float64(training=training)
    losses = [step["loss"] for step in trajectory.steps(network, trajectory.by_hand)]
    assert losses[-1] < losses[0]


def test_frozen_parameters_are_left_out_and_the_others_stay_right() -> None:
    network = network_in_float64()
    network.stem.requires_grad_(False)
    network.stages[1][0].norm1.requires_grad_(False)
    network.head.bias.requires_grad_(False)
    assert trajectory.error_of_gradients(network, batch=3, size=32) < 1e-9


def test_the_walk_ends_at_the_first_trainable_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_in_float64()
    network.requires_grad_(False)
    network.head.requires_grad_(True)
    plant(monkeypatch, "fixed_layers", "global_average_pool_backward", _never_called)
    _, gradients = trajectory.by_hand(network, *films(2, 32))
    assert gradients.keys() == {"head.weight", "head.bias"}


def test_a_wholly_frozen_network_has_no_gradients() -> None:
    network = network_in_float64().requires_grad_(False)
    _, gradients = trajectory.by_hand(network, *films(2, 32))
    assert gradients == {}


@MODES
def test_the_error_reaches_the_pixels_as_in_autograd(training: bool) -> None:
    network = network_in_float64(training=training)
    check_error_reaches_pixels(network, films(2, 32)[0])


def test_a_tape_is_walked_once() -> None:
    logits, tape = forward_with_tape(network_in_float64(), films(2, 32)[0])
    parameter_gradients(tape, torch.ones_like(logits))
    with pytest.raises(ValueError, match="tape must be fresh"):
        parameter_gradients(tape, torch.ones_like(logits))


def test_nothing_by_hand_leaves_a_graph_of_autograd() -> None:
    loss, gradients = trajectory.by_hand(network_in_float64(), *films(2, 32))
    assert not any(tensor.requires_grad for tensor in (loss, *gradients.values()))


Change = Callable[[Tensor], Tensor]


def plant(monkeypatch: pytest.MonkeyPatch, module: str, name: str, change: Change) -> None:
    """Let `change` spoil what one hand-written function returns."""
    where = importlib.import_module(f"models.tape.{module}")
    right = getattr(where, name)

    def wrong(*args: Any, **kwargs: Any) -> Tensor:
        return change(right(*args, **kwargs))

    monkeypatch.setattr(where, name, wrong)


def _never_called(gradient: Tensor) -> Tensor:
    raise AssertionError("a backward below the first trainable layer was called")


def one_per_cent_too_large(gradient: Tensor) -> Tensor:
    return 1.01 * gradient


def network_proofs(network: ChestCNN) -> Iterator[float]:
    """Yield what each proof of a whole network sees."""
    yield trajectory.error_of_gradients(network, batch=3, size=32)
    yield trajectory.error_of_trajectory(network)
    yield trajectory.error_of_slope(network)


TRAINING_PARTS = [
    ("trained_layers", "linear_backward"),
    ("trained_layers", "linear_weight_gradient"),
    ("trained_layers", "linear_bias_gradient"),
    ("trained_layers", "conv2d_backward"),
    ("trained_layers", "conv2d_weight_gradient"),
    ("trained_layers", "batch_norm_backward"),
    ("trained_layers", "norm_weight_gradient"),
    ("trained_layers", "norm_bias_gradient"),
    ("fixed_layers", "relu_backward"),
    ("fixed_layers", "max_pool_backward"),
    ("fixed_layers", "global_average_pool_backward"),
    ("residual_layers", "fork_backward"),
]


@pytest.mark.parametrize(("module", "name"), TRAINING_PARTS)
def test_every_network_proof_catches_a_planted_error(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, module, name, one_per_cent_too_large)
    network = network_in_float64()
    assert all(1e-4 < error < math.inf for error in network_proofs(network))


def test_a_planted_error_with_running_statistics_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch, "trained_layers", "running_norm_backward", one_per_cent_too_large)
    network = network_in_float64(training=False)
    assert all(1e-4 < error < math.inf for error in network_proofs(network))


def test_running_statistics_that_stand_still_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "trained_layers", "moved_average", torch.zeros_like)
    assert 1e-4 < trajectory.error_of_trajectory(network_in_float64()) < math.inf
