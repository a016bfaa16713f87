"""The activations: ReLU, and GELU in its exact form."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def relu_forward(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return `x` where it is positive, else 0.

    Source:
        Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """
    return x.clamp(min=0)


def relu_backward(
    grad_out: Float[Tensor, "*shape"], out: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error passes where the output is positive.

    It reads the output, so it does not matter whether the forward pass overwrote its input. At
    exactly 0, where there is no derivative, it is 0, as in PyTorch.

    Args:
        grad_out: Derivative by the output.
        out: What `relu_forward` returned.
    """
    return grad_out.masked_fill(out <= 0, 0)


def gelu_forward(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return `x` times the probability that a standard normal variable is below `x`.

    Source:
        Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2 (exact, not the tanh formula).
    """
    return x * _normal_distribution(x)


def gelu_backward(
    grad_out: Float[Tensor, "*shape"], x: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2), the product rule on x * Phi(x): Phi(x) + x * phi(x).

    Args:
        grad_out: Derivative by the output.
        x: What `gelu_forward` was given.
    """
    return grad_out * (_normal_distribution(x) + x * _normal_density(x))


def _normal_distribution(x: Tensor) -> Tensor:
    return (1 + torch.erf(x / math.sqrt(2))) / 2


def _normal_density(x: Tensor) -> Tensor:
    return torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
