"""Activation checkpointing: keep a segment's input only, and recompute the rest on the way back.

Source:
    Chen et al. 2016, arXiv:1604.06174, algorithm 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.network import Masked, values_of
from models.tape.tape import Gradients, record_chain, record_through


@dataclass(frozen=True)
class RandomState:
    """State of the random generators, so that recomputing draws the same dropout masks."""

    cpu: Tensor
    cuda: Tensor | None


@dataclass(frozen=True)
class SegmentStep:
    """Step of a segment of layers: keeps its input, and recomputes its activations."""

    layers: Sequence[tuple[str, nn.Module]]
    x: Tensor | Masked
    random_state: RandomState

    @property
    def is_trainable(self) -> bool:
        """True if any layer has a trainable parameter."""
        return any(p.requires_grad for _, layer in self.layers for p in layer.parameters())

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the segment's gradients, after a second forward pass.

        That pass changes neither running statistics nor the random generators.
        """
        statistics = [b for _, layer in self.layers for b in layer.buffers()]
        before = [buffer.clone() for buffer in statistics]
        values = values_of(self.x)
        devices = [values.device] if values.is_cuda else []
        with torch.random.fork_rng(devices):
            _restore(self.random_state, values)
            _, chain = record_chain(self.layers, self.x)
        for buffer, value in zip(statistics, before, strict=True):
            buffer.copy_(value)
        return chain.backward(grad_out, needs_grad_x=needs_grad_x)


def record_segment(
    layers: Sequence[tuple[str, nn.Module]], x: Tensor | Masked
) -> tuple[Any, SegmentStep]:
    """Return the output of a segment of layers, and a step that keeps its input only."""
    step = SegmentStep(layers, x, _random_state(values_of(x)))
    for _, layer in layers:
        x, _ = record_through(layer, x)
    return x, step


def _random_state(x: Tensor) -> RandomState:
    return RandomState(
        torch.get_rng_state(), torch.cuda.get_rng_state(x.device) if x.is_cuda else None
    )


def _restore(state: RandomState, x: Tensor) -> None:
    torch.set_rng_state(state.cpu)
    if state.cuda is not None:
        torch.cuda.set_rng_state(state.cuda, x.device)
