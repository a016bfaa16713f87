"""How the learning rate runs through the training, and which layers train in which epoch."""

import math
from collections.abc import Sequence

from models.division import layer_number
from models.seam import Network, layers_in_order
from training.config import Unfreezing


def learning_rate_factor(step: int, *, warmup_steps: int, steps: int) -> float:
    """Return the share of the peak learning rate at a step: a linear rise, then half a cosine.

    Args:
        step: From 0.
        warmup_steps: Steps of the rise; the peak is reached at this step.
        steps: Steps of the whole training; the factor falls towards 0 there.

    Returns:
        In (0, 1].

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5 with one period.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def first_trained(unfreeze: Sequence[Unfreezing], epoch: int) -> str | None:
    """Return the name of the first layer that trains in an epoch; None where all do."""
    begun = [unfreezing.first for unfreezing in unfreeze if unfreezing.epoch <= epoch]
    return begun[-1] if begun else None


def train_from(network: Network, first: str | None) -> None:
    """Put the layers from `first` on into training, and freeze those before it.

    Frozen layers have no gradient, so that no optimiser touches them, and are in eval mode: batch
    normalisation keeps its statistics, nothing is dropped.

    Args:
        network: Changed in place.
        first: See `models.division.layer_number`; None trains everything.
    """
    network.train()
    start = 0 if first is None else layer_number(network, first)
    for number, (_, layer) in enumerate(layers_in_order(network)):
        is_trained = number >= start
        layer.requires_grad_(is_trained).train(is_trained)


def check_unfreeze(network: Network, unfreeze: Sequence[Unfreezing]) -> None:
    """Refuse a schedule that freezes what has trained, or names a layer that there is not.

    Raises:
        ValueError: It does.
    """
    starts = [layer_number(network, unfreezing.first) for unfreezing in unfreeze]
    if starts != sorted(starts, reverse=True):
        names = [unfreezing.first for unfreezing in unfreeze]
        raise ValueError(f"unfreeze must go from late layers to earlier ones, not {names}")
