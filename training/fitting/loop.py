"""The training loop: epochs of steps, the best weights kept, resumable after any epoch."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from models.network import Network
from training.data.dataset import FilmDataset, Sample
from training.data.sampling import epoch_order
from training.data.whole_file import replacing
from training.fitting.feature_cache import FeatureDataset, from_entry
from training.fitting.subset import Subset
from training.fitting.tensorboard import Scalar, unlogged
from training.gradient_flow.flow import GradientFlow
from training.step.distributed import Processes
from training.step.gradients import by_hand
from training.step.mixup import Mixture, mixture
from training.step.objective import objective_for
from training.step.optimiser import learning_rate_factor, optimiser_of
from training.step.unfreezing import check_unfreeze, first_trained, train_from
from training.training_config import TrainingConfig

EpochRecord = dict[str, float | int]
Films = FilmDataset | FeatureDataset | Subset


@dataclass
class TrainingRun:
    """A network in training.

    All randomness is a function of (seed, epoch, film or step), so that a run continued from a
    saved epoch equals one that was never interrupted.

    Attributes:
        network: Trained in place.
        config: How.
        train: Films it learns from, augmented; with a feature cache their features, as
            `training.fitting.feature_cache` makes them.
        val: Films it is chosen on, as they are; likewise.
        history: One record per epoch done.
        log: Told the loss of every step and all figures of every epoch.
        processes: That train together; each has this run's twin.
    """

    network: Network
    config: TrainingConfig
    train: Films
    val: Films
    history: list[EpochRecord] = field(default_factory=list)
    log: Scalar = unlogged
    processes: Processes = field(default_factory=Processes.current)

    def __post_init__(self) -> None:
        check_unfreeze(self.network, self.config.unfreezings)
        self.device = next(self.network.parameters()).device
        self.dtype = (
            torch.float64 if self.config.gradients.precision == "float64" else torch.float32
        )
        self.network.to(self.dtype).to(memory_format=torch.channels_last)
        if self.device.type == "cuda" and self.processes.count > 1 and not self._is_manual:
            nn.SyncBatchNorm.convert_sync_batchnorm(self.network)  # type: ignore[no-untyped-call]
        self._average = ModelEmaV3(self.network, self.config.model_ema_decay, use_warmup=True)
        self.optimiser = optimiser_of(self.network, self.config.optimiser)
        say = tqdm.write if self.processes.is_first else _nothing
        self.gradient_flow = GradientFlow(
            self.network, every=self.config.gradients.gradient_flow_every, say=say
        )
        self._forward: Callable[..., Any] = _unjoined
        self._joined_from: str | None = None
        self._films_per_step = self.config.batch_size * self.config.grad_accum_steps
        self.steps_per_epoch = -(-len(self.train) // self._films_per_step)
        self.objective = objective_for(self.train.targets, self.config)

    @property
    def _is_manual(self) -> bool:
        return self.config.gradients.by == "manual"

    @property
    def steps_done(self) -> int:
        """Steps of the optimiser in the epochs done."""
        return len(self.history) * self.steps_per_epoch

    @property
    def averaged_network(self) -> Network:
        """The exponential moving average of the weights: what is validated and kept."""
        network: Network = self._average.module
        return network

    @property
    def is_best(self) -> bool:
        """Whether no epoch has a larger validation macro AUROC, or as large with a smaller loss."""
        scores = [(record["val_macro_auroc"], -record["val_loss"]) for record in self.history]
        return scores[-1] == max(scores)

    def epochs(self) -> Iterator[EpochRecord]:
        """Train the epochs that are left; each yields its record."""
        for epoch in range(len(self.history), self.config.epochs):
            train_loss = self._train_epoch(epoch)
            record = {"epoch": epoch, "train_loss": train_loss, **self._validation()}
            record["learning_rate"] = max(group["lr"] for group in self.optimiser.param_groups)
            self.history.append(record)
            for name, value in record.items():
                self.log(f"epoch/{name}", float(value), self.steps_done - 1)
            yield record

    def _train_epoch(self, epoch: int) -> float:
        self._unfreeze(epoch)
        torch.manual_seed(_dropout_seed(self.config.seed, epoch, self.processes.rank))
        losses = []
        progress = tqdm(
            self._batches(epoch),
            f"epoch {epoch + 1}/{self.config.epochs}",
            leave=False,
            unit="step",
            disable=not self.processes.is_first,
        )
        for step, (pixels, targets) in enumerate(progress, start=epoch * self.steps_per_epoch):
            losses.append(self._step(step, pixels.to(self.device), targets.to(self.device)))
            self.log("step/loss", losses[-1], step)
            progress.set_postfix(loss=f"{np.mean(losses):.3f}")
        self.processes.average_statistics(self.network, self.averaged_network)
        return float(np.mean(losses))

    def _unfreeze(self, epoch: int) -> None:
        """Put the layers that train in this epoch into training."""
        first = first_trained(self.config.unfreezings, epoch)
        train_from(self.network, first)
        if self._forward is _unjoined or first != self._joined_from:
            self._forward = _unjoined  # the former one must let go of the parameters first
            self._forward, self._joined_from = self._joined(), first

    def _joined(self) -> Callable[..., Any]:
        forward = from_entry(self.network, self.config)
        if not self._is_manual:
            forward = self.processes.joined(forward)
        return torch.compile(forward) if self.config.gradients.torchcompile else forward

    def _batches(self, epoch: int) -> DataLoader[Sample]:
        """Return what the steps of an epoch see, in their order."""
        self.train.epoch = epoch
        order = epoch_order(
            self.train.targets,
            self.train.sources,
            sampling=self.config.sampling.by,
            seed=self.config.seed,
            epoch=epoch,
        )
        size = self._films_per_step
        steps = [order[start : start + size] for start in range(0, len(order), size)]
        return DataLoader(
            self.train,
            batch_sampler=[[films[place] for place in self._shown(len(films))] for films in steps],
            num_workers=self.config.workers,
            pin_memory=self.device.type == "cuda",
        )

    def _passes(self, films: int) -> list[range]:
        return self.processes.passes(films, self.config.grad_accum_steps)

    def _shown(self, films: int) -> range:
        """Return which of a step's films this process reads; a partner of its own may be any."""
        if self.config.gradients.mixup:
            return range(films)
        first, last = (self._passes(films)[place] for place in (0, -1))
        return range(first.start, max(last.stop, first.start + 1))

    def _step(self, step: int, pixels: Tensor, targets: Tensor) -> float:
        self._set_learning_rate(step)
        self.optimiser.zero_grad()
        films = mixture(
            pixels.to(self.dtype),
            targets,
            alpha=self.config.gradients.mixup,
            seed=self.config.seed,
            step=step,
        )
        with self.gradient_flow.sampled(step):
            loss = self._backward(self._own_parts(step, films))
            nn.utils.clip_grad_norm_(
                self.network.parameters(), self.config.optimiser.gradient_clipping
            )
            self.optimiser.step()
        self._average.update(self.network, step)
        return loss.item()

    def _set_learning_rate(self, step: int) -> None:
        factor = learning_rate_factor(
            step,
            warmup_steps=round(self.config.optimiser.warmup_epochs * self.steps_per_epoch),
            steps=self.config.epochs * self.steps_per_epoch,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = factor * group["lr_scale"] * self.config.optimiser.learning_rate

    def _own_parts(self, step: int, shown: Mixture) -> list[Mixture]:
        """Return what goes through this process's network, pass by pass."""
        before = step % self.steps_per_epoch * self._films_per_step
        films = min(self._films_per_step, len(self.train) - before)
        start = self._shown(films).start
        passes = self._passes(films)
        return [shown.part(range(own.start - start, own.stop - start)) for own in passes]

    def _backward(self, parts: list[Mixture]) -> Tensor:
        """Leave every trainable parameter's gradient where the optimiser reads it.

        Returns:
            The loss of the whole step, of all processes.
        """
        weights = torch.stack([self.objective.weight(part.targets) for part in parts])
        weight = self.processes.sum(weights.sum().to(self.dtype))
        backward = self._all_by_hand if self._is_manual else self._all_by_autograd
        return self.processes.sum(backward(parts, weight))

    def _all_by_autograd(self, parts: list[Mixture], weight: Tensor) -> Tensor:
        losses = []
        for number, part in enumerate(parts, start=1):
            with self._communication(is_last=number == len(parts)):
                losses.append(self._by_autograd(part, weight))
        return torch.stack(losses).sum()

    def _communication(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Return what keeps gradients to this process until its last pass."""
        return nullcontext() if is_last else getattr(self._forward, "no_sync", nullcontext)()

    def _by_autograd(self, films: Mixture, weight: Tensor) -> Tensor:
        enabled = self.config.gradients.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            logits = self._forward(_channels_last(films.pixels))[: len(films.targets)]
        loss = films.total(self.objective, logits.to(self.dtype)) / weight
        summed = loss * self.processes.count  # processes leave the mean of their gradients
        summed.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _all_by_hand(self, parts: list[Mixture], weight: Tensor) -> Tensor:
        losses = [self._by_hand(part, weight) for part in parts if len(part.targets)]
        for parameter in self.network.parameters():
            if parameter.requires_grad and self.processes.count > 1:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self.processes.sum(own)
        return sum(losses, start=torch.zeros_like(weight))

    def _by_hand(self, films: Mixture, weight: Tensor) -> Tensor:
        """Do the same with `models.backprop`."""
        loss, gradients = by_hand(
            self.network,
            _channels_last(films.pixels),
            films.targets,
            objective=self.objective,
            checkpointing=self.config.gradients.grad_checkpointing,  # type: ignore[union-attr]
        )
        share = self.objective.weight(films.targets) / weight
        for name, gradient in gradients.items():
            parameter = self.network.get_parameter(name)
            before = 0 if parameter.grad is None else parameter.grad
            parameter.grad = before + share * gradient
        return share * loss

    def _validation(self) -> EpochRecord:
        logits = self.predicted_logits(self.val)
        return {**self.objective.validation(logits, self.val.targets)}

    def predicted_logits(self, films: Films) -> Float[Tensor, "films classes"]:
        """Return the averaged network's logits of all films, in float32 on the CPU."""
        network = from_entry(self.averaged_network, self.config)
        own = torch.utils.data.Subset(films, self.processes.share(len(films)))
        logits = predicted_logits(
            network, own, autocast=self.config.gradients.precision == "bfloat16"
        )
        return self.processes.gathered(logits.to(self.device))[: len(films)].cpu()

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, for any number of processes."""
        return {
            "network": self.network.state_dict(),
            "averaged_network": self.averaged_network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "gradient_flow": self.gradient_flow.state(),
        }

    def restore(self, file: Path) -> None:
        """Go on from a state that `save` wrote."""
        state: dict[str, Any] = torch.load(file, self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged_network.load_state_dict(state["averaged_network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = state["history"]
        self.gradient_flow.restore(state["gradient_flow"])


def _nothing(sentence: str) -> None:
    """Say nothing: the first process speaks for all."""


def _unjoined(pixels: Tensor) -> Tensor:
    raise RuntimeError("the network is joined with its other processes when an epoch begins")


def save(state: dict[str, Any], file: Path) -> None:
    """Write the state of a run; a kill while writing leaves the former file whole."""
    with replacing(file) as unfinished:
        torch.save(state, unfinished)


def _dropout_seed(seed: int, epoch: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1)[0])


def _channels_last(pixels: Tensor) -> Tensor:
    """Return films, or feature maps, in the layout that convolutions are fast with."""
    is_grid = pixels.ndim == 4
    return pixels.contiguous(memory_format=torch.channels_last) if is_grid else pixels


@torch.inference_mode()
def predicted_logits(
    network: nn.Module, films: Dataset[Sample], *, batch_size: int = 64, autocast: bool = False
) -> Float[Tensor, "films classes"]:
    """Return the logits of all films in float32, on the CPU; the network is left in eval mode."""
    network.eval()
    weight = next(network.parameters())
    logits = []
    for pixels, _ in DataLoader(films, batch_size):
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=autocast):
            logits.append(network(pixels.to(weight.device, weight.dtype)).float().cpu())
    return torch.cat(logits)
