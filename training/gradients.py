"""The gradients of one training step, twice: by this repository's hand, and by autograd."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.backprop.loss import cross_entropy_backward, cross_entropy_forward
from models.backprop.network import forward_with_tape, parameter_gradients
from models.backprop.tape import Step
from models.seam import Network

Tensors = dict[str, Tensor]


class LossAndGradients(NamedTuple):
    """What one step computes before the optimiser moves.

    Attributes:
        loss: Scalar, in nats.
        gradients: Derivative of the loss by every trainable parameter, under its name.
    """

    loss: Tensor
    gradients: Tensors


GradientsOf = Callable[[Network, Tensor, Tensor], LossAndGradients]


def by_hand(
    network: Network,
    pixels: Float[Tensor, "batch 1 rows columns"],
    targets: Int[Tensor, " batch"],
    *,
    class_weights: Float[Tensor, " classes"] | None = None,
    label_smoothing: float = 0.0,
    checkpointing: bool = False,
    spoiled: Callable[[str, Step], Step] | None = None,
) -> LossAndGradients:
    """Return the loss and all gradients, computed by `models.backprop`.

    Args:
        network: In training or eval mode, which counts.
        pixels: In [0, 1].
        targets: True class numbers.
        class_weights: What an error on each class costs.
        label_smoothing: Share of the truth that is spread over all classes.
        checkpointing: Trade time for memory, see `forward_with_tape`.
        spoiled: For controls: given name and step, returns the step that takes its place.
    """
    logits, tape = forward_with_tape(network, pixels, checkpointing=checkpointing)
    with torch.no_grad():
        loss = cross_entropy_forward(
            logits, targets, class_weights=class_weights, label_smoothing=label_smoothing
        )
    if spoiled is not None:
        tape.chain.steps[:] = [(name, spoiled(name, step)) for name, step in tape.chain.steps]
    grad_logits = cross_entropy_backward(loss.predicted, loss.true)
    return LossAndGradients(loss.loss, parameter_gradients(tape, grad_logits))


def by_autograd(
    network: Network,
    pixels: Float[Tensor, "batch 1 rows columns"],
    targets: Int[Tensor, " batch"],
    *,
    class_weights: Float[Tensor, " classes"] | None = None,
    label_smoothing: float = 0.0,
) -> LossAndGradients:
    """Return the loss and all gradients, computed by PyTorch's automatic differentiation."""
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    loss = cross_entropy(
        network(pixels), targets, weight=class_weights, label_smoothing=label_smoothing
    )
    gradients = torch.autograd.grad(loss, tuple(trained.values()))
    return LossAndGradients(loss.detach(), dict(zip(trained, gradients, strict=True)))
