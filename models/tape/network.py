"""A whole network forward and in reverse, every parameter's gradient by hand.

    logits, tape = forward_with_tape(network, pixels)
    loss = cross_entropy_forward(logits, targets)
    gradients = parameter_gradients(tape, cross_entropy_backward(loss.predicted, loss.true))

Another network adds a `record` for its own module types; layers that it shares are known already.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.network import Network, layers_in_order

# Imported for the layer types that they make known to `record`.
from models.tape.checkpointing import record_checkpoint
from models.tape.tape import ChainStep, Step, record, record_chain

NamedLayers = Sequence[tuple[str, nn.Module]]


@dataclass
class Tape:
    """What a forward pass left; good for one walk back.

    Attributes:
        chain: The steps, from the first layer with a trainable parameter on.
        is_used: Whether it has been walked.
    """

    chain: ChainStep
    is_used: bool = False


def forward_with_tape(
    network: Network,
    pixels: Float[Tensor, "batch 1 rows columns"],
    *,
    checkpointing: bool = False,
) -> tuple[Float[Tensor, "batch classes"], Tape]:
    """Return the logits, and the tape that `parameter_gradients` reads.

    The network's own mode counts: in training mode batch normalisation uses the batch's statistics
    and moves its running ones, and dropout draws its masks, exactly as PyTorch's forward pass does.

    Args:
        network: Built of layer types that have a `record`.
        pixels: In [0, 1].
        checkpointing: Keep only the activations between blocks and after max-poolings, and compute
            the others once more on the way back: less memory for about a third more time (Chen et
            al. 2016, arXiv:1604.06174, algorithm 1).

    Raises:
        ValueError: A layer has no hand-written backward.
    """
    with torch.no_grad():
        frozen, trained = _cut_at_first_trainable(list(layers_in_order(network)))
        x = pixels
        for _, layer in frozen:
            x, _ = record(layer, x)
        x, chain = _segmented(trained, x) if checkpointing else record_chain(trained, x)
        return x, Tape(chain)


def parameter_gradients(
    tape: Tape, grad_logits: Float[Tensor, "batch classes"]
) -> dict[str, Tensor]:
    """Return the derivative of the loss by every trainable parameter.

    Call it before the weights change: the tape reads them where they are.

    Args:
        tape: As `forward_with_tape` returned it; it is used up.
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
def record_network(layer: Network, x: Tensor) -> tuple[Tensor, ChainStep]:
    """Return the logits, and the step of the whole network, pixels included."""
    return record_chain(layer.named_children(), x)


def _cut_at_first_trainable(layers: NamedLayers) -> tuple[NamedLayers, NamedLayers]:
    """Return the layers below the first one with a trainable parameter, and the others."""
    for position, (_, layer) in enumerate(layers):
        if any(parameter.requires_grad for parameter in layer.parameters()):
            return layers[:position], layers[position:]
    return layers, []


def _segmented(layers: NamedLayers, x: Tensor) -> tuple[Tensor, ChainStep]:
    steps: list[tuple[str, Step]] = []
    for segment in _segments(layers):
        x, step = record_checkpoint(segment, x)
        steps.append(("", step))
    return x, ChainStep(steps)


def _segments(layers: NamedLayers) -> Iterator[NamedLayers]:
    """Yield the layers in segments, each of which ends where little is passed on.

    That is after a block (it keeps many times what it passes on) and after a max-pooling.
    """
    start = 0
    for end, (_, layer) in enumerate(layers, start=1):
        is_block = any(True for _ in layer.children())
        if is_block or isinstance(layer, nn.MaxPool2d) or end == len(layers):
            yield layers[start:end]
            start = end
