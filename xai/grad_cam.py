"""Grad-CAM by hand: the error goes back (BP1, BP2) from the logits to the target layer, no further.

These are ordinary tensor operations, so they are exported together with the network. Weights are
derivatives of logits: a probability saturates, and its derivative vanishes where it is sure.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.backprop.linear import linear_backward
from models.backprop.pooling import global_average_pool_backward


def channel_weights(
    head_weight: Float[Tensor, "classes channels"], *, grid: tuple[int, int]
) -> Float[Tensor, "1 classes channels"]:
    """Return how much each channel counts for each class, under a pooled head.

    Output error of a class's own logit (BP1), back through the linear layer and the average over
    positions (BP2), then the mean over positions. In closed form that is head weight / positions;
    none of it depends on the film, so the exported graph's runtime folds it into a constant.

    Args:
        head_weight: Weight of the linear layer that follows the average.
        grid: Rows and columns of the target layer's output.

    Returns:
        Mean over positions of the derivative of each class logit by the activations, the same for
        every film because the head is linear.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equation 1.
    """
    classes = head_weight.shape[0]
    grad_logits = torch.eye(classes, dtype=head_weight.dtype, device=head_weight.device)
    grad_pooled = linear_backward(grad_logits, head_weight)
    grad_activations = global_average_pool_backward(grad_pooled, grid=grid)
    return grad_activations.mean(dim=(2, 3))[None]


def class_evidence(
    activations: Float[Tensor, "batch channels rows columns"],
    channel_weights: Float[Tensor, "#batch classes channels"],
) -> Float[Tensor, "batch classes rows columns"]:
    """Return how much each position argues for each class.

    Args:
        activations: Output of the target layer.
        channel_weights: Mean over positions of the derivative of each class logit by `activations`;
            a batch of one serves all films.

    Returns:
        Signed evidence in logits per position, unscaled. Grad-CAM is its positive part. Under a
        pooled head, its sum over positions plus the bias is the logit.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2 (before the ReLU).
    """
    if channel_weights.shape[0] == 1:  # the same for every film: one product, not one per film
        return conv2d(activations, channel_weights[0, :, :, None, None])
    return torch.einsum("bkc,bcrs->bkrs", channel_weights, activations)


def centred_head(head: nn.Linear) -> nn.Linear:
    """Return the head less its mean over classes: the same softmax, and signs with a meaning.

    A softmax sees only differences between logits, so what all classes share may be taken away.
    Positive evidence then says "more than for the average class".

    Args:
        head: Last layer of a multiclass network; left as it is.

    Returns:
        A new head, of the same type and place.
    """
    centred = nn.Linear(head.in_features, head.out_features, bias=head.bias is not None)
    centred = centred.to(head.weight)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            centred.get_parameter(name).copy_(parameter - parameter.mean(dim=0))
    return centred
