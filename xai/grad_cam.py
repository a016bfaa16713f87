"""Grad-CAM by hand: the error goes back (BP1, BP2) from the logits to the target layer, no further.

These are ordinary tensor operations, so they are exported together with the network. Weights are
derivatives of logits: a probability saturates, and its derivative vanishes where it is sure.

Grad-CAM reads only the mean over positions of the derivative by the activations, and the mean can
be taken early, by linearity, which leaves a closed form for each head:

    pooled           head weight / positions, the same for every film; Grad-CAM, CAM (Zhou et al.
                     2016, arXiv:1512.04150) and HiResCAM (Draelos and Carin 2020, arXiv:2011.08891)
                     are then one map, since every position has the same derivative
    fully connected  back through two ReLUs; max-pooling hands each error to one position, so it
                     keeps the sum, and the first layer's weight may be summed over positions
    class token      `xai.vit_grad_cam`
    patch average    `xai.vit_grad_cam`

HiResCAM keeps each position's own derivative: `xai.hires_cam`.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.backprop.activation import relu_backward, relu_forward
from models.backprop.linear import linear_backward, linear_forward
from models.backprop.pooling import (
    global_average_pool_backward,
    global_average_pool_forward,
    max_pool_forward,
)
from models.network import Network, Seam
from models.vgg16 import VGG16


class LogitsAndWeights(NamedTuple):
    """What the part of a network behind the cut says, forward and backward.

    Attributes:
        logits: [batch, classes].
        channel_weights: Mean over positions of the derivative of each class logit by the target
            layer's activations, [batch, classes, channels]; a batch of one serves all films.
    """

    logits: Tensor
    channel_weights: Tensor


class LogitsAndEvidence(NamedTuple):
    """What a network says, and where it sees it.

    Attributes:
        logits: [batch, classes].
        evidence: [batch, classes, grid rows, grid columns]; see `class_evidence`.
    """

    logits: Tensor
    evidence: Tensor


class GradCAM(nn.Module, ABC):
    """A network's part behind the cut, forward once and back once for every class.

    Attributes:
        network: The classifier; in eval mode.
    """

    network: Network

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @abstractmethod
    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return logits and channel weights for what crosses the cut.

        Source:
            Selvaraju et al. 2017, arXiv:1610.02391, equation 1.
        """

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits and evidence for what crosses the cut."""
        logits, channel_weights = self(seam)
        activations = self.network.on_grid(seam.activations)
        return LogitsAndEvidence(logits, class_evidence(activations, channel_weights))


class PooledGradCAM(GradCAM):
    """Under a global average and one linear layer: chest_cnn, and vgg16 with its pooled head."""

    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return the logits, and weights that no film changes."""
        head, activations = self.network.head, seam.activations
        logits = linear_forward(global_average_pool_forward(activations), head.weight, head.bias)
        grid = (activations.shape[2], activations.shape[3])
        return LogitsAndWeights(logits, pooled_channel_weights(head.weight, grid=grid))


class FullyConnectedGradCAM(GradCAM):
    """Under max-pooling and vgg16's two hidden layers.

    Attributes:
        summed_weight: The first hidden layer's weight, summed over the positions of the pooled
            grid, [hidden, channels]; taken once, here.
    """

    network: VGG16
    summed_weight: Tensor

    def __init__(self, network: VGG16) -> None:
        super().__init__(network)
        channels = network.channels
        weight = network.hidden.fc1.weight.detach()
        self.register_buffer("summed_weight", torch.unflatten(weight, 1, (channels, -1)).sum(dim=2))

    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return the logits, and the weights: back through the layers, then the mean."""
        activations = seam.activations
        pooled = max_pool_forward(activations, kernel=(2, 2), stride=(2, 2)).out
        logits, grad_first = hidden_layers(self.network, pooled)
        positions = activations.shape[2] * activations.shape[3]
        return LogitsAndWeights(logits, linear_backward(grad_first, self.summed_weight) / positions)


def hidden_layers(
    network: VGG16, pooled: Float[Tensor, "batch channels rows columns"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes hidden"]]:
    """Return logits, and their derivatives by what enters vgg16's first ReLU after the pooling.

    BP1, then BP2 through two ReLUs.
    """
    hidden, head = network.hidden, network.head
    first = relu_forward(linear_forward(pooled.flatten(1), hidden.fc1.weight, hidden.fc1.bias))
    second = relu_forward(linear_forward(first, hidden.fc2.weight, hidden.fc2.bias))
    grad_second = relu_backward(*for_each_class(head.weight, second))
    grad_after_first = linear_backward(grad_second, hidden.fc2.weight)
    grad_first = relu_backward(*for_each_class(grad_after_first, first))
    return linear_forward(second, head.weight, head.bias), grad_first


def for_each_class(
    errors: Float[Tensor, "*batch classes width"], values: Float[Tensor, "batch width"]
) -> tuple[Float[Tensor, "batch classes width"], Float[Tensor, "batch classes width"]]:
    """Return each class's error for each film, and each film's values for each class."""
    shape = (values.shape[0], *errors.shape[-2:])
    return errors.expand(shape), values[:, None].expand(shape)


def pooled_channel_weights(
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
