"""The loss: softmax and cross-entropy, with class weights and label smoothing."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


class CrossEntropy(NamedTuple):
    """What the loss returns.

    Attributes:
        loss: Weighted mean over the batch, in nats; a scalar.
        predicted: Probability of each class, [batch, classes].
        true: Share of the loss that belongs to each class, [batch, classes]. Without weights and
            smoothing it is 1 / batch at the true class and 0 elsewhere.
    """

    loss: Tensor
    predicted: Tensor
    true: Tensor


def cross_entropy_forward(
    logits: Float[Tensor, "batch classes"],
    targets: Int[Tensor, " batch"],
    *,
    class_weights: Float[Tensor, " classes"] | None = None,
    label_smoothing: float = 0.0,
) -> CrossEntropy:
    """Return the cross-entropy between the true classes and the softmax of the logits.

    Args:
        logits: Unbounded.
        targets: Index of the true class.
        class_weights: What an error on each class costs; 1 each where None.
        label_smoothing: Share of the truth that is spread evenly over all classes, in [0, 1].

    Raises:
        ValueError: `label_smoothing` is outside [0, 1].

    Source:
        Bridle 1990 (softmax); Szegedy et al. 2015, arXiv:1512.00567, section 7 (smoothing).
    """
    true = true_shares(
        targets,
        logits.new_ones(logits.shape[1]) if class_weights is None else class_weights,
        label_smoothing=label_smoothing,
    )
    log_probabilities = functional.log_softmax(logits, dim=1)
    return CrossEntropy(-(true * log_probabilities).sum(), log_probabilities.exp(), true)


def cross_entropy_backward(
    predicted: Float[Tensor, "batch classes"], true: Float[Tensor, "batch classes"]
) -> Float[Tensor, "batch classes"]:
    """Return the derivative of the loss by the logits (BP1): predicted minus true.

    The prediction is first scaled to the weight that its film has in the loss, so each row sums
    to 0: what one class gains, the others lose.

    Args:
        predicted: As `cross_entropy_forward` returned it.
        true: As `cross_entropy_forward` returned it.

    Source:
        Bridle 1990; Nielsen 2015, chapter 3, equation 68 (output error a - y of log-likelihood).
    """
    return predicted * true.sum(dim=1, keepdim=True) - true


def true_shares(
    targets: Int[Tensor, " batch"],
    class_weights: Float[Tensor, " classes"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, "batch classes"]:
    """Return how much of the batch's loss belongs to each film and class.

    As in PyTorch, weights also weigh the smoothed part, and the sum is divided by the weights of
    the true classes alone.

    Raises:
        ValueError: `label_smoothing` is outside [0, 1].
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], not {label_smoothing}")
    classes = class_weights.shape[0]
    one_hot = functional.one_hot(targets.long(), classes).to(class_weights.dtype)
    smoothed = torch.lerp(one_hot, torch.full_like(one_hot, 1 / classes), label_smoothing)
    return smoothed * class_weights / class_weights[targets].sum()
