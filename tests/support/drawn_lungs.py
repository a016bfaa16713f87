"""Drawn films with their soft lung masks, and masks made by hand of ellipses."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.drawn_chest import Anatomy, lungs

FILM, MASK, CROP = (320, 320), (64, 64), (224, 224)
LUNG_GREY, TISSUE_GREY = 0.35, 0.75
RIGHT, LEFT = (0.5, 0.3, 0.3, 0.11), (0.5, 0.7, 0.26, 0.12)
"""Two lungs as row and column of the centre, half height and half width, all in shares."""


def ellipses(*drawn: tuple[float, float, float, float], side: int = MASK[0]) -> Tensor:
    """Return a soft mask of ellipses, [1, 1, side, side]: probabilities with an edge 2 cells wide.

    Of several the largest value counts.
    """
    positions = (torch.arange(side) + 0.5) / side
    mask = torch.zeros(side, side)
    for row, column, height, width in drawn:
        down, across = (positions[:, None] - row) / height, (positions - column) / width
        distance = (1 - (down.square() + across.square()).sqrt()) * min(height, width) * side
        mask = torch.maximum(mask, torch.sigmoid(4 * distance))
    return mask[None, None]


def drawn_mask(seed: int, *, side: int = MASK[0]) -> Tensor:
    """Return the lungs of a drawn patient as probabilities, [1, 1, side, side]."""
    random = np.random.default_rng(seed)
    anatomy = Anatomy.drawn_from(random)
    x, y = random.uniform(-0.15, 0.15, 2)
    places = ((np.arange(side) + 0.5) / side * 2 - 1) * 1.2
    across, down = np.meshgrid(places.astype(np.float32), places.astype(np.float32))
    return torch.from_numpy(lungs(anatomy, across - np.float32(x), down - np.float32(y)))[
        None, None
    ]


def drawn_film(seed: int) -> Tensor:
    """Return a film whose lungs are darker than all else, with a texture, [1, 1, 320, 320]."""
    random = torch.Generator().manual_seed(seed)
    texture = functional.avg_pool2d(torch.randn(1, 1, 328, 328, generator=random), 9, stride=1)
    lung = drawn_mask(seed, side=FILM[0])
    return (TISSUE_GREY + (LUNG_GREY - TISSUE_GREY) * lung + 0.4 * texture).clamp(0, 1)


class DarkPixels(nn.Module):
    """A lung field without weights: the darker a cell of 5x5 pixels, the more it is lung."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return probabilities on a grid of a fifth of the film's sides."""
        middle = (LUNG_GREY + TISSUE_GREY) / 2
        return torch.sigmoid(40 * (middle - functional.avg_pool2d(pixels, 5)))
