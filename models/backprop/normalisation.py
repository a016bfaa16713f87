"""Batch normalisation in both modes, and the fixed arithmetic on the film's pixels.

While training, mean and variance come from the batch and carry gradient themselves
(`batch_norm`). In use, they are the running averages, constants, and the layer is one factor and
one offset per channel (`running_norm`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class BatchNorm(NamedTuple):
    """What batch normalisation returns, each part a name that backward or bookkeeping asks for.

    Attributes:
        out: Output, [batch, channels, rows, columns].
        normalised: The input with mean 0 and variance 1 per channel, before weight and bias.
        inverse_std: 1 / sqrt(variance + eps), [channels].
        mean: Mean over batch and positions, [channels].
        variance: Mean squared deviation from it (divided by the count), [channels].
    """

    out: Tensor
    normalised: Tensor
    inverse_std: Tensor
    mean: Tensor
    variance: Tensor


def batch_norm_forward(
    x: Float[Tensor, "batch channels rows columns"],
    weight: Float[Tensor, " channels"],
    bias: Float[Tensor, " channels"],
    *,
    eps: float,
) -> BatchNorm:
    """Return the normalised, scaled and shifted batch, with what backward needs.

    Source:
        Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.
    """
    mean = x.mean(dim=(0, 2, 3))
    deviation = x - _per_channel(mean)
    variance = deviation.square().mean(dim=(0, 2, 3))
    inverse_std = torch.rsqrt(variance + eps)
    normalised = deviation * _per_channel(inverse_std)
    out = torch.addcmul(_per_channel(bias), normalised, _per_channel(weight))
    return BatchNorm(out, normalised, inverse_std, mean, variance)


def batch_norm_backward(
    grad_out: Float[Tensor, "batch channels rows columns"],
    weight: Float[Tensor, " channels"],
    *,
    normalised: Float[Tensor, "batch channels rows columns"],
    inverse_std: Float[Tensor, " channels"],
    grad_weight: Float[Tensor, " channels"],
    grad_bias: Float[Tensor, " channels"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the derivative by `x` (BP2), through mean and variance as well.

    Every pixel moves its channel's mean and variance. So from the error are taken its own mean,
    which is what a shift of all pixels does (BP4 / count), and its part along `normalised`, which
    is what a stretch does (BP3 / count).

    Args:
        grad_out: Derivative by the output.
        weight: Scale per channel.
        normalised: As `batch_norm_forward` returned it.
        inverse_std: As `batch_norm_forward` returned it.
        grad_weight: From `norm_weight_gradient`.
        grad_bias: From `norm_bias_gradient`.

    Source:
        Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, its six derivatives put together.
    """
    count = grad_out.numel() // weight.numel()
    stretch = _per_channel(grad_weight / count)
    shift = _per_channel(grad_bias / count)
    centred = torch.addcmul(grad_out, normalised, stretch, value=-1) - shift
    return centred * _per_channel(weight * inverse_std)


def norm_weight_gradient(
    grad_out: Float[Tensor, "batch channels rows columns"],
    normalised: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, " channels"]:
    """Return the derivative by the scale (BP3), in both modes.

    Source:
        Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, derivative by gamma.
    """
    return (grad_out * normalised).sum(dim=(0, 2, 3))


def norm_bias_gradient(
    grad_out: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, " channels"]:
    """Return the derivative by the shift (BP4), in both modes.

    Source:
        Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, derivative by beta.
    """
    return grad_out.sum(dim=(0, 2, 3))


def running_norm_forward(
    x: Float[Tensor, "batch channels rows columns"],
    weight: Float[Tensor, " channels"],
    bias: Float[Tensor, " channels"],
    *,
    mean: Float[Tensor, " channels"],
    variance: Float[Tensor, " channels"],
    eps: float,
) -> BatchNorm:
    """Return the batch normalised by given statistics, with what backward needs.

    Source:
        Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2, line 11.
    """
    inverse_std = torch.rsqrt(variance + eps)
    normalised = (x - _per_channel(mean)) * _per_channel(inverse_std)
    out = torch.addcmul(_per_channel(bias), normalised, _per_channel(weight))
    return BatchNorm(out, normalised, inverse_std, mean, variance)


def running_norm_backward(
    grad_out: Float[Tensor, "batch channels rows columns"],
    weight: Float[Tensor, " channels"],
    *,
    inverse_std: Float[Tensor, " channels"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the derivative by `x` (BP2); the statistics are constants and carry nothing."""
    return grad_out * _per_channel(weight * inverse_std)


def moved_average(
    running: Float[Tensor, " channels"], batch: Float[Tensor, " channels"], momentum: float
) -> Float[Tensor, " channels"]:
    """Return the running statistic after a batch: `momentum` is the share of the new one."""
    return (1 - momentum) * running + momentum * batch


def standardise_forward(
    x: Float[Tensor, "*shape"], mean: Float[Tensor, ""], std: Float[Tensor, ""]
) -> Float[Tensor, "*shape"]:
    """Return `x` minus the mean, divided by the standard deviation; both are constants."""
    return (x - mean) / std


def standardise_backward(
    grad_out: Float[Tensor, "*shape"], std: Float[Tensor, ""]
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2)."""
    return grad_out / std


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]
