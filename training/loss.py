"""What is minimised: a sum over films and its weight, so that parts of a batch add up to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.config import TrainingConfig


@dataclass(frozen=True)
class CrossEntropy:
    """Of a softmax over classes, in nats.

    The loss of a batch is `total / weight`. Both are sums over its films, so that micro-batches
    (or processes) that divide by the weight of the whole batch give its loss and its gradients.

    Attributes:
        class_weights: What an error on each class costs.
        label_smoothing: Share of the target spread over all classes.
    """

    class_weights: Float[Tensor, " classes"]
    label_smoothing: float = 0.0

    def total(
        self, logits: Float[Tensor, "batch classes"], targets: Int[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Return the sum over films."""
        return cross_entropy(
            logits,
            targets,
            weight=self.class_weights,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )

    def weight(self, targets: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Return what `total` must be divided by."""
        return self.class_weights[targets].sum()


def class_weights(targets: Sequence[int], config: TrainingConfig) -> Float[Tensor, "classes"]:
    """Return the weight of each class in the loss; their mean over films is 1."""
    counts = torch.bincount(torch.tensor(list(targets)))
    if config.class_weights == "none":
        return torch.ones(len(counts))
    return len(targets) / (len(counts) * counts)
