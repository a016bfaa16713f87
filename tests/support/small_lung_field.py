"""A lung field with all its parts, and few channels; films and outlines of noise for it."""

import torch
from torch import Tensor, nn

from models.lung_field import LungField
from tests.support.small_networks import with_random_shifts


class SmallLungField(LungField):
    """Three narrow levels."""

    widths = (3, 4, 5)


def small_lung_field(*, training: bool = False) -> SmallLungField:
    """Return a small lung field in float64 that hides no error."""
    torch.manual_seed(3)
    network = with_random_shifts(SmallLungField().double())
    nn.init.normal_(network.head.weight)
    return network.train(training)


def outlined_noise(batch: int, *, size: tuple[int, int] = (32, 48)) -> tuple[Tensor, Tensor]:
    """Return pixels, and shares of lung of which some are not known."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.rand(batch, 1, *size, generator=generator, dtype=torch.float64)
    cells = (batch, 1, size[0] // LungField.cell, size[1] // LungField.cell)
    shares = torch.rand(cells, generator=generator, dtype=torch.float64)
    return pixels, shares.masked_fill(shares > 0.8, float("nan"))
