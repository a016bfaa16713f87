"""Compute the gradients of a training step: by autograd, or by hand with `models.backprop`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.network import LayeredNetwork
from training.step.distributed import Processes
from training.step.evidence import EvidencePenalty, WithMaps
from training.step.gradients import by_hand, by_hand_with_evidence
from training.step.mixup import Mixture
from training.step.objective import Objective
from training.training_config import AutogradConfig, ManualConfig


class Backward(ABC):
    """Forward and backward passes of a step, shared by the processes that train together.

    Called, it leaves every trainable parameter's gradient, of the films of all processes, where the
    optimiser reads it.
    """

    def __init__(
        self,
        network: LayeredNetwork,
        objective: Objective,
        processes: Processes,
        *,
        penalty: EvidencePenalty | None = None,
    ) -> None:
        """Take what both ways need.

        Args:
            network: Gets the gradients; in its final dtype and on its device.
            objective: Gives the loss.
            processes: Those that train together.
            penalty: On misplaced evidence, added to the loss.
        """
        self.network = network
        self.objective = objective
        self.processes = processes
        self.penalty = penalty
        weight = next(network.parameters())
        self.device, self.dtype = weight.device, weight.dtype

    def __call__(self, passes: Sequence[Mixture]) -> Tensor:
        """Compute the gradients of a step.

        Args:
            passes: The films of each pass that this process makes.

        Returns:
            The loss of the whole step, of all processes.
        """
        weights = torch.stack([self.objective.weight(films.targets) for films in passes])
        weight = self.processes.sum(weights.sum().to(self.dtype))
        return self.processes.sum(self._own_loss(passes, weight))

    @abstractmethod
    def begin_epoch(self) -> None:
        """Get ready for the layers that are trainable now; must be called before the first step."""

    @abstractmethod
    def _own_loss(self, passes: Sequence[Mixture], weight: Tensor) -> Tensor:
        """Compute the gradients, and return this process's share of the loss.

        Args:
            passes: As in a call.
            weight: What the sum of the losses of all films, of all processes, is divided by.
        """


class AutogradBackward(Backward):
    """Gradients of PyTorch's automatic differentiation."""

    def __init__(
        self,
        network: LayeredNetwork,
        objective: Objective,
        processes: Processes,
        *,
        config: AutogradConfig,
        entry: nn.Module,
        penalty: EvidencePenalty | None = None,
    ) -> None:
        """Take what autograd needs besides.

        Args:
            network: Gets the gradients.
            objective: Gives the loss.
            processes: Those that train together.
            config: Precision, and whether the network is compiled.
            entry: The layers of the network that films, or their cached features, go through.
            penalty: On misplaced evidence, added to the loss.
        """
        super().__init__(network, objective, processes, penalty=penalty)
        self.config = config
        self.entry = WithMaps(entry) if penalty else entry
        self._forward: Callable[..., Any] = _before_any_epoch
        self._trained: list[bool] = []

    def begin_epoch(self) -> None:
        """Join the networks of the processes again where other layers are trainable than before."""
        trained = [parameter.requires_grad for parameter in self.network.parameters()]
        if trained != self._trained:
            self._forward = _before_any_epoch  # the old one must release the parameters first
            forward = self.processes.joined(self.entry)
            self._forward = torch.compile(forward) if self.config.torchcompile else forward
            self._trained = trained

    def _own_loss(self, passes: Sequence[Mixture], weight: Tensor) -> Tensor:
        losses = []
        for number, films in enumerate(passes, start=1):
            with self._communication(is_last=number == len(passes)):
                losses.append(self._pass(films, weight))
        return torch.stack(losses).sum()

    def _communication(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Return a context that keeps gradients in this process until its last pass."""
        return nullcontext() if is_last else getattr(self._forward, "no_sync", nullcontext)()

    def _pass(self, films: Mixture, weight: Tensor) -> Tensor:
        total = self._with_penalty(films, self.penalty) if self.penalty else self._total(films)
        loss = total / weight
        summed = loss * self.processes.count  # processes leave the mean of their gradients
        summed.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _total(self, films: Mixture) -> Tensor:
        with self._precision():
            logits = self._forward(_channels_last(films.pixels))[: len(films.targets)]
        return films.total(self.objective, logits.to(self.dtype))

    def _with_penalty(self, films: Mixture, penalty: EvidencePenalty) -> Tensor:
        pixels, barred = penalty.split(films.pixels)
        with self._precision():
            out = self._forward(_channels_last(pixels))
        logits, maps, barred = (x[: len(films.targets)].to(self.dtype) for x in (*out, barred))
        return films.total(self.objective, logits) + penalty.total(maps, films.targets, barred)

    def _precision(self) -> AbstractContextManager[None]:
        is_mixed = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=is_mixed)


class ManualBackward(Backward):
    """Gradients of `models.backprop`, written by hand; no graph of autograd is made."""

    def __init__(
        self,
        network: LayeredNetwork,
        objective: Objective,
        processes: Processes,
        *,
        config: ManualConfig,
        penalty: EvidencePenalty | None = None,
    ) -> None:
        """Take what the passes by hand need besides.

        Args:
            network: Gets the gradients.
            objective: Gives the loss.
            processes: Those that train together.
            config: Says whether activations are computed twice to keep fewer.
            penalty: On misplaced evidence, added to the loss.
        """
        super().__init__(network, objective, processes, penalty=penalty)
        self.config = config

    def begin_epoch(self) -> None:
        """Do nothing: each pass asks which parameters are trainable."""

    def _own_loss(self, passes: Sequence[Mixture], weight: Tensor) -> Tensor:
        losses = [self._pass(films, weight) for films in passes if len(films.targets)]
        if self.processes.count > 1:
            self._sum_over_processes()
        return sum(losses, start=torch.zeros_like(weight))

    def _pass(self, films: Mixture, weight: Tensor) -> Tensor:
        gradients_of = (
            partial(by_hand_with_evidence, penalty=self.penalty) if self.penalty else by_hand
        )
        loss, gradients = gradients_of(
            self.network,
            _channels_last(films.pixels),
            films.targets,
            objective=self.objective,
            checkpointing=self.config.grad_checkpointing,
        )
        share = self.objective.weight(films.targets) / weight
        for name, gradient in gradients.items():
            parameter = self.network.get_parameter(name)
            before = 0 if parameter.grad is None else parameter.grad
            parameter.grad = before + share * gradient
        return share * loss

    def _sum_over_processes(self) -> None:
        for parameter in self.network.parameters():
            if parameter.requires_grad:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self.processes.sum(own)


def _before_any_epoch(pixels: Tensor) -> Tensor:
    raise RuntimeError("begin_epoch must be called before the first step")


def _channels_last(pixels: Tensor) -> Tensor:
    """Return films, or feature maps, in the memory layout that convolutions are fast with."""
    is_grid = pixels.ndim == 4
    return pixels.contiguous(memory_format=torch.channels_last) if is_grid else pixels
