"""Three proofs of a hand-written backward, as functions of it: each returns a relative error.

A wrong backward goes in the same way as the right one, so every test file also shows that its
planted errors are caught by each proof. The fourth, the training trajectory, is in `trajectory`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tests.models.backprop.errors import Tensors, relative_error

TOLERANCE = 1e-10
FINITE_DIFFERENCE_TOLERANCE = 1e-6
CAUGHT = 1e-2
"""A planted error must show at least this much."""


@dataclass(frozen=True)
class Layer:
    """A layer as the proofs see it; every function takes its inputs by name, in float64."""

    inputs: Tensors
    forward: Callable[..., Tensor]
    backward: Callable[..., Tensors]
    reference: Callable[..., Tensor]
    twin: Callable[..., Tensors]


def error_of_forward(layer: Layer) -> float:
    seen, expected = layer.forward(**layer.inputs), layer.reference(**layer.inputs)
    return relative_error({"out": seen}, {"out": expected})


def error_against_autograd(layer: Layer) -> float:
    leaves = {name: x.clone().requires_grad_() for name, x in layer.inputs.items()}
    out = layer.reference(**leaves)
    grad_out = cotangent(out)
    gradients = torch.autograd.grad(out, tuple(leaves.values()), grad_out)
    expected = dict(zip(leaves, gradients, strict=True))
    return relative_error(layer.backward(grad_out, **layer.inputs), expected)


def error_against_finite_differences(layer: Layer, step: float = 1e-5) -> float:
    grad_out = cotangent(layer.forward(**layer.inputs))
    expected = {name: finite_differences(layer, name, grad_out, step=step) for name in layer.inputs}
    return relative_error(layer.backward(grad_out, **layer.inputs), expected)


def error_against_twin(layer: Layer) -> float:
    grad_out = cotangent(layer.forward(**layer.inputs))
    expected = layer.twin(grad_out, **layer.inputs)
    return relative_error(layer.backward(grad_out, **layer.inputs), expected)


def finite_differences(layer: Layer, name: str, grad_out: Tensor, *, step: float) -> Tensor:
    """Return the central difference of <grad_out, forward> by each entry of one input."""
    slopes = torch.zeros_like(layer.inputs[name])
    for entry in range(slopes.numel()):
        ends = []
        for signed_step in (step, -step):
            moved = layer.inputs[name].clone()
            moved.view(-1)[entry] += signed_step
            ends.append((grad_out * layer.forward(**layer.inputs | {name: moved})).sum())
        slopes.view(-1)[entry] = (ends[0] - ends[1]) / (2 * step)
    return slopes


def least_error_seen(layer: Layer, wrong_backward: Callable[..., Tensors]) -> float:
    """Return what the most lenient of the three proofs sees of a wrong backward."""
    wrong = replace(layer, backward=wrong_backward)
    return min(
        error_against_autograd(wrong),
        error_against_finite_differences(wrong),
        error_against_twin(wrong),
    )


def cotangent(out: Tensor) -> Tensor:
    """Return a random derivative by `out`, the same for the same shape."""
    return draw(*out.shape, seed=17)


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)
