"""lung_field by hand: every gradient equals autograd's, frozen or not, with its own loss."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from models.lung_field import LungField
from tests.models.backprop.errors import check_error_reaches_pixels, relative_error
from tests.models.tape.test_network import one_per_cent_too_large, plant
from tests.models.tape.test_three_networks import spoiled
from tests.support.small_lung_field import outlined_noise, small_lung_field
from training.backprop_proofs.memory import peak_bytes
from training.backprop_proofs.networks import drawn_at_random
from training.step import gradients
from training.step.gradients import LossAndGradients
from training.step.objective import Segmentation

MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "running"])

by_hand = partial(gradients.by_hand, objective=Segmentation())
by_autograd = partial(gradients.by_autograd, objective=Segmentation())


def answer(
    gradients_of: Callable[..., LossAndGradients], network: LungField, batch: int = 3
) -> dict[str, Tensor]:
    """Return loss and gradients."""
    loss, found = gradients_of(copy.deepcopy(network), *outlined_noise(batch))
    return found | {"loss": loss}


def error(network: LungField, batch: int = 3) -> float:
    """Return the largest relative error of loss and gradients against autograd."""
    return relative_error(answer(by_hand, network, batch), answer(by_autograd, network, batch))


@MODES
@pytest.mark.parametrize("batch", [1, 3])
def test_every_gradient_equals_autograd(training: bool, batch: int) -> None:
    assert error(small_lung_field(training=training), batch) < 1e-9


def test_every_gradient_of_the_real_network_equals_autograd() -> None:
    torch.manual_seed(0)
    network = drawn_at_random(LungField()).double().train()
    films = outlined_noise(2, size=(64, 64))
    loss, seen = by_hand(copy.deepcopy(network), *films)
    expected = by_autograd(network, *films)
    assert (
        relative_error(seen | {"loss": loss}, expected.gradients | {"loss": expected.loss}) < 1e-9
    )


@MODES
def test_checkpointing_changes_no_gradient(training: bool) -> None:
    network = small_lung_field(training=training)
    checkpointed = answer(partial(by_hand, checkpointing=True), network)
    assert relative_error(checkpointed, answer(by_autograd, network)) < 1e-9


def test_memory_is_at_most_a_fifth_more_than_autograds() -> None:
    network = small_lung_field(training=True)
    hand, autograd = (
        peak_bytes(lambda g=gradients_of: g(network, *outlined_noise(16)))
        for gradients_of in (by_hand, by_autograd)
    )
    assert hand <= 1.2 * autograd


PARTS = [
    "first",
    "levels.encode",
    "levels.below",
    "levels.below.1.encode",
    "levels.below.1.below",
    "levels.decode",
    "levels",
    "head",
]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_can_be_frozen_or_be_the_only_one_that_trains(part: str) -> None:
    for trains in (False, True):
        network = small_lung_field(training=True).requires_grad_(not trains)
        network.get_submodule(part).requires_grad_(trains)
        assert error(network) < 1e-9


def test_a_frozen_network_has_no_gradients() -> None:
    network = small_lung_field().requires_grad_(False)
    assert by_hand(network, *outlined_noise(2)).gradients == {}


@MODES
def test_the_error_reaches_the_pixels(training: bool) -> None:
    network = small_lung_field(training=training)
    check_error_reaches_pixels(network, outlined_noise(2)[0])


@pytest.mark.parametrize(
    "function", ["concatenation_backward", "fork_backward", "nearest_upsample_backward"]
)
def test_a_planted_error_in_any_part_is_seen(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "skip_layers", function, spoiled)
    assert error(small_lung_field(training=True)) > 1e-4


def test_a_planted_error_in_the_first_layer_reaches_the_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch, "skip_layers", "film_norm_backward", one_per_cent_too_large)
    with pytest.raises(AssertionError):
        test_the_error_reaches_the_pixels(training=False)


@pytest.mark.parametrize("function", ["dice_loss_backward", "binary_cross_entropy_backward"])
def test_a_planted_error_in_the_loss_is_seen(
    function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "training.step.objective." + function
    right = getattr(__import__("training.step.objective", fromlist=[function]), function)
    monkeypatch.setattr(where, lambda *given, **named: 1.01 * right(*given, **named))
    assert error(small_lung_field(training=True)) > 1e-4
