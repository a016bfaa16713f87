"""Activation functions, forward and backward: ReLU and variants, GELU, sigmoid, tanh, softmax.

Those with a kink (ReLU, leaky ReLU, PReLU, and ELU unless alpha is 1) have no derivative at
exactly 0. As in PyTorch, 0 counts as negative there. A backward function needs either the layer's
input or its output, and the argument's name says which: `x` or `out`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def relu_forward(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return `x` where it is positive, else 0.

    Source:
        Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """
    return x.clamp(min=0)


def relu_backward(
    grad_out: Float[Tensor, "*shape"], out: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error where the output is positive, else 0.

    It needs the output alone, so the forward pass may overwrite its input. At exactly 0, where
    there is no derivative, it is 0, as in PyTorch.

    Args:
        grad_out: Derivative by the output.
        out: What `relu_forward` returned.
    """
    return grad_out.masked_fill(out <= 0, 0)


def leaky_relu_forward(
    x: Float[Tensor, "*shape"], *, negative_slope: float
) -> Float[Tensor, "*shape"]:
    """Return `x` where it is positive, else `x` times the slope.

    Source:
        Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models",
        equation 3.
    """
    return torch.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(
    grad_out: Float[Tensor, "*shape"], x: Float[Tensor, "*shape"], *, negative_slope: float
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error, times the slope where `x` is not positive.

    It needs the input, because the output loses its sign where the slope is 0 or negative. At
    exactly 0 it is the slope, as in PyTorch.

    Args:
        grad_out: Derivative by the output.
        x: What `leaky_relu_forward` was given.
        negative_slope: As in `leaky_relu_forward`.
    """
    return torch.where(x > 0, grad_out, negative_slope * grad_out)


def prelu_forward(
    x: Float[Tensor, "*shape"], weight: Float[Tensor, " weights"]
) -> Float[Tensor, "*shape"]:
    """Return `x` where it is positive, else `x` times the weight, a slope that is learnt.

    Args:
        x: Its second axis holds the channels; with one axis only, there is one channel.
        weight: One slope for all, or one per channel.

    Raises:
        ValueError: `weight` has neither one entry nor one per channel.

    Source:
        He et al. 2015, arXiv:1502.01852, equation 1.
    """
    return torch.where(x > 0, x, _slope_per_channel(weight, x) * x)


def prelu_backward(
    grad_out: Float[Tensor, "*shape"],
    x: Float[Tensor, "*shape"],
    weight: Float[Tensor, " weights"],
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error, times the weight where `x` is not positive.

    At exactly 0 it is the weight, as in PyTorch.

    Args:
        grad_out: Derivative by the output.
        x: What `prelu_forward` was given.
        weight: What `prelu_forward` was given.
    """
    return torch.where(x > 0, grad_out, _slope_per_channel(weight, x) * grad_out)


def prelu_weight_gradient(
    grad_out: Float[Tensor, "*shape"], x: Float[Tensor, "*shape"], *, weights: int
) -> Float[Tensor, " {weights}"]:
    """Return the derivative by the weight (BP3): error times input, where that is negative.

    Args:
        grad_out: Derivative by the output.
        x: What `prelu_forward` was given.
        weights: Number of entries of the weight; errors are summed over all that share an entry.

    Source:
        He et al. 2015, arXiv:1502.01852, equations 2 and 3.
    """
    by_entry = grad_out * x.clamp(max=0)
    return by_entry.sum_to_size(weights, *_after_channels(x)).flatten()


def elu_forward(x: Float[Tensor, "*shape"], *, alpha: float) -> Float[Tensor, "*shape"]:
    """Return `x` where it is positive, else alpha * (exp(x) - 1).

    Source:
        Clevert et al. 2016, arXiv:1511.07289, equation 15.
    """
    return torch.where(x > 0, x, alpha * x.clamp(max=0).expm1_())


def elu_backward(
    grad_out: Float[Tensor, "*shape"], x: Float[Tensor, "*shape"], *, alpha: float
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error, times alpha * exp(x) where `x` <= 0.

    It needs the input, so alpha may have any sign. At exactly 0 it is alpha, as in PyTorch.

    Args:
        grad_out: Derivative by the output.
        x: What `elu_forward` was given.
        alpha: As in `elu_forward`.

    Source:
        Clevert et al. 2016, arXiv:1511.07289, equation 15, its derivative.
    """
    return torch.where(x > 0, grad_out, x.clamp(max=0).exp_().mul_(grad_out).mul_(alpha))


def gelu_forward(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return `x` times the probability that a standard normal variable is below `x`.

    Source:
        Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2 (exact, not the tanh formula).
    """
    return functional.gelu(x)


def gelu_backward(
    grad_out: Float[Tensor, "*shape"], x: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2), the product rule on x * Phi(x): Phi(x) + x * phi(x).

    Phi is the standard normal distribution, (1 + erf(x / sqrt(2))) / 2, and phi its density,
    exp(-x^2 / 2) / sqrt(2 pi). Computed in place, in two new tensors.

    Args:
        grad_out: Derivative by the output.
        x: What `gelu_forward` was given.
    """
    distribution = (x / math.sqrt(2)).erf_().add_(1).div_(2)
    unscaled_density = x.square().div_(-2).exp_()
    slope = distribution.addcmul_(x, unscaled_density, value=1 / math.sqrt(2 * math.pi))
    return slope.mul_(grad_out)


def sigmoid_forward(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return 1 / (1 + exp(-x)), between 0 and 1.

    Source:
        Rumelhart et al. 1986, doi:10.1038/323533a0, equation 2.
    """
    return torch.sigmoid(x)


def sigmoid_backward(
    grad_out: Float[Tensor, "*shape"], out: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error times out * (1 - out).

    Args:
        grad_out: Derivative by the output.
        out: What `sigmoid_forward` returned.

    Source:
        Rumelhart et al. 1986, doi:10.1038/323533a0, equation 5.
    """
    return (1 - out).mul_(out).mul_(grad_out)


def tanh_forward(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the hyperbolic tangent, between -1 and 1.

    Source:
        LeCun et al. 1998, "Efficient BackProp", section 4.4.
    """
    return torch.tanh(x)


def tanh_backward(
    grad_out: Float[Tensor, "*shape"], out: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error times 1 - out^2.

    Args:
        grad_out: Derivative by the output.
        out: What `tanh_forward` returned.
    """
    return (1 - out.square()).mul_(grad_out)


def softmax_forward(x: Float[Tensor, "*batch entries"]) -> Float[Tensor, "*batch entries"]:
    """Return exp(x) over its sum along the last axis: positive, and each row sums to 1.

    Source:
        Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".
    """
    return torch.softmax(x, dim=-1)


def softmax_backward(
    grad_out: Float[Tensor, "*batch entries"], out: Float[Tensor, "*batch entries"]
) -> Float[Tensor, "*batch entries"]:
    """Return the derivative by `x` (BP2): out * (error - mean error weighted by out).

    The Jacobian is out_j * (1[j = k] - out_k), so one row needs one sum and no matrix.

    Args:
        grad_out: Derivative by the output.
        out: What `softmax_forward` returned.
    """
    mean_error = (grad_out * out).sum(dim=-1, keepdim=True)
    return (grad_out - mean_error).mul_(out)


def _slope_per_channel(weight: Tensor, x: Tensor) -> Tensor:
    channels = x.shape[1] if x.dim() > 1 else 1
    if len(weight) not in (1, channels):
        raise ValueError(
            f"weight must have 1 entry or one per channel ({channels}), not {len(weight)}"
        )
    return weight.view(-1, *_after_channels(x))


def _after_channels(x: Tensor) -> tuple[int, ...]:
    """Return a 1 for each axis after the channels."""
    return (1,) * (x.dim() - 2)
