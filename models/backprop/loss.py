"""Losses forward and backward: cross-entropies, Dice, squares, evidence out of place; log-odds.

The cross-entropies and mean squared error are paired with the output function that makes their
output error (BP1) predicted minus true: cross-entropy with softmax, binary cross-entropy with
sigmoid, mean squared error with the identity. Predictions and targets are returned times each
entry's weight in the loss (its share). The log-odds of groups of classes are no loss, but begin a
backward pass just so.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

DICE_SMOOTHING = 1.0
"""In cells: added above and below, so that the coefficient of nothing with nothing is 1."""


class Loss(NamedTuple):
    """Loss of a batch, with what its backward pass needs.

    Attributes:
        loss: The loss of the batch; a scalar.
        predicted: The predictions, times each entry's share of the loss.
        true: The targets, times the same share.
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
) -> Loss:
    """Return the cross-entropy between the true classes and the softmax of the logits.

    Args:
        logits: Unbounded.
        targets: Index of the true class.
        class_weights: Weight of each class in the loss; None is 1 each.
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1].

    Returns:
        The weighted mean over the batch, in nats. A film's share of the loss is 1 / batch where
        there are no weights.

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
    predicted = log_probabilities.exp() * true.sum(dim=1, keepdim=True)
    return Loss(-(true * log_probabilities).sum(), predicted, true)


def cross_entropy_backward(
    predicted: Float[Tensor, "batch classes"], true: Float[Tensor, "batch classes"]
) -> Float[Tensor, "batch classes"]:
    """Return the derivative of the loss by the logits (BP1): predicted minus true.

    Each row sums to 0.

    Args:
        predicted: As `cross_entropy_forward` returned it.
        true: As `cross_entropy_forward` returned it.

    Source:
        Bridle 1990; Nielsen 2015, chapter 3, equation 81 (a - y, of the log-likelihood).
    """
    return predicted - true


def true_shares(
    targets: Int[Tensor, " batch"],
    class_weights: Float[Tensor, " classes"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, "batch classes"]:
    """Return the smoothed one-hot targets, times each entry's share of the batch's loss.

    As in PyTorch, class weights apply to the smoothed targets too, and the sum is divided by the
    weights of the true classes only.

    Raises:
        ValueError: `label_smoothing` is outside [0, 1].
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], not {label_smoothing}")
    classes = class_weights.shape[0]
    one_hot = functional.one_hot(targets.long(), classes).to(class_weights.dtype)
    smoothed = torch.lerp(one_hot, torch.full_like(one_hot, 1 / classes), label_smoothing)
    return smoothed * class_weights / class_weights[targets].sum()


def binary_cross_entropy_forward(
    logits: Float[Tensor, "batch classes"],
    targets: Float[Tensor, "batch classes"],
    *,
    weights: Float[Tensor, "batch classes"] | None = None,
) -> Loss:
    """Return the cross-entropy between the findings and the sigmoid of the logits.

    -(y log(p) + (1 - y) log(1 - p)), from the logarithms of the sigmoid, so that it is finite for
    every finite logit.

    Args:
        logits: Unbounded.
        targets: 1 where the finding is present, 0 where it is absent, or any number between.
        weights: Weight of each entry in the loss; None is 1 each. A weight of 0 leaves an entry
            out, as for a label that is not known.

    Returns:
        The sum divided by the number of entries (not of weights), in nats, as in PyTorch.

    Source:
        Nielsen 2015, chapter 3, equation 63, for each class by itself.
    """
    shares = (torch.ones_like(logits) if weights is None else weights) / logits.numel()
    true = shares * targets
    absent = (shares - true) * functional.logsigmoid(-logits)
    present = true * functional.logsigmoid(logits)
    return Loss(-(present + absent).sum(), shares * torch.sigmoid(logits), true)


def binary_cross_entropy_backward(
    predicted: Float[Tensor, "batch classes"], true: Float[Tensor, "batch classes"]
) -> Float[Tensor, "batch classes"]:
    """Return the derivative of the loss by the logits (BP1): predicted minus true.

    Args:
        predicted: As `binary_cross_entropy_forward` returned it.
        true: As `binary_cross_entropy_forward` returned it.

    Source:
        Nielsen 2015, chapter 3, equation 66: the sigmoid's slope cancels.
    """
    return predicted - true


class DiceLoss(NamedTuple):
    """Dice loss of a batch, with what its backward pass needs.

    Attributes:
        loss: 1 - the mean of the films' Dice coefficients; a scalar.
        probabilities: Sigmoid of the logits.
        dice: Each film's soft Dice coefficient, in [0, 1], [batch, 1].
        area: Its denominator, [batch, 1]: the area of the prediction + that of the target.
    """

    loss: Tensor
    probabilities: Tensor
    dice: Tensor
    area: Tensor


def dice_loss_forward(
    logits: Float[Tensor, "batch cells"],
    targets: Float[Tensor, "batch cells"],
    *,
    weights: Float[Tensor, "batch cells"],
) -> DiceLoss:
    """Return 1 - the soft Dice coefficient of the sigmoid of the logits and an outline.

        dice = (2 sum of w p m + s) / (sum of w (p + m) + s)

    Args:
        logits: Unbounded.
        targets: Share m of each cell inside the outline, in [0, 1].
        weights: Weight w of each cell; 0 leaves it out, as one that is not known.

    Returns:
        The mean over films. Films have the same share of it, whatever their outlines' size; s =
        `DICE_SMOOTHING` makes the coefficient of an empty prediction and an empty outline 1.

    Source:
        Milletari et al. 2016, arXiv:1606.04797, section 3 (there with squares in the denominator,
        and without s).
    """
    probabilities = torch.sigmoid(logits)
    both = (weights * probabilities * targets).sum(dim=1, keepdim=True)
    area = (weights * (probabilities + targets)).sum(dim=1, keepdim=True) + DICE_SMOOTHING
    dice = (2 * both + DICE_SMOOTHING) / area
    return DiceLoss(1 - dice.mean(), probabilities, dice, area)


def dice_loss_backward(
    loss: DiceLoss,
    targets: Float[Tensor, "batch cells"],
    *,
    weights: Float[Tensor, "batch cells"],
) -> Float[Tensor, "batch cells"]:
    """Return the derivative of the loss by the logits (BP1).

    By the quotient rule, a film's coefficient changes with p by w (2 m - dice) / area; p changes
    with its logit by p (1 - p).

    Args:
        loss: As `dice_loss_forward` returned it.
        targets: As in the forward pass.
        weights: Likewise.

    Source:
        Milletari et al. 2016, arXiv:1606.04797, section 3, for a denominator without squares.
    """
    p = loss.probabilities
    slope = weights * (2 * targets - loss.dice) / loss.area
    return -slope * p * (1 - p) / len(targets)


def mean_squared_error_forward(
    outputs: Float[Tensor, "*shape"], targets: Float[Tensor, "*shape"]
) -> Loss:
    """Return the mean, over all entries, of the squared difference.

    Returns:
        The mean, and both tensors times 2 / number of entries, which is the slope of the square.

    Source:
        Rumelhart et al. 1986, doi:10.1038/323533a0, equation 3 (there half the sum).
    """
    share = 2 / outputs.numel()
    return Loss((outputs - targets).square().mean(), share * outputs, share * targets)


def mean_squared_error_backward(
    predicted: Float[Tensor, "*shape"], true: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return the derivative of the loss by the outputs (BP1): predicted minus true.

    Args:
        predicted: As `mean_squared_error_forward` returned it.
        true: As `mean_squared_error_forward` returned it.

    Source:
        Rumelhart et al. 1986, doi:10.1038/323533a0, equation 4.
    """
    return predicted - true


def group_log_odds_forward(
    logits: Float[Tensor, "batch classes"],
    is_member: Bool[Tensor, "groups classes"],
    *,
    temperature: float | Tensor = 1.0,
) -> Float[Tensor, "batch groups"]:
    """Return the log-odds that the class is one of a group, log(P / (1 - P)).

        P = sum over classes c of the group of softmax(logits / temperature)_c

    P and 1 - P have the same denominator, which cancels. What is left is the log-sum-exp over the
    group minus that over all other classes: finite for every finite logit, however near P is to 0
    or 1.

    Args:
        logits: Unbounded.
        is_member: Whether each class is in each group; of no group are none or all of them.
        temperature: Divides the logits.
    """
    scaled = (logits / temperature)[:, None]
    inside, outside = _apart(scaled, is_member)
    return inside.logsumexp(dim=2) - outside.logsumexp(dim=2)


def group_log_odds_backward(
    logits: Float[Tensor, "batch classes"],
    is_member: Bool[Tensor, "groups classes"],
    *,
    temperature: float | Tensor = 1.0,
) -> Float[Tensor, "batch groups classes"]:
    """Return the derivative of each group's log-odds by the logits (BP1).

        d log-odds / d logit_c = p_c / (P temperature)           for c in the group
                               = -p_c / ((1 - P) temperature)    for every other class

    p_c / P is the softmax over the group alone, p_c / (1 - P) that over the others, and so they are
    computed. The derivatives sum to 0 over the classes.

    Args:
        logits: As in the forward pass.
        is_member: Likewise.
        temperature: Likewise.
    """
    scaled = (logits / temperature)[:, None]
    inside, outside = _apart(scaled, is_member)
    return (inside.softmax(dim=2) - outside.softmax(dim=2)) / temperature


def _apart(
    values: Float[Tensor, "batch 1 classes"], is_member: Bool[Tensor, "groups classes"]
) -> tuple[Float[Tensor, "batch groups classes"], Float[Tensor, "batch groups classes"]]:
    """Return the values of each group's classes and of the others; the rest is -infinity."""
    inside = torch.where(is_member, values, -torch.inf)
    return inside, torch.where(is_member, -torch.inf, values)


def distillation_forward(
    logits: Float[Tensor, "batch classes"],
    teacher: Float[Tensor, "batch classes"],
    *,
    weights: Float[Tensor, " batch"],
    temperature: float,
) -> Loss:
    """Return T^2 times the cross-entropy of softened probabilities with a teacher's, a mean.

        loss = -T^2 * sum over films i and classes c of w_i q_ic log p_ic / sum of w
        p = softmax(logits / T),    q = softmax(log teacher / T)

    Softening divides the gradient by T^2, hence the factor.

    Args:
        logits: Of the network that learns.
        teacher: Probabilities of the network, or the mean of several, that teaches.
        weights: w, of each film.
        temperature: T, by which both sides are softened.

    Source:
        Hinton et al. 2015, arXiv:1503.02531, section 2.
    """
    likely = teacher.clamp(min=torch.finfo(torch.float32).tiny)
    true = functional.softmax(likely.log() / temperature, dim=1)
    log_probabilities = functional.log_softmax(logits / temperature, dim=1)
    shares = weights[:, None] / weights.sum()
    loss = -(shares * true * log_probabilities).sum() * temperature**2
    share = temperature * shares
    return Loss(loss, share * log_probabilities.exp(), share * true)


def distillation_backward(
    predicted: Float[Tensor, "batch classes"], true: Float[Tensor, "batch classes"]
) -> Float[Tensor, "batch classes"]:
    """Return the derivative by the logits (BP1): T * w / sum of w * (p - q), summing to 0.

    Args:
        predicted: As `distillation_forward` returned it.
        true: As `distillation_forward` returned it.

    Source:
        Hinton et al. 2015, arXiv:1503.02531, equation 2.
    """
    return predicted - true


def misplaced_evidence_forward(
    evidence: Float[Tensor, "batch classes rows columns"],
    targets: Int[Tensor, " batch"],
    barred: Float[Tensor, "batch 1 rows columns"],
) -> Float[Tensor, ""]:
    """Return the positive evidence of each film's class where none should lie, in logits, summed.

        penalty = sum over films i and positions of barred_i(r, s) * max(evidence_i,y_i(r, s), 0)

    Args:
        evidence: Maps of all classes, in logits per position.
        targets: Index of the true class, y.
        barred: Share of each cell where evidence of that class should not lie, in [0, 1].
    """
    own = evidence[torch.arange(len(targets)), targets]
    return (barred[:, 0] * own.clamp(min=0)).sum()


def misplaced_evidence_backward(
    evidence: Float[Tensor, "batch classes rows columns"],
    targets: Int[Tensor, " batch"],
    barred: Float[Tensor, "batch 1 rows columns"],
) -> Float[Tensor, "batch classes rows columns"]:
    """Return the derivative by the evidence: `barred` where the own class's is positive, else 0.

    Args:
        evidence: As in the forward pass; so are the others.
        targets: Index of the true class.
        barred: Share of each cell where its evidence should not lie.
    """
    films = torch.arange(len(targets))
    grad = torch.zeros_like(evidence)
    grad[films, targets] = barred[:, 0] * (evidence[films, targets] > 0)
    return grad
