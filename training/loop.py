"""The training loop: epochs of steps, the best weights kept, resumable after any epoch."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.division import divided
from models.seam import Network
from training.config import TrainingConfig
from training.dataset import FilmDataset, Sample
from training.event_log import Scalar, unlogged
from training.feature_cache import FeatureDataset, entry_layer
from training.gradient_flow import GradientFlow
from training.gradients import by_hand
from training.mixup import Mixture, mixture
from training.objective import objective_for
from training.optimiser import optimiser_of
from training.part import Part
from training.sampling import epoch_order
from training.schedule import check_unfreeze, first_trained, learning_rate_factor, train_from

EpochRecord = dict[str, float | int]
Films = FilmDataset | FeatureDataset | Part


@dataclass
class TrainingRun:
    """A network in training.

    All randomness is a function of (seed, epoch, film or step), so that a run continued from a
    saved epoch equals one that was never interrupted.

    Attributes:
        network: Trained in place.
        config: How.
        train: Films it learns from, augmented; under `cache_features` their features, as
            `training.feature_cache` makes them.
        val: Films it is chosen on, as they are; likewise.
        history: One record per epoch done.
        log: Told the loss of every step and all figures of every epoch.
    """

    network: Network
    config: TrainingConfig
    train: Films
    val: Films
    history: list[EpochRecord] = field(default_factory=list)
    log: Scalar = unlogged

    def __post_init__(self) -> None:
        check_unfreeze(self.network, self.config.unfreeze)
        self.device = next(self.network.parameters()).device
        self.dtype = torch.float64 if self.config.precision == "float64" else torch.float32
        self.network.to(self.dtype).to(memory_format=torch.channels_last)
        self.optimiser = optimiser_of(self.network, self.config)
        self.gradient_flow = GradientFlow(self.network, every=self.config.gradient_flow_every)
        self._average = ModelEmaV3(self.network, self.config.model_ema_decay, use_warmup=True)
        forward = self._from_entry(self.network)
        self._forward = torch.compile(forward) if self.config.torchcompile else forward
        self._films_per_step = self.config.batch_size * self.config.grad_accum_steps
        self.steps_per_epoch = -(-len(self.train) // self._films_per_step)
        self.objective = objective_for(self.train.targets, self.config)

    def _from_entry(self, network: Network) -> nn.Module:
        """Return the part of a network that `train` and `val` enter."""
        return (
            divided(network, entry_layer(self.config))[1] if self.config.cache_features else network
        )

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
        train_from(self.network, first_trained(self.config.unfreeze, epoch))
        torch.manual_seed(_dropout_seed(self.config.seed, epoch))
        losses = []
        films = self._batches(epoch)
        progress = tqdm(films, f"epoch {epoch + 1}/{self.config.epochs}", leave=False, unit="step")
        for step, (pixels, targets) in enumerate(progress, start=epoch * self.steps_per_epoch):
            losses.append(self._step(step, pixels.to(self.device), targets.to(self.device)))
            self.log("step/loss", losses[-1], step)
            progress.set_postfix(loss=f"{np.mean(losses):.3f}")
        return float(np.mean(losses))

    def _batches(self, epoch: int) -> DataLoader[Sample]:
        """Return what the steps of an epoch see, in their order."""
        self.train.epoch = epoch
        order = epoch_order(
            self.train.targets,
            self.train.sources,
            sampling=self.config.sampling,
            seed=self.config.seed,
            epoch=epoch,
        )
        return DataLoader(self.train, self._films_per_step, sampler=order)

    def _step(self, step: int, pixels: Tensor, targets: Tensor) -> float:
        self._set_learning_rate(step)
        self.optimiser.zero_grad()
        films = mixture(
            pixels.to(self.dtype),
            targets,
            alpha=self.config.mixup,
            seed=self.config.seed,
            step=step,
        )
        with self.gradient_flow.sampled(step):
            loss = self._backward(films)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clipping)
            self.optimiser.step()
        self._average.update(self.network, step)
        return loss.item()

    def _set_learning_rate(self, step: int) -> None:
        factor = learning_rate_factor(
            step,
            warmup_steps=round(self.config.warmup_epochs * self.steps_per_epoch),
            steps=self.config.epochs * self.steps_per_epoch,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = factor * group["lr_scale"] * self.config.learning_rate

    def _backward(self, films: Mixture) -> Tensor:
        """Leave every trainable parameter's gradient where the optimiser reads it.

        Returns:
            The loss of the whole batch, which goes through the network in parts.
        """
        part_of_loss = self._by_hand if self.config.gradients == "manual" else self._by_autograd
        weight = self.objective.weight(films.targets)
        parts = films.split(self.config.batch_size)
        return torch.stack([part_of_loss(part, weight) for part in parts]).sum()

    def _by_autograd(self, films: Mixture, weight: Tensor) -> Tensor:
        enabled = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            logits = self._forward(_channels_last(films.pixels))
        loss = films.total(self.objective, logits.to(self.dtype)) / weight
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _by_hand(self, films: Mixture, weight: Tensor) -> Tensor:
        """Do the same with `models.backprop`."""
        loss, gradients = by_hand(
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

    def _validation(self) -> EpochRecord:
        logits = self.predicted_logits(self.val)
        return {**self.objective.validation(logits, self.val.targets)}

    def predicted_logits(self, films: Films) -> Float[Tensor, "films classes"]:
        """Return the averaged network's logits of all films, in float32 on the CPU."""
        network = self._from_entry(self.averaged_network)
        return predicted_logits(network, films, autocast=self.config.precision == "bfloat16")

    def save(self, file: Path) -> None:
        """Write all that `restore` needs; a kill while writing leaves the former file whole."""
        state = {
            "network": self.network.state_dict(),
            "averaged_network": self.averaged_network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "gradient_flow": self.gradient_flow.state(),
        }
        unfinished = file.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(file)

    def restore(self, file: Path) -> None:
        """Go on from a file that `save` wrote."""
        state: dict[str, Any] = torch.load(file, self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged_network.load_state_dict(state["averaged_network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.history = state["history"]
        self.gradient_flow.restore(state["gradient_flow"])


def _dropout_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def _channels_last(pixels: Tensor) -> Tensor:
    """Return films, or feature maps, in the layout that convolutions are fast with."""
    is_grid = pixels.ndim == 4
    return pixels.contiguous(memory_format=torch.channels_last) if is_grid else pixels


@torch.inference_mode()
def predicted_logits(
    network: nn.Module, films: Films, *, batch_size: int = 64, autocast: bool = False
) -> Float[Tensor, "films classes"]:
    """Return the logits of all films in float32, on the CPU; the network is left in eval mode."""
    network.eval()
    weight = next(network.parameters())
    logits = []
    for pixels, _ in DataLoader(films, batch_size):
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=autocast):
            logits.append(network(pixels.to(weight)).float().cpu())
    return torch.cat(logits)
