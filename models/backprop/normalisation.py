"""Batch and layer normalisation, and normalisation of pixels, forward and backward.

In training, mean and variance are those of the batch, and the backward pass goes through them
(`batch_norm`). In use, they are running averages, which are constants, and the layer is one factor
and one offset per channel (`running_norm`). Layer normalisation (`layer_norm`) takes both from each
vector, in training and in use. Pixels are normalised by two constants (`standardise`), or by mean
and standard deviation of their own film (`film_norm`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class BatchNorm(NamedTuple):
    """Output of batch normalisation, with what its backward pass and its running averages need.

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
    """Return the derivative by `x` (BP2), also through mean and variance.

    Shifting or stretching all pixels of a channel does not change the output. So two terms are
    subtracted from the error: its mean (BP4 / count), for the shift, and its component along
    `normalised` (BP3 / count), for the stretch.

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
    """Return the batch normalised by running averages, with what backward needs.

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
    """Return the derivative by `x` (BP2); the statistics are constants."""
    return grad_out * _per_channel(weight * inverse_std)


def moved_average(
    running: Float[Tensor, " channels"], batch: Float[Tensor, " channels"], momentum: float
) -> Float[Tensor, " channels"]:
    """Return the running average after a batch: `momentum` is the share of the new batch."""
    return (1 - momentum) * running + momentum * batch


class LayerNorm(NamedTuple):
    """Output of layer normalisation, with what its backward pass needs.

    Attributes:
        out: Output, of the input's shape.
        normalised: Each vector with mean 0 and variance 1, before weight and bias.
        inverse_std: 1 / sqrt(variance + eps) of each vector; its last axis has length 1.
    """

    out: Tensor
    normalised: Tensor
    inverse_std: Tensor


def layer_norm_forward(
    x: Float[Tensor, "*batch width"],
    weight: Float[Tensor, " width"],
    bias: Float[Tensor, " width"],
    *,
    eps: float,
) -> LayerNorm:
    """Return each vector normalised, scaled and shifted, with what backward needs.

    Source:
        Ba et al. 2016, arXiv:1607.06450, equation 3 (there with the neurons of a layer as width).
    """
    variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    inverse_std = torch.rsqrt(variance + eps)
    normalised = (x - mean).mul_(inverse_std)
    return LayerNorm(torch.addcmul(bias, normalised, weight), normalised, inverse_std)


def layer_norm_backward(
    grad_out: Float[Tensor, "*batch width"],
    weight: Float[Tensor, " width"],
    *,
    normalised: Float[Tensor, "*batch width"],
    inverse_std: Float[Tensor, "*batch 1"],
) -> Float[Tensor, "*batch width"]:
    """Return the derivative by `x` (BP2), also through each vector's mean and variance.

    As in batch normalisation, but for each vector: the error's mean and its component along
    `normalised` are subtracted, because shifting or stretching a vector changes nothing.

    Args:
        grad_out: Derivative by the output.
        weight: Scale per entry.
        normalised: As `layer_norm_forward` returned it.
        inverse_std: As `layer_norm_forward` returned it.

    Source:
        Ba et al. 2016, arXiv:1607.06450, equation 3, differentiated by the quotient rule.
    """
    grad_normalised = grad_out * weight
    stretch = (grad_normalised * normalised).mean(dim=-1, keepdim=True)
    shift = grad_normalised.mean(dim=-1, keepdim=True)
    centred = grad_normalised.sub_(shift).addcmul_(normalised, stretch, value=-1)
    return centred.mul_(inverse_std)


def layer_norm_weight_gradient(
    grad_out: Float[Tensor, "*batch width"], normalised: Float[Tensor, "*batch width"]
) -> Float[Tensor, " width"]:
    """Return the derivative by the scale (BP3)."""
    return (grad_out * normalised).flatten(0, -2).sum(dim=0)


def layer_norm_bias_gradient(grad_out: Float[Tensor, "*batch width"]) -> Float[Tensor, " width"]:
    """Return the derivative by the shift (BP4)."""
    return grad_out.flatten(0, -2).sum(dim=0)


class FilmNorm(NamedTuple):
    """Films with mean 0 and variance 1 each, with what the backward pass needs.

    Attributes:
        out: Output, of the input's shape.
        inverse_std: 1 / sqrt(variance + eps) of each film, [batch, 1, 1, 1].
    """

    out: Tensor
    inverse_std: Tensor


def film_norm_forward(x: Float[Tensor, "batch 1 rows columns"], *, eps: float) -> FilmNorm:
    """Return each film minus its mean, divided by its standard deviation, with what backward needs.

    Source:
        Ba et al. 2016, arXiv:1607.06450, equation 3, with a film as the layer.
    """
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    deviation = x - mean
    inverse_std = torch.rsqrt(deviation.square().mean(dim=(1, 2, 3), keepdim=True) + eps)
    return FilmNorm(deviation * inverse_std, inverse_std)


def film_norm_backward(
    grad_out: Float[Tensor, "batch 1 rows columns"],
    *,
    out: Float[Tensor, "batch 1 rows columns"],
    inverse_std: Float[Tensor, "batch 1 1 1"],
) -> Float[Tensor, "batch 1 rows columns"]:
    """Return the derivative by `x` (BP2), also through each film's mean and variance.

    As in layer normalisation, the error's mean and its component along the output are subtracted,
    because shifting or stretching a film's grey levels changes nothing.

    Args:
        grad_out: Derivative by the output.
        out: As `film_norm_forward` returned it.
        inverse_std: Likewise.
    """
    shift = grad_out.mean(dim=(1, 2, 3), keepdim=True)
    stretch = (grad_out * out).mean(dim=(1, 2, 3), keepdim=True)
    return (grad_out - shift - out * stretch) * inverse_std


def standardise_forward(
    x: Float[Tensor, "batch 1 rows columns"],
    mean: Float[Tensor, "*colours"],
    std: Float[Tensor, "*colours"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Return `x` minus the mean, divided by the standard deviation; both are constants.

    Where mean and std are given per colour, [3, 1, 1], the grey channel becomes three.
    """
    return (x - mean) / std


def standardise_backward(
    grad_out: Float[Tensor, "batch channels rows columns"], std: Float[Tensor, "*colours"]
) -> Float[Tensor, "batch 1 rows columns"]:
    """Return the derivative by `x` (BP2), summed over the colours made of the grey channel."""
    return (grad_out / std).sum(dim=1, keepdim=True)


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]
