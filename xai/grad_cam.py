"""Grad-CAM of every class, with gradients by hand, in a closed form for each head.

    w_ck = mean over positions of d logit_c / d A_k                   (equation 1)
    evidence_c(r, s) = sum over k of w_ck * A_k(r, s)                 (equation 2, before its ReLU)

A_k is channel k of the target layer's output, w_ck the weight of the channel for class c. The
gradients go back by BP1 and BP2 from the logits to the target layer and stop there. They are
ordinary tensor operations, so they can be exported together with the network. They are derivatives
of logits, not of probabilities, whose derivatives vanish where the network is sure.

Only the mean over positions is needed. Because it is linear, it can be taken early:

    pooled           w_ck = head weight_ck / positions, the same for every film. Every position has
                     the same derivative, so CAM (Zhou et al. 2016, arXiv:1512.04150) and HiResCAM
                     (Draelos and Carin 2020, arXiv:2011.08891) give the same map.
    fully connected  back through two ReLUs. Max-pooling sends each error to one position and so
                     keeps their sum; the first layer's weight is therefore summed over positions.
    class token      see `xai.vit_grad_cam`
    patch average    see `xai.vit_grad_cam`

HiResCAM uses each position's own derivative instead: see `xai.hires_cam`. LeGrad takes derivatives
by a transformer's attention: see `xai.legrad`.

Source:
    Selvaraju et al. 2017, arXiv:1610.02391.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.backprop.activation import relu_backward, relu_forward
from models.backprop.linear import linear_backward, linear_forward
from models.backprop.loss import group_log_odds_backward
from models.backprop.pooling import (
    global_average_pool_backward,
    global_average_pool_forward,
    max_pool_forward,
)
from models.network import Masked, Network, Seam
from models.vgg16 import VGG16


class LogitsAndWeights(NamedTuple):
    """Logits, and Grad-CAM's channel weights.

    Attributes:
        logits: [batch, classes].
        channel_weights: Mean over positions of the derivative of each class logit by the target
            layer's activations, [batch, classes, channels]; a batch of one serves all films.
    """

    logits: Tensor
    channel_weights: Tensor


class LogitsAndEvidence(NamedTuple):
    """Logits, and the evidence map of every class.

    Attributes:
        logits: [batch, classes].
        evidence: [batch, classes, grid rows, grid columns]; see `class_evidence`. Behind the
            classes may stand groups of them.
    """

    logits: Tensor
    evidence: Tensor


class ClassGroups(nn.Module):
    """Groups of classes, for which there is evidence too: the derivatives of their log-odds.

    Attributes:
        is_member: Whether each class is in each group, [groups, classes].
        temperature: Divides the logits before the softmax.
    """

    is_member: Tensor
    temperature: Tensor

    def __init__(self, is_member: Bool[Tensor, "groups classes"], temperature: float) -> None:
        super().__init__()
        self.register_buffer("is_member", is_member)
        self.register_buffer("temperature", torch.tensor(temperature))

    def weights(
        self, logits: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch groups classes"]:
        """Return the derivative of each group's log-odds by the logits."""
        return group_log_odds_backward(logits, self.is_member, temperature=self.temperature)


class GradCAM(nn.Module, ABC):
    """Grad-CAM of every class; each head has a subclass that computes the weights in closed form.

        w_ck = mean over positions of d logit_c / d A_k
        evidence_c = sum over k of w_ck * A_k

    Attributes:
        network: The classifier; in eval mode.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2 (before the ReLU).
    """

    network: Network

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @abstractmethod
    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return logits and channel weights for a seam.

        Source:
            Selvaraju et al. 2017, arXiv:1610.02391, equation 1.
        """

    def explain_halfway(
        self, halfway: Tensor | Masked, groups: ClassGroups | None = None
    ) -> LogitsAndEvidence:
        """Return logits, and evidence for every class and group, given `Network.halfway`'s result.

        Evidence is linear in the derivative by the logits. That of a group's log-odds therefore is
        the sum of the class maps, each times the derivative of the log-odds by the class's logit.

        Args:
            halfway: What `Network.halfway` returned.
            groups: Whose maps stand behind those of the classes; None has no groups.
        """
        logits, evidence = self.explain(self.network.seam_after(halfway))
        if groups is not None:
            of_groups = torch.einsum("bgc,bcrs->bgrs", groups.weights(logits), evidence)
            evidence = torch.cat([evidence, of_groups], dim=1)
        return LogitsAndEvidence(logits, evidence)

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits and evidence for a seam."""
        logits, channel_weights = self(seam)
        activations = self.network.on_grid(seam.activations)
        return LogitsAndEvidence(logits, class_evidence(activations, channel_weights))


class PooledGradCAM(GradCAM):
    """Grad-CAM under a global average and one linear layer: w_ck = head weight_ck / positions.

    For chest_cnn, and for vgg16 with its pooled head.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equation 1.
    """

    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return the logits, and weights that are the same for every film."""
        head, activations = self.network.head, seam.activations
        logits = linear_forward(global_average_pool_forward(activations), head.weight, head.bias)
        grid = (activations.shape[2], activations.shape[3])
        return LogitsAndWeights(logits, pooled_channel_weights(head.weight, grid=grid))


class FullyConnectedGradCAM(GradCAM):
    """Grad-CAM under max-pooling and the two hidden layers of vgg16's `fully_connected` head.

        w_ck = sum over h of d logit_c / d first_h * (sum over positions of weight_hk) / positions

    `first` is what enters the first ReLU after the pooling, `weight` that of the layer before it.

    Attributes:
        summed_weight: The first hidden layer's weight, summed over the positions of the pooled
            grid, [hidden, channels]; computed once.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equation 1.
    """

    network: VGG16
    summed_weight: Tensor

    def __init__(self, network: VGG16) -> None:
        super().__init__(network)
        channels = network.channels
        weight = network.hidden.fc1.weight.detach()
        self.register_buffer("summed_weight", torch.unflatten(weight, 1, (channels, -1)).sum(dim=2))

    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return the logits, and the weights that the backward pass gives for each film."""
        activations = seam.activations
        pooled = max_pool_forward(activations, kernel=(2, 2), stride=(2, 2)).out
        logits, grad_first = hidden_layers(self.network, pooled)
        positions = activations.shape[2] * activations.shape[3]
        return LogitsAndWeights(logits, linear_backward(grad_first, self.summed_weight) / positions)


def hidden_layers(
    network: VGG16, pooled: Float[Tensor, "batch channels rows columns"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes hidden"]]:
    """Return logits, and their derivatives by the input of vgg16's first ReLU after the pooling.

    The backward pass is BP1, then BP2 through two ReLUs.
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
    """Return Grad-CAM's channel weights under a pooled head: head weight / positions.

    Computed as the output error of each class's logit (BP1), back through the linear layer and the
    average over positions (BP2), then averaged over positions. Nothing of it depends on the film,
    so the runtime of the exported graph folds it into a constant.

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
    """Return Grad-CAM's evidence: sum over channels of weight * activation, at each position.

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
    if channel_weights.shape[0] == 1:  # the same for every film: one product for the whole batch
        return conv2d(activations, channel_weights[0, :, :, None, None])
    return torch.einsum("bkc,bcrs->bkrs", channel_weights, activations)


def centred_head(head: nn.Linear) -> nn.Linear:
    """Return a copy of the head, with its mean over classes subtracted.

    A softmax depends only on differences between logits, so the probabilities stay the same.
    Positive evidence then means "more than for the average class".

    Args:
        head: Last layer of a multiclass network; not changed.

    Returns:
        A new head, of the same type and on the same device.
    """
    centred = nn.Linear(head.in_features, head.out_features, bias=head.bias is not None)
    centred = centred.to(head.weight)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            centred.get_parameter(name).copy_(parameter - parameter.mean(dim=0))
    return centred
