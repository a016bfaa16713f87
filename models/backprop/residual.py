"""Residual connection, forward and backward: an input is used twice, and both results are added.

Source:
    He et al. 2015, arXiv:1512.03385, equations 1 and 2.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class AdditionGradients(NamedTuple):
    """Derivatives by the two summands: one tensor twice, so it must not be changed in place."""

    grad_residual: Tensor
    grad_shortcut: Tensor


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
