"""Errors of gradients by hand, as the design defines them."""

import math

import torch
from torch import Tensor, nn

from models.tape.tape import record
from training.backprop_proofs.proofs import relative_errors

Tensors = dict[str, Tensor]


def relative_error(seen: Tensors, expected: Tensors) -> float:
    """Return the largest relative error of any tensor.

    A gradient that is missing, not asked for, of another shape or not a number is infinitely wrong.
    """
    if shapes(seen) != shapes(expected):
        return math.inf
    errors = relative_errors(seen, expected).values()
    return math.inf if any(map(math.isnan, errors)) else max(errors)


def shapes(gradients: Tensors) -> dict[str, tuple[int, ...]]:
    return {name: tuple(gradient.shape) for name, gradient in gradients.items()}


def check_error_reaches_pixels(network: nn.Module, pixels: Tensor) -> None:
    """Check that the derivative by the pixels, of the sum of all outputs, equals autograd's."""
    pixels.requires_grad_()
    with torch.no_grad():
        logits, step = record(network, pixels)
        grad_x = step.backward(torch.ones_like(logits), needs_grad_x=True).grad_x
    (expected,) = torch.autograd.grad(network(pixels).sum(), pixels)
    torch.testing.assert_close(grad_x, expected, rtol=1e-9, atol=1e-12)
