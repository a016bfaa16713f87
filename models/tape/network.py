"""Compute the gradients of all parameters of a network, without autograd.

    logits, tape = forward_with_tape(network, pixels)
    loss = cross_entropy_forward(logits, targets)
    gradients = parameter_gradients(tape, cross_entropy_backward(loss.predicted, loss.true))

A new network adds a `record` function for each module type that the others do not have.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.network import LayeredNetwork, layers_in_order

# Imported for the layer types that they register with `record`.
from models.tape import (  # noqa: F401
    fixed_layers,
    lung_layers,
    residual_layers,
    skip_layers,
    trained_layers,
    transformer_layers,
)
from models.tape.checkpointing import record_segment
from models.tape.tape import ChainStep, Step, record, record_chain, record_through

NamedLayers = Sequence[tuple[str, nn.Module]]


@dataclass
class Tape:
    """Record of a forward pass, for one backward pass.

    Attributes:
        chain: The steps, from the first layer with a trainable parameter on.
        is_used: True after the backward pass.
    """

    chain: ChainStep
    is_used: bool = False


def forward_with_tape(
    network: nn.Module,
    pixels: Float[Tensor, "batch channels rows columns"],
    *,
    checkpointing: bool = False,
) -> tuple[Float[Tensor, "batch *outputs"], Tape]:
    """Return the logits, and the tape for `parameter_gradients`.

    As in PyTorch's forward pass, a network in training mode uses the batch's statistics in batch
    normalisation, updates the running ones, and draws dropout masks.

    Args:
        network: Its layers are in order, and their types have a `record` function. The first layers
            of a network alone give their output in place of the logits.
        pixels: In [0, 1].
        checkpointing: Keep only the activations between blocks and after max-poolings, and
            recompute the others on the way back: less memory for about a third more time (Chen et
            al. 2016, arXiv:1604.06174, algorithm 1).

    Raises:
        ValueError: A layer has no hand-written backward.
    """
    with torch.no_grad():
        frozen, trained = _cut_at_first_trainable(list(layers_in_order(network)))
        x: Any = pixels
        for _, layer in frozen:
            x, _ = record_through(layer, x)
        x, chain = _segmented(trained, x) if checkpointing else record_chain(trained, x)
        return x, Tape(chain)


def parameter_gradients(
    tape: Tape, grad_logits: Float[Tensor, "batch *outputs"]
) -> dict[str, Tensor]:
    """Return the derivative of the loss by every trainable parameter.

    Call it before the weights change: the tape holds no copy of them.

    Args:
        tape: As `forward_with_tape` returned it; it can be used once.
        grad_logits: Output error (BP1), for instance from `cross_entropy_backward`.

    Returns:
        Gradients under the names of `named_parameters`. Frozen parameters (`requires_grad=False`)
        are left out, and nothing is computed below the first trainable layer.

    Raises:
        ValueError: The tape has been walked before.
    """
    if tape.is_used:
        raise ValueError("tape must be fresh: it was walked before, so run the forward pass again")
    tape.is_used = True
    with torch.no_grad():
        return tape.chain.backward(grad_logits, needs_grad_x=False).parameters


@record.register
def record_network(layer: LayeredNetwork, x: Tensor) -> tuple[Tensor, ChainStep]:
    """Return the logits, and the step of a whole network."""
    return record_chain(layer.named_children(), x)


def _cut_at_first_trainable(layers: NamedLayers) -> tuple[NamedLayers, NamedLayers]:
    """Return the layers below the first one with a trainable parameter, and the others."""
    for position, (_, layer) in enumerate(layers):
        if any(parameter.requires_grad for parameter in layer.parameters()):
            return layers[:position], layers[position:]
    return layers, []


def _segmented(layers: NamedLayers, x: Any) -> tuple[Any, ChainStep]:
    steps: list[tuple[str, Step]] = []
    for segment in _segments(layers):
        x, step = record_segment(segment, x)
        steps.append(("", step))
    return x, ChainStep(steps)


def _segments(layers: NamedLayers) -> Iterator[NamedLayers]:
    """Yield the layers in segments that end after a block or a max-pooling.

    A block keeps many times the size of its output, and a max-pooling's output is small.
    """
    start = 0
    for end, (_, layer) in enumerate(layers, start=1):
        is_block = any(True for _ in layer.children())
        if is_block or isinstance(layer, nn.MaxPool2d) or end == len(layers):
            yield layers[start:end]
            start = end
