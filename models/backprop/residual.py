"""Residual and skip connections, forward and backward: an input is used twice.

Both results are added (a residual connection), or one is laid beside the other as further channels
(the skip connection of a U-Net).

Source:
    He et al. 2015, arXiv:1512.03385, equations 1 and 2; Ronneberger et al. 2015, arXiv:1505.04597,
    section 2.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class AdditionGradients(NamedTuple):
    """Derivatives by the two summands: one tensor twice, so it must not be changed in place."""

    grad_residual: Tensor
    grad_shortcut: Tensor


class ConcatenationGradients(NamedTuple):
    """Derivatives by the two parts: views of one tensor, so they must not be changed in place."""

    grad_first: Tensor
    grad_second: Tensor


def addition_forward(
    residual: Float[Tensor, "*shape"], shortcut: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the sum of both branches."""
    return residual + shortcut


def addition_backward(grad_out: Float[Tensor, "*shape"]) -> AdditionGradients:
    """Return the derivatives by both summands (BP2): each gets the whole error."""
    return AdditionGradients(grad_residual=grad_out, grad_shortcut=grad_out)


def fork_forward(
    x: Float[Tensor, "*shape"],
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Return `x` twice, once for each branch."""
    return x, x


def fork_backward(
    grad_first: Float[Tensor, "*shape"], grad_second: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the sum of the errors of both uses."""
    return grad_first + grad_second


def concatenation_forward(
    first: Float[Tensor, "batch first_channels rows columns"],
    second: Float[Tensor, "batch second_channels rows columns"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the channels of both, those of `first` before those of `second`."""
    return torch.cat([first, second], dim=1)


def concatenation_backward(
    grad_out: Float[Tensor, "batch channels rows columns"], *, first_channels: int
) -> ConcatenationGradients:
    """Return the derivatives by both parts (BP2): each gets the errors of its own channels.

    Args:
        grad_out: Derivative by the output.
        first_channels: How many of its channels are those of `first`.
    """
    return ConcatenationGradients(grad_out[:, :first_channels], grad_out[:, first_channels:])
