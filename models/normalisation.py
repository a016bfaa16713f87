"""The first layer of every network: film pixels in [0, 1] become what the weights expect."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import Colours, PerChannel


class Normalisation(nn.Module):
    """Subtract the mean, divide by the standard deviation.

    They are those of the training films' pixels or, with three figures each, of the colour pictures
    on which the weights were pretrained.

    Attributes:
        mean: Scalar, or [3, 1, 1].
        std: Of the same shape.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: PerChannel, std: PerChannel) -> None:
        super().__init__()
        self.register_buffer("mean", _broadcastable(mean))
        self.register_buffer("std", _broadcastable(std))

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Return normalised pixels: one channel, or three where mean and std are per colour."""
        return (pixels - self.mean) / self.std


def per_colour(figures: PerChannel) -> Colours:
    """Return one figure per colour, the same for each where only one is given."""
    return figures if isinstance(figures, tuple) else (figures, figures, figures)


def grey(figures: PerChannel) -> float:
    """Return one figure for grey pixels: the mean of the colours'."""
    return sum(figures) / len(figures) if isinstance(figures, tuple) else figures


def _broadcastable(figures: PerChannel) -> Tensor:
    values = torch.tensor(figures)
    return values[:, None, None] if values.dim() else values
