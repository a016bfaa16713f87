"""The fourth proof: whole networks, compared on gradients and on ten training steps."""

import copy
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from models.chest_cnn import ChestCNN
from tests.models.backprop.errors import Tensors, relative_error
from tests.support.small_networks import SmallChestCNN, noise, with_random_shifts
from training.step import gradients
from training.step.gradients import GradientsOf
from training.step.objective import Multiclass

CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 1.5], dtype=torch.float64)
OBJECTIVE = Multiclass(CLASS_WEIGHTS, label_smoothing=0.1)
by_hand: GradientsOf = partial(gradients.by_hand, objective=OBJECTIVE)
by_autograd: GradientsOf = partial(gradients.by_autograd, objective=OBJECTIVE)


def network_in_float64(kind: type[ChestCNN] = SmallChestCNN, *, training: bool = True) -> ChestCNN:
    """Return a network that hides no error."""
    torch.manual_seed(3)
    network = kind(classes=4, mean=0.5, std=0.25).double()
    return with_random_shifts(network).train(training)


def films(batch: int, size: int) -> tuple[Tensor, Tensor]:
    return noise(batch, size=(size, size))


def error_of_gradients(network: nn.Module, *, batch: int, size: int) -> float:
    """Return the largest relative error of loss and of every parameter's gradient."""
    answers = []
    for gradients_of in (by_hand, by_autograd):
        loss, gradients = gradients_of(copy.deepcopy(network), *films(batch, size))
        answers.append(gradients | {"loss": loss})
    return relative_error(*answers)


def error_of_trajectory(network: nn.Module, *, rate: float = 0.02) -> float:
    """Return by how much ten steps by hand and by autograd differ, at the worst of the steps."""
    by_both = zip(
        steps(network, by_hand, rate=rate),
        steps(network, by_autograd, rate=rate),
        strict=True,
    )
    return max(relative_error(seen, expected) for seen, expected in by_both)


def steps(
    network: nn.Module, gradients_of: GradientsOf, *, rate: float = 0.02
) -> Iterator[Tensors]:
    """Yield, after each of ten plain gradient steps, how far everything has moved; and the loss."""
    trained = copy.deepcopy(network)
    pixels, targets = films(3, 32)
    for _ in range(10):
        loss, gradients = gradients_of(trained, pixels, targets)
        with torch.no_grad():
            for name, gradient in gradients.items():
                trained.get_parameter(name).sub_(rate * gradient)
        yield moved(network, trained) | {"loss": loss}


def moved(before: nn.Module, after: nn.Module) -> Tensors:
    start, end = before.state_dict(), after.state_dict()
    return {name: (end[name] - start[name]).double() for name in start}


def error_of_slope(network: nn.Module, *, step: float = 1e-6) -> float:
    """Return how far the gradient is from the loss's finite difference along a random direction."""
    pixels, targets = films(3, 32)
    _, gradients = by_hand(network, pixels, targets)
    direction = {name: torch.randn_like(gradient) for name, gradient in gradients.items()}
    ends = []
    for signed_step in (step, -step):
        shifted = copy.deepcopy(network)
        with torch.no_grad():
            for name, change in direction.items():
                shifted.get_parameter(name).add_(signed_step * change)
            ends.append(by_hand(shifted, pixels, targets)[0])
    slope = (ends[0] - ends[1]) / (2 * step)
    expected = sum((gradients[name] * change).sum() for name, change in direction.items())
    return float(abs(expected - slope) / abs(slope))
