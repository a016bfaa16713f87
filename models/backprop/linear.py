"""Linear layer, forward and backward, on the last axis of inputs of any shape.

Also the evidence of one under a global average: the terms that positions add to its logits.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def linear_forward(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None,
) -> Float[Tensor, "*batch outputs"]:
    """Return each vector of `x` times the weight, plus the bias.

    Source:
        Rumelhart et al. 1986, doi:10.1038/323533a0, equation 1.
    """
    return functional.linear(x, weight, bias)


def linear_backward(
    grad_out: Float[Tensor, "*batch outputs"],
    weight: Float[Tensor, "outputs inputs"],
) -> Float[Tensor, "*batch inputs"]:
    """Return the derivative by `x` (BP2): the output error times the weight.

    Source:
        Nielsen 2015, chapter 2, equation BP2; the activation's factor is in `activation.py`.
    """
    return grad_out @ weight


def linear_weight_gradient(
    grad_out: Float[Tensor, "*batch outputs"],
    x: Float[Tensor, "*batch inputs"],
) -> Float[Tensor, "outputs inputs"]:
    """Return the derivative by the weight (BP3): output error times input, summed over the batch.

    The batch is every axis but the last: the tokens of a transformer share the weight.

    Source:
        Nielsen 2015, chapter 2, equation BP4 in his numbering.
    """
    return grad_out.flatten(0, -2).T @ x.flatten(0, -2)


def linear_bias_gradient(
    grad_out: Float[Tensor, "*batch outputs"],
) -> Float[Tensor, " outputs"]:
    """Return the derivative by the bias (BP4): the output error, summed over the batch.

    Source:
        Nielsen 2015, chapter 2, equation BP3 in his numbering.
    """
    return grad_out.flatten(0, -2).sum(dim=0)


def pooled_evidence_forward(
    x: Float[Tensor, "batch channels rows columns"], weight: Float[Tensor, "classes channels"]
) -> Float[Tensor, "batch classes rows columns"]:
    """Return the evidence maps of a linear layer on an average over positions, centred.

        evidence_c(r, s) = sum over k of (weight_ck - mean over classes of weight_k) * x_k(r, s) / Z

    Summed over all Z positions it is the logit without its bias, less the mean over classes.

    Args:
        x: What is averaged; masked terms of a mean inside the lungs, for instance.
        weight: Of the linear layer.

    Source:
        Zhou et al. 2016, arXiv:1512.04150, equation 2.
    """
    positions = x.shape[2] * x.shape[3]
    centred = (weight - weight.mean(dim=0)) / positions
    return functional.conv2d(x, centred[:, :, None, None])


def pooled_evidence_backward(
    grad_out: Float[Tensor, "batch classes rows columns"], weight: Float[Tensor, "classes channels"]
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the derivative by `x` (BP2): each position's error times the centred weight / Z.

    Args:
        grad_out: Derivative by the evidence.
        weight: As in the forward pass.
    """
    positions = grad_out.shape[2] * grad_out.shape[3]
    centred = (weight - weight.mean(dim=0)) / positions
    return functional.conv2d(grad_out, centred.T[:, :, None, None])


def pooled_evidence_weight_gradient(
    grad_out: Float[Tensor, "batch classes rows columns"],
    x: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "classes channels"]:
    """Return the derivative by the weight (BP3): error times `x` / Z, centred over classes.

    Each class's weight is also part of the mean that is subtracted from all.

    Args:
        grad_out: Derivative by the evidence.
        x: As in the forward pass.
    """
    positions = x.shape[2] * x.shape[3]
    products = torch.einsum("bcrs,bkrs->ck", grad_out, x) / positions
    return products - products.mean(dim=0)
