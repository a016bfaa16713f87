"""Train a network epoch by epoch; a run can be resumed after any epoch."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from models.network import LayeredNetwork, Network
from training.data.dataset import LabelledFilm
from training.fitting.feature_cache import from_entry
from training.fitting.state import EpochRecord, TrainingState
from training.fitting.step_films import StepFilms
from training.fitting.subset import Films
from training.fitting.tensorboard import Scalar, unlogged
from training.gradient_flow.flow import GradientFlow
from training.statistics.pairs import auroc_by_origin
from training.step.backward import AutogradBackward, Backward, ManualBackward
from training.step.distributed import Processes
from training.step.evidence import BarredCells, EvidencePenalty
from training.step.linear_probe import fit_head
from training.step.mixup import mixture
from training.step.objective import objective_for
from training.step.optimiser import learning_rate_factor, optimiser_of
from training.step.unfreezing import check_unfreeze, first_trained, train_from
from training.training_config import ManualConfig, TrainingConfig


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
        val: Films that choose the best epoch, not augmented; or their features.
        confounded: Origins that have no say in the choice of the epoch.
        log: Called with the loss of every step and all figures of every epoch.
        processes: Those that train together; each has a run like this one.
    """

    network: LayeredNetwork
    config: TrainingConfig
    train: Films
    val: Films
    confounded: Collection[str] = ()
    log: Scalar = unlogged
    processes: Processes = field(default_factory=Processes.current)

    def __post_init__(self) -> None:
        check_unfreeze(self.network, self.config.unfreezings)
        precision = self.config.gradients.precision
        self.device = next(self.network.parameters()).device
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        self.autocast = precision == "bfloat16"
        self.penalty = self._penalty()
        self._convert_network()
        self.optimiser = optimiser_of(self.network, self.config.optimiser)
        self.gradient_flow = GradientFlow(
            self.network,
            every=self.config.gradients.gradient_flow_every,
            say=tqdm.write if self.processes.is_first else _say_nothing,
        )
        self.objective = objective_for(self.train.targets, self.config)
        average = ModelEmaV3(self.network, self.config.model_ema_decay, use_warmup=True)
        by = self.config.choice.epoch
        score = self.objective.score if by == "macro_auroc" else f"val_{by}_auroc"
        self.state = TrainingState(self.network, average, self.optimiser, self.gradient_flow, score)
        self.step_films = StepFilms(
            self.train, self.config, self.processes, pin_memory=self.device.type == "cuda"
        )
        self.backward = self._backward()

    def _penalty(self) -> EvidencePenalty | None:
        wanted = self.config.evidence
        if wanted is None:
            return None
        if not isinstance(self.network, Network):
            raise ValueError("[training.evidence] needs a classifier, not a lung field")
        cells = BarredCells.of(self.network)
        return EvidencePenalty(wanted.weight, cells, is_cached=bool(self.config.feature_cache))

    def _convert_network(self) -> None:
        self.network.to(self.dtype).to(memory_format=torch.channels_last)
        is_manual = self.config.gradients.by == "manual"
        if self.device.type == "cuda" and self.processes.count > 1 and not is_manual:
            nn.SyncBatchNorm.convert_sync_batchnorm(self.network)  # type: ignore[no-untyped-call]

    def _backward(self) -> Backward:
        config, common = self.config.gradients, (self.network, self.objective, self.processes)
        if isinstance(config, ManualConfig):
            return ManualBackward(*common, config=config, penalty=self.penalty)
        entry = from_entry(self.network, self.config)
        return AutogradBackward(*common, config=config, entry=entry, penalty=self.penalty)

    @property
    def steps_done(self) -> int:
        """Steps of the optimiser in the epochs done."""
        return len(self.state.history) * self.step_films.steps_per_epoch

    def epochs(self) -> Iterator[EpochRecord]:
        """Train the epochs that are left; yield the record of each."""
        for epoch in range(len(self.state.history), self.config.epochs):
            train_loss = self._probe() if self.config.linear_probe else self._train_epoch(epoch)
            record = {"epoch": epoch, "train_loss": train_loss, **self._validation()}
            record["learning_rate"] = max(group["lr"] for group in self.optimiser.param_groups)
            self.state.history.append(record)
            for name, value in record.items():
                self.log(f"epoch/{name}", float(value), self.steps_done - 1)
            yield record

    def _train_epoch(self, epoch: int) -> float:
        """Take the steps of an epoch, and return their mean loss."""
        self._unfreeze(epoch)
        torch.manual_seed(_dropout_seed(self.config.seed, epoch, self.processes.rank))
        losses = []
        progress = tqdm(
            self.step_films.batches(epoch),
            f"epoch {epoch + 1}/{self.config.epochs}",
            leave=False,
            unit="step",
            disable=not self.processes.is_first,
        )
        first_step = epoch * self.step_films.steps_per_epoch
        for step, (pixels, targets) in enumerate(progress, start=first_step):
            losses.append(self._step(step, pixels.to(self.device), targets.to(self.device)))
            self.log("step/loss", losses[-1], step)
            progress.set_postfix(loss=f"{np.mean(losses):.3f}")
        self.processes.average_statistics(self.network, self.state.averaged_network)
        return float(np.mean(losses))

    def _probe(self) -> float:
        """Fit the head to all copies of the films' features at once, and return the mean loss."""
        probe, cache = self.config.linear_probe, self.config.feature_cache
        if probe is None or cache is None or not isinstance(self.network, Network):
            raise ValueError("[training.linear_probe] needs a classifier, not a lung field")
        targets = np.tile(np.asarray(self.train.targets), cache.copies)
        if targets.ndim != 1 or targets.dtype.kind != "i":
            raise ValueError("[training.linear_probe] needs films of one class each, not findings")
        features = np.stack([self.train[film][0].float().numpy() for film in range(len(targets))])
        is_balanced = self.config.sampling.class_weights == "balanced"
        loss = fit_head(
            self.network.head, features, targets, penalty=probe.penalty, is_balanced=is_balanced
        )
        self.state.average.set(self.network)
        return loss

    def _unfreeze(self, epoch: int) -> None:
        """Put the layers that train in this epoch into training, and freeze those before them."""
        train_from(self.network, first_trained(self.config.unfreezings, epoch))
        self.backward.begin_epoch()

    def _step(self, step: int, pixels: Tensor, targets: Tensor) -> float:
        """Move the weights once, and return the loss before."""
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
            loss = self.backward(self.step_films.own_passes(step, films))
            largest = self.config.optimiser.gradient_clipping
            nn.utils.clip_grad_norm_(self.network.parameters(), largest)
            self.optimiser.step()
        self.state.average.update(self.network, step)
        return loss.item()

    def _set_learning_rate(self, step: int) -> None:
        steps_per_epoch = self.step_films.steps_per_epoch
        factor = learning_rate_factor(
            step,
            warmup_steps=round(self.config.optimiser.warmup_epochs * steps_per_epoch),
            steps=self.config.epochs * steps_per_epoch,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = factor * group["lr_scale"] * self.config.optimiser.learning_rate

    def _validation(self) -> EpochRecord:
        logits = self.predicted_logits(self.val)
        measured = self.objective.validation(logits, self.val.targets)
        if self.config.choice.epoch == "macro_auroc":
            return {**measured}
        return {**measured, **self._within_origins(logits)}

    def _within_origins(self, logits: Float[Tensor, "films classes"]) -> EpochRecord:
        """Return how well val films' classes are told within an origin: the mean, and the worst."""
        targets = np.asarray(self.val.targets)
        if targets.ndim > 1:
            raise ValueError("epoch of [training.choice] must be macro_auroc for findings or lungs")
        found = auroc_by_origin(logits.softmax(dim=1).numpy(), targets, self.val.sources)
        own = [value for origin, value in found.items() if origin not in self.confounded]
        if not own:
            raise ValueError(
                "epoch of [training.choice] must be macro_auroc: no origin of val that is not "
                "confounded has two classes of 10 films"
            )
        return {"val_origins_auroc": float(np.mean(own)), "val_worst_origin_auroc": min(own)}

    def predicted_logits(self, films: Films) -> Float[Tensor, "films *outputs"]:
        """Return the averaged network's logits of all films, in float32 on the CPU."""
        network = from_entry(self.state.averaged_network, self.config)
        own = torch.utils.data.Subset(films, self.processes.share(len(films)))
        logits = predicted_logits(network, own, autocast=self.autocast)
        return self.processes.gathered(logits.to(self.device))[: len(films)].cpu()


def _say_nothing(sentence: str) -> None:
    """Stand in for `tqdm.write`: only the first process speaks."""


def _dropout_seed(seed: int, epoch: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1)[0])


@torch.inference_mode()
def predicted_logits(
    network: nn.Module,
    films: Dataset[LabelledFilm],
    *,
    batch_size: int = 64,
    autocast: bool = False,
) -> Float[Tensor, "films *outputs"]:
    """Return the logits of all films in float32, on the CPU; the network is left in eval mode."""
    network.eval()
    weight = next(network.parameters())
    logits = []
    for pixels, _ in DataLoader(films, batch_size):
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=autocast):
            logits.append(network(pixels.to(weight.device, weight.dtype)).float().cpu())
    return torch.cat(logits)
