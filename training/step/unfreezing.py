"""Freeze and unfreeze layers by epoch."""

from collections.abc import Sequence

from models.network import LayeredNetwork, layer_number, layers_in_order
from training.training_config import Unfreezing


def first_trained(unfreeze: Sequence[Unfreezing], epoch: int) -> str | None:
    """Return the name of the first layer that trains in an epoch; None where all do."""
    begun = [unfreezing.first for unfreezing in unfreeze if unfreezing.epoch <= epoch]
    return begun[-1] if begun else None


def train_from(network: LayeredNetwork, first: str | None) -> None:
    """Train the layers from `first` on, and freeze those before it.

    Frozen layers have no gradient, so that no optimiser changes them, and are in eval mode: batch
    normalisation keeps its statistics, and dropout drops nothing.

    Args:
        network: Changed in place.
        first: See `models.network.layer_number`; None trains everything.
    """
    network.train()
    start = 0 if first is None else layer_number(network, first)
    for number, (_, layer) in enumerate(layers_in_order(network)):
        is_trained = number >= start
        layer.requires_grad_(is_trained).train(is_trained)


def check_unfreeze(network: LayeredNetwork, unfreeze: Sequence[Unfreezing]) -> None:
    """Check that an unfreezing schedule goes from late layers to earlier ones.

    Raises:
        ValueError: It would freeze layers that have trained, or names a layer that does not exist.
    """
    starts = [layer_number(network, unfreezing.first) for unfreezing in unfreeze]
    if starts != sorted(starts, reverse=True):
        names = [unfreezing.first for unfreezing in unfreeze]
        raise ValueError(f"unfreeze must go from late layers to earlier ones, not {names}")
