"""Sample the gradient flow of a training: error, update and dead units of every layer.

A few steps of a training are sampled. During those steps only, hooks in the network read the values
that autograd computes anyway, and change nothing. The records go into the run folder; a problem is
reported at once, with the layers' names and the remedy.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from training.gradient_flow.alarms import alarms
from training.gradient_flow.sample import FlowRecord, StepSample


class GradientFlow:
    """Sampler of a network's training steps.

    It records the leaf layers, each used once per forward pass, but no frozen ones. A step may
    consist of several micro-batches. If the network is compiled, sampled steps run uncompiled:
    compiled code does not call hooks.

    Attributes:
        records: One per sampled step.
    """

    def __init__(
        self, network: nn.Module, *, every: int, say: Callable[[str], object] = tqdm.write
    ) -> None:
        """Prepare to sample.

        Args:
            network: Trained by autograd.
            every: Steps from one sample to the next, the first step being one; 0 takes none.
            say: Called with a message on each kind of trouble, once per kind.
        """
        self.records: list[FlowRecord] = []
        self._network = network
        self._every = every
        self._say = say
        self._said: set[str] = set()

    @contextmanager
    def sampled(self, step: int) -> Iterator[None]:
        """Sample a step, if it is its turn; must enclose its passes and its update."""
        if not self._every or step % self._every:
            yield
            return
        sample = StepSample(self._network)
        with sample.hooks(), torch.compiler.set_stance("force_eager"):
            yield
        self.records.append(sample.record(step))
        self._speak()

    def state(self) -> list[dict[str, Any]]:
        """Return what `restore` needs, in plain types."""
        return [record.model_dump() for record in self.records]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Go on after the samples that `state` returned."""
        self.records = [FlowRecord.model_validate(record) for record in state]

    def _speak(self) -> None:
        for kind, sentence in alarms(self.records[-1]).items():
            if kind not in self._said:
                self._say(sentence)
                self._said.add(kind)
