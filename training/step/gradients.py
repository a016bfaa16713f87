"""Compute the loss and gradients of one batch: by hand with `models.backprop`, or by autograd."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.backprop.convolution import size_pair
from models.backprop.linear import (
    linear_backward,
    linear_bias_gradient,
    linear_forward,
    linear_weight_gradient,
    pooled_evidence_backward,
    pooled_evidence_forward,
    pooled_evidence_weight_gradient,
)
from models.backprop.pooling import global_average_pool_backward, global_average_pool_forward
from models.network import LayeredNetwork
from models.tape.network import forward_with_tape, parameter_gradients
from models.tape.tape import Step, trainable_gradients, within
from training.step.evidence import EvidencePenalty, WithMaps
from training.step.objective import CROSS_ENTROPY, Objective

Tensors = dict[str, Tensor]


class LossAndGradients(NamedTuple):
    """Loss of a batch, and its gradients.

    Attributes:
        loss: Scalar, in nats.
        gradients: Derivative of the loss by every trainable parameter, under its name.
    """

    loss: Tensor
    gradients: Tensors


GradientsOf = Callable[[LayeredNetwork, Tensor, Tensor], LossAndGradients]


def by_hand(
    network: LayeredNetwork,
    pixels: Float[Tensor, "batch channels rows columns"],
    targets: Tensor,
    *,
    objective: Objective = CROSS_ENTROPY,
    checkpointing: bool = False,
    spoiled: Callable[[str, Step], Step] | None = None,
) -> LossAndGradients:
    """Return the loss and all gradients, computed by `models.backprop`.

    Args:
        network: Used in its own mode, training or eval.
        pixels: In [0, 1].
        targets: True class numbers or findings, as the objective expects.
        objective: Gives the loss.
        checkpointing: Trade time for memory, see `forward_with_tape`.
        spoiled: For controls: given name and step, returns the step to use in its place.
    """
    logits, tape = forward_with_tape(network, pixels, checkpointing=checkpointing)
    with torch.no_grad():
        loss, grad_logits = objective.loss_by_hand(logits, targets)
    if spoiled is not None:
        tape.chain.steps[:] = [(name, spoiled(name, step)) for name, step in tape.chain.steps]
    return LossAndGradients(loss, parameter_gradients(tape, grad_logits))


def by_hand_with_evidence(
    network: LayeredNetwork,
    films: Float[Tensor, "batch planes rows columns"],
    targets: Tensor,
    *,
    objective: Objective = CROSS_ENTROPY,
    penalty: EvidencePenalty,
    checkpointing: bool = False,
) -> LossAndGradients:
    """Return loss + penalty on misplaced evidence and all gradients, by `models.backprop`.

    Logits and maps are both linear in the activations before the pooling, so their two errors are
    added there, and go back through the layers before it as one.

    Args:
        network: Has a pooled head; used in its own mode.
        films: The last plane says where evidence should not lie.
        targets: True class numbers.
        objective: Gives the loss.
        penalty: Of evidence; as the loss, it is a mean over films.
        checkpointing: As in `by_hand`.
    """
    pixels, barred = penalty.split(films)
    parts = WithMaps(network)
    weight, bias = parts.head.weight, parts.head.bias
    activations, tape = forward_with_tape(parts.trunk, pixels, checkpointing=checkpointing)
    with torch.no_grad():
        pooled = global_average_pool_forward(activations)
        evidence = pooled_evidence_forward(activations, weight)
        loss, grad_logits = objective.loss_by_hand(linear_forward(pooled, weight, bias), targets)
        films_weight = objective.weight(targets)
        grad_evidence = penalty.error(evidence, targets, barred) / films_weight
        head = _head_gradients(parts.head, activations, grad_logits, grad_evidence)
        grad_activations = global_average_pool_backward(
            linear_backward(grad_logits, weight), grid=size_pair(activations.shape[2:])
        ) + pooled_evidence_backward(grad_evidence, weight)
        loss = loss + penalty.total(evidence, targets, barred) / films_weight
    before = parameter_gradients(tape, grad_activations)
    return LossAndGradients(loss, before | within("head", head))


def _head_gradients(
    head: nn.Linear, activations: Tensor, grad_logits: Tensor, grad_evidence: Tensor
) -> dict[str, Tensor]:
    """Return the gradients of a pooled head that the logits and the maps give."""
    pooled = global_average_pool_forward(activations)
    return trainable_gradients(
        head,
        weight=lambda: (
            linear_weight_gradient(grad_logits, pooled)
            + pooled_evidence_weight_gradient(grad_evidence, activations)
        ),
        bias=lambda: linear_bias_gradient(grad_logits),
    )


def by_autograd(
    network: LayeredNetwork,
    pixels: Float[Tensor, "batch channels rows columns"],
    targets: Tensor,
    *,
    objective: Objective = CROSS_ENTROPY,
) -> LossAndGradients:
    """Return the loss and all gradients, computed by PyTorch's automatic differentiation."""
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    loss = objective.loss(network(pixels), targets)
    gradients = torch.autograd.grad(loss, tuple(trained.values()))
    return LossAndGradients(loss.detach(), dict(zip(trained, gradients, strict=True)))
