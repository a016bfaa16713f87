"""The training loop: epochs of AdamW steps, the best weights kept, resumable after any epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.seam import Network
from training.config import TrainingConfig
from training.dataset import FilmDataset
from training.gradient_flow import GradientFlow
from training.gradients import by_hand
from training.metrics import balanced_accuracy, macro_auroc
from training.schedule import learning_rate_factor

EpochRecord = dict[str, float | int]


@dataclass
class TrainingRun:
    """A network in training.

    All randomness is a function of (seed, epoch, film), so that a run continued from a saved epoch
    equals one that was never interrupted.

    Attributes:
        network: Trained in place.
        config: How.
        train: Films it learns from, augmented.
        val: Films it is chosen on, as they are.
        history: One record per epoch done.
    """

    network: Network
    config: TrainingConfig
    train: FilmDataset
    val: FilmDataset
    history: list[EpochRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = next(self.network.parameters()).device
        self.dtype = torch.float64 if self.config.precision == "float64" else torch.float32
        self.network.to(self.dtype).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(
            param_groups_weight_decay(self.network, self.config.weight_decay),
            lr=self.config.learning_rate,
        )
        self.gradient_flow = GradientFlow(self.network, every=self.config.gradient_flow_every)
        self._average = ModelEmaV3(self.network, self.config.model_ema_decay, use_warmup=True)
        self.steps_per_epoch = -(-len(self.train) // self.config.batch_size)
        weights = class_weights(self.train.targets, self.config)
        self.class_weights = weights.to(self.device, self.dtype)

    @property
    def averaged_network(self) -> nn.Module:
        """The exponential moving average of the weights: what is validated and kept."""
        network: nn.Module = self._average.module
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
            record["learning_rate"] = self.optimiser.param_groups[0]["lr"]
            self.history.append(record)
            yield record

    def _train_epoch(self, epoch: int) -> float:
        self.network.train()
        self.train.epoch = epoch
        films = DataLoader(
            self.train,
            self.config.batch_size,
            sampler=epoch_order(len(self.train), seed=self.config.seed, epoch=epoch),
        )
        losses = []
        progress = tqdm(films, f"epoch {epoch + 1}/{self.config.epochs}", leave=False, unit="batch")
        for step, (pixels, targets) in enumerate(progress, start=epoch * self.steps_per_epoch):
            losses.append(self._step(step, pixels.to(self.device), targets.to(self.device)))
            progress.set_postfix(loss=f"{np.mean(losses):.3f}")
        return float(np.mean(losses))

    def _step(self, step: int, pixels: Tensor, targets: Tensor) -> float:
        self._set_learning_rate(step)
        self.optimiser.zero_grad()
        pixels = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
        is_manual = self.config.gradients == "manual"
        with self.gradient_flow.sampled(step):
            loss = (self._backward_by_hand if is_manual else self._backward)(pixels, targets)
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
            group["lr"] = factor * self.config.learning_rate

    def _backward(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """Leave every parameter's gradient where the optimiser reads it, and return the loss."""
        enabled = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            logits = self.network(pixels)
        loss = cross_entropy(
            logits.to(self.dtype),
            targets,
            weight=self.class_weights,
            label_smoothing=self.config.label_smoothing,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def _backward_by_hand(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """Do the same with `models.backprop`."""
        loss, gradients = by_hand(
            self.network,
            pixels,
            targets,
            class_weights=self.class_weights,
            label_smoothing=self.config.label_smoothing,
            checkpointing=self.config.grad_checkpointing,
        )
        for name, gradient in gradients.items():
            self.network.get_parameter(name).grad = gradient
        return loss

    def _validation(self) -> EpochRecord:
        logits = predicted_logits(self.averaged_network, self.val)
        targets = np.asarray(self.val.targets)
        probabilities = softmax(logits, dim=1).numpy()
        return {
            "val_loss": cross_entropy(logits, torch.from_numpy(targets)).item(),
            "val_macro_auroc": macro_auroc(probabilities, targets),
            "val_balanced_accuracy": balanced_accuracy(probabilities, targets),
        }

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


def epoch_order(films: int, *, seed: int, epoch: int) -> list[int]:
    """Return the films' numbers in the order of one epoch."""
    order: list[int] = np.random.default_rng((seed, epoch)).permutation(films).tolist()
    return order


def class_weights(targets: Sequence[int], config: TrainingConfig) -> Float[Tensor, "classes"]:
    """Return the weight of each class in the loss; their mean over films is 1."""
    counts = torch.bincount(torch.tensor(list(targets)))
    if config.class_weights == "none":
        return torch.ones(len(counts))
    return len(targets) / (len(counts) * counts)


@torch.inference_mode()
def predicted_logits(
    network: nn.Module, films: FilmDataset, *, batch_size: int = 64
) -> Float[Tensor, "films classes"]:
    """Return the logits of all films in float32, on the CPU; the network is left in eval mode."""
    network.eval()
    weight = next(network.parameters())
    return torch.cat(
        [network(pixels.to(weight)).float().cpu() for pixels, _ in DataLoader(films, batch_size)]
    )
