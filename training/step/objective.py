"""Loss, validation measures and exported head of every kind of training.

Multi-class films have one class each (softmax, cross-entropy); in multi-label films every finding
is present, absent or unknown (sigmoid, binary cross-entropy of what is known); in segmentation each
cell of a film has a share of lung, or an unknown one (the same, and Dice loss).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softmax

from models.backprop.loss import (
    DICE_SMOOTHING,
    binary_cross_entropy_backward,
    binary_cross_entropy_forward,
    cross_entropy_backward,
    cross_entropy_forward,
    dice_loss_backward,
    dice_loss_forward,
    distillation_backward,
    distillation_forward,
)
from training.data.dataset import Targets
from training.statistics.metrics import (
    balanced_accuracy,
    dice_coefficients,
    macro_auroc,
    macro_finding_auroc,
)
from training.training_config import TrainingConfig
from xai.grad_cam import centred_head

TINY = torch.finfo(torch.float32).tiny
"""A teacher's smallest probability: its logarithm must be finite."""


class LossAndError(NamedTuple):
    """Loss of a batch by `models.backprop`, and its derivative.

    Attributes:
        loss: Scalar, in nats.
        grad_logits: The output error (BP1), of the logits' shape.
    """

    loss: Tensor
    grad_logits: Tensor


class Objective(ABC):
    """Base of all kinds of training; targets are a batch of `training.data.dataset.Targets`.

    Attributes:
        score: The measure of val films that chooses the epoch; large is good.
    """

    score: ClassVar[str] = "val_macro_auroc"

    @abstractmethod
    def total(self, logits: Float[Tensor, "batch *outputs"], targets: Tensor) -> Float[Tensor, ""]:
        """Return the sum of PyTorch's loss over films, for autograd."""

    @abstractmethod
    def weight(self, targets: Tensor) -> Float[Tensor, ""]:
        """Return the divisor of `total`."""

    def loss(self, logits: Float[Tensor, "batch *outputs"], targets: Tensor) -> Float[Tensor, ""]:
        """Return the loss of a batch.

        Total and weight are sums over films, so that several passes (or processes), each divided by
        the weight of all films, add up to the loss and gradients of the whole batch.
        """
        return self.total(logits, targets) / self.weight(targets)

    @abstractmethod
    def loss_by_hand(
        self, logits: Float[Tensor, "batch *outputs"], targets: Tensor
    ) -> LossAndError:
        """Return the same loss and its derivative by the logits, without autograd."""

    @abstractmethod
    def validation(
        self, logits: Float[Tensor, "films *outputs"], targets: Targets
    ) -> dict[str, float]:
        """Return `val_loss`, the score and other unweighted measures of val films."""

    @abstractmethod
    def exported_head(self, head: nn.Linear) -> nn.Linear:
        """Return a new head without the effects of training only."""


@dataclass(frozen=True)
class Multiclass(Objective):
    """One class per film: cross-entropy of the softmax.

    Attributes:
        class_weights: Cost of an error on each class; 1 each where None.
        label_smoothing: Share of the target that is spread over all classes.
    """

    class_weights: Float[Tensor, " classes"] | None = None
    label_smoothing: float = 0.0

    def total(
        self, logits: Float[Tensor, "batch classes"], targets: Int[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Return the sum over films, weighted by class."""
        return cross_entropy(
            logits,
            targets,
            self._weights_like(logits),
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )

    def weight(self, targets: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Return the sum of the films' class weights."""
        if self.class_weights is None:
            return torch.tensor(float(len(targets)), device=targets.device)
        return self.class_weights.to(targets.device)[targets].sum()

    def loss_by_hand(
        self, logits: Float[Tensor, "batch classes"], targets: Int[Tensor, " batch"]
    ) -> LossAndError:
        """Return the same from `models.backprop`."""
        loss = cross_entropy_forward(
            logits,
            targets,
            class_weights=self._weights_like(logits),
            label_smoothing=self.label_smoothing,
        )
        return LossAndError(loss.loss, cross_entropy_backward(loss.predicted, loss.true))

    def _weights_like(self, logits: Tensor) -> Tensor | None:
        return None if self.class_weights is None else self.class_weights.to(logits)

    def validation(
        self, logits: Float[Tensor, "films classes"], targets: Targets
    ) -> dict[str, float]:
        """Return loss, macro AUROC and balanced accuracy."""
        numbers = np.asarray(targets)
        probabilities = softmax(logits, dim=1).numpy()
        return {
            "val_loss": cross_entropy(logits, torch.from_numpy(numbers)).item(),
            "val_macro_auroc": macro_auroc(probabilities, numbers),
            "val_balanced_accuracy": balanced_accuracy(probabilities, numbers),
        }

    def exported_head(self, head: nn.Linear) -> nn.Linear:
        """Return the head, centred over classes."""
        return centred_head(head)


@dataclass(frozen=True)
class Distillation(Multiclass):
    """One class per film, and a teacher's probabilities: each has a share of the loss.

    Targets are rows of a class number and the teacher's probabilities. A film's class weight is
    that of its teacher too.

    Attributes:
        share: Of the teacher.
        temperature: By which both sides are softened.
    """

    share: float = 0.5
    temperature: float = 2.0

    def total(
        self, logits: Float[Tensor, "batch classes"], targets: Float[Tensor, "batch columns"]
    ) -> Float[Tensor, ""]:
        """Return the sum over films, weighted by class."""
        numbers, teacher = numbers_of(targets), targets[:, 1:]
        softened = softmax(teacher.to(logits).clamp(min=TINY).log() / self.temperature, dim=1)
        entropies = cross_entropy(logits / self.temperature, softened, reduction="none")
        taught = (self._film_weights(numbers, logits) * entropies).sum() * self.temperature**2
        return (1 - self.share) * super().total(logits, numbers) + self.share * taught

    def weight(self, targets: Float[Tensor, "batch columns"]) -> Float[Tensor, ""]:
        """Return the sum of the films' class weights."""
        return super().weight(numbers_of(targets))

    def loss_by_hand(
        self, logits: Float[Tensor, "batch classes"], targets: Float[Tensor, "batch columns"]
    ) -> LossAndError:
        """Return the same from `models.backprop`."""
        numbers, teacher = numbers_of(targets), targets[:, 1:]
        own = super().loss_by_hand(logits, numbers)
        weights = self._film_weights(numbers, logits)
        taught = distillation_forward(
            logits, teacher.to(logits), weights=weights, temperature=self.temperature
        )
        grad = distillation_backward(taught.predicted, taught.true)
        return LossAndError(
            (1 - self.share) * own.loss + self.share * taught.loss,
            (1 - self.share) * own.grad_logits + self.share * grad,
        )

    def _film_weights(self, numbers: Int[Tensor, " batch"], like: Tensor) -> Tensor:
        weights = self._weights_like(like)
        return like.new_ones(len(numbers)) if weights is None else weights[numbers]


def numbers_of(targets: Tensor) -> Int[Tensor, " batch"]:
    """Return class numbers, without what a teacher says."""
    return targets if targets.ndim == 1 else targets[:, 0].long()


CROSS_ENTROPY = Multiclass()
"""All classes have the same weight, and nothing is smoothed."""


@dataclass(frozen=True)
class Multilabel(Objective):
    """Findings independent of each other: binary cross-entropy of what is known.

    The sum over known entries is divided by the number of all entries, so that a batch's loss is
    the mean of its films', however many labels each of them lacks. Targets between 0 and 1 are
    allowed; one mixed from a known and an unknown label is not a number, so unknown again.

    Attributes:
        positive_weights: Cost of missing each finding, relative to a false alarm (PyTorch's
            `pos_weight`).
        label_smoothing: Share by which each target is moved to 0.5, as timm's `smooth_dense`.
    """

    positive_weights: Float[Tensor, " findings"]
    label_smoothing: float = 0.0

    def total(
        self, logits: Float[Tensor, "batch findings"], targets: Float[Tensor, "batch findings"]
    ) -> Float[Tensor, ""]:
        """Return the sum over the known entries."""
        return binary_cross_entropy_with_logits(
            logits,
            self._smoothed(targets).to(logits),
            weight=(~targets.isnan()).to(logits),
            pos_weight=self.positive_weights.to(logits),
            reduction="sum",
        )

    def weight(self, targets: Float[Tensor, "batch findings"]) -> Float[Tensor, ""]:
        """Return the number of all entries, known or not."""
        return torch.tensor(float(targets.numel()), device=targets.device)

    def loss_by_hand(
        self, logits: Float[Tensor, "batch findings"], targets: Float[Tensor, "batch findings"]
    ) -> LossAndError:
        """Return the same from `models.backprop`, which weighs whole entries."""
        smoothed = self._smoothed(targets).to(logits)
        positive = self.positive_weights.to(logits) * smoothed
        weights = positive + 1 - smoothed
        known = (~targets.isnan()).to(logits)
        loss = binary_cross_entropy_forward(logits, positive / weights, weights=known * weights)
        return LossAndError(loss.loss, binary_cross_entropy_backward(loss.predicted, loss.true))

    def _smoothed(self, targets: Float[Tensor, "batch findings"]) -> Tensor:
        """Return the targets, moved towards 0.5; unknown ones get some value, but no weight."""
        return targets.nan_to_num(0.0) * (1 - self.label_smoothing) + self.label_smoothing / 2

    def validation(
        self, logits: Float[Tensor, "films findings"], targets: Targets
    ) -> dict[str, float]:
        """Return the loss per known label, and macro AUROC."""
        findings = np.asarray(targets)
        known = torch.from_numpy(~np.isnan(findings))
        truth = torch.from_numpy(findings)[known].to(logits)
        return {
            "val_loss": binary_cross_entropy_with_logits(logits[known], truth).item(),
            "val_macro_auroc": macro_finding_auroc(logits.numpy(), findings),
        }

    def exported_head(self, head: nn.Linear) -> nn.Linear:
        """Return the head with the bias of a training without positive weights.

        A positive weight multiplies the odds, so its logarithm is subtracted from the logit. The
        head is not centred: each logit has its own sigmoid, and its sign is for or against the
        finding.

        Source:
            Elkan 2001, The foundations of cost-sensitive learning, IJCAI, theorem 2.
        """
        unweighted = nn.Linear(head.in_features, head.out_features).to(head.weight)
        with torch.no_grad():
            unweighted.weight.copy_(head.weight)
            unweighted.bias.copy_(head.bias - self.positive_weights.to(head.bias).log())
        return unweighted


@dataclass(frozen=True)
class Segmentation(Objective):
    """The lungs' outline: binary cross-entropy + Dice loss of the cells that are known.

    Both are means over films, whatever part of each film is known: the first of its cells' entropy,
    the second of 1 - its soft Dice coefficient. Targets are shares of lung in [0, 1], NaN where
    unknown.

    Source:
        Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, nnU-Net, which adds both.
    """

    score: ClassVar[str] = "val_dice"

    def total(
        self,
        logits: Float[Tensor, "batch 1 rows columns"],
        targets: Float[Tensor, "batch 1 rows columns"],
    ) -> Float[Tensor, ""]:
        """Return the sum over films."""
        cells, shares, known = _known_cells(logits, targets)
        entropies = binary_cross_entropy_with_logits(cells, shares, weight=known, reduction="none")
        mean = entropies.sum(dim=1) / known.sum(dim=1).clamp(min=1)
        inside = cells.sigmoid() * known
        both, sizes = (inside * shares).sum(dim=1), (inside + shares * known).sum(dim=1)
        dice = (2 * both + DICE_SMOOTHING) / (sizes + DICE_SMOOTHING)
        return (mean + 1 - dice).sum()

    def weight(self, targets: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, ""]:
        """Return the number of films."""
        return torch.tensor(float(len(targets)), device=targets.device)

    def loss_by_hand(
        self,
        logits: Float[Tensor, "batch 1 rows columns"],
        targets: Float[Tensor, "batch 1 rows columns"],
    ) -> LossAndError:
        """Return the same from `models.backprop`, which divides by all cells, not the known."""
        cells, shares, known = _known_cells(logits, targets)
        evened = known * known.shape[1] / known.sum(dim=1, keepdim=True).clamp(min=1)
        entropy = binary_cross_entropy_forward(cells, shares, weights=evened)
        dice = dice_loss_forward(cells, shares, weights=known)
        grad = binary_cross_entropy_backward(entropy.predicted, entropy.true)
        grad = grad + dice_loss_backward(dice, shares, weights=known)
        return LossAndError(entropy.loss + dice.loss, grad.view_as(logits))

    def validation(
        self, logits: Float[Tensor, "films 1 rows columns"], targets: Targets
    ) -> dict[str, float]:
        """Return the loss, and the mean Dice coefficient of lung (more than half a cell)."""
        shares = np.asarray(targets)
        dice = dice_coefficients(logits.numpy() > 0, shares > 0.5, ~np.isnan(shares))
        loss = self.loss(logits, torch.from_numpy(shares))
        return {"val_loss": loss.item(), "val_dice": float(dice.mean())}

    def exported_head(self, head: nn.Linear) -> nn.Linear:
        """Refuse: the lung field is no classifier.

        Raises:
            ValueError: Always.
        """
        raise ValueError("a lung field is not exported by itself: the classifiers' files carry it")


def _known_cells(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, shares of lung (0 where unknown) and 1 where known, each [batch, cells]."""
    known = (~targets.isnan()).to(logits)
    shares = targets.nan_to_num(0.0).to(logits)
    return logits.flatten(1), shares.flatten(1), known.flatten(1)


def objective_for(targets: Targets, config: TrainingConfig) -> Objective:
    """Return the objective for these training films; findings have a column each."""
    known = np.asarray(targets)
    if known.ndim == 4:
        return Segmentation()
    if known.ndim == 2:
        if config.sampling.by != "shuffle":
            raise ValueError(
                "sampling must be shuffle where films have several findings, "
                f"not {config.sampling.by}"
            )
        return Multilabel(positive_weights(known, config), config.label_smoothing)
    weights, teacher = class_weights(known.tolist(), config), config.distillation
    if teacher:
        smoothing = config.label_smoothing
        return Distillation(weights, smoothing, teacher.weight, teacher.temperature)
    return Multiclass(weights, config.label_smoothing)


def class_weights(targets: Sequence[int], config: TrainingConfig) -> Float[Tensor, "classes"]:
    """Return the weight of each class in the loss; their mean over films is 1."""
    counts = torch.bincount(torch.tensor(list(targets)))
    if config.sampling.class_weights == "none":
        return torch.ones(len(counts))
    return len(targets) / (len(counts) * counts)


def positive_weights(
    targets: Float[np.ndarray, "films findings"], config: TrainingConfig
) -> Float[Tensor, "findings"]:
    """Return for each finding the number of films known to lack it, per film known to have it.

    Raises:
        ValueError: A finding is present on none of the films, or absent on none.
    """
    if config.sampling.class_weights == "none":
        return torch.ones(targets.shape[1])
    present, absent = ((targets == value).sum(axis=0) for value in (1, 0))
    if not (present.all() and absent.all()):
        raise ValueError(f"each finding must be 1 and 0 on films: {present} and {absent} films")
    return torch.from_numpy(absent / present).float()
