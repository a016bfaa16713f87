"""Compute the loss and gradients of one batch: by hand with `models.backprop`, or by autograd."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.network import LayeredNetwork
from models.tape.network import forward_with_tape, parameter_gradients
from models.tape.tape import Step
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
