"""Find the two lungs in a soft lung mask, remove stray pieces, and measure how plausible they are.

There are no connected components in ONNX's operators, and a loop would be slow. Two seeds, one per
side, grow inside the mask instead, by max pooling and minimum.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from models.card import Grid
from models.lungs.region import films_last, interval

GROWING_SIDE = 64
"""Most cells along a side of the grid on which seeds grow."""
STEPS = 48
"""Steps by one cell each. From the middle of a lung to its far corners takes about 30."""
BRIDGE = 0.2
"""Parts of a mask that hang together by cells of this level or more are one piece."""
SEED_BLUR = 0.1
"""Standard deviation of the blur that makes broad pieces stand out, as a share of the side."""
SEED_PEAK = 0.8
"""Seeds are where the blurred mask has more than this share of its maximum on their side."""
LEAST_SEED = 0.4
"""A side whose maximum is below this share of the other's has a smaller seed, below 0.32 none."""
MIDDLE_WIDTH = 1 / 16
"""Width of the transition between the sides, as a share of the columns."""
TINY = 1e-6


class LungFigures(NamedTuple):
    """How plausible a film's lungs are; every figure is in [0, 1], and 0 where the mask is empty.

    Attributes:
        area: Share of the film that is lung.
        balance: Lung area on one half of the film / on the other, the smaller one above.
        stray: Share of the mask that was removed as stray.
    """

    area: Float[Tensor, "batch"]
    balance: Float[Tensor, "batch"]
    stray: Float[Tensor, "batch"]


def certainty(
    probabilities: Float[Tensor, "batch 1 rows columns"],
) -> Float[Tensor, "batch 1 rows columns"]:
    """Return a mask that is exactly 0 up to a probability of 0.5, and rises to 1 from there."""
    return (2 * probabilities - 1).clamp(0, 1)


class TwoLungs(nn.Module):
    """Remove stray pieces (a letter, the stomach) from a soft lung mask: keep the two lungs.

    Each side of the film has a seed where its broadest piece is. The seeds grow inside the mask,

        grown <- minimum(largest of the 3x3 cells around, level)    with level = min(mask, 0.2)

    until a cell holds the level of the weakest link on the best path from a seed (reconstruction by
    dilation). The result, mask * grown / level, is the mask itself on pieces with a seed and 0 on
    others. Nothing is chosen by argmax or threshold: where a link or a second piece becomes
    stronger, what hangs on it comes in little by little. So the result is continuous in the mask.

    A mask of more than 64 cells a side grows on a grid of its local maxima.

    Attributes:
        row_blur: Matrix that blurs a mask along its columns of cells, from the left.
        column_blur: Likewise along its rows, transposed, from the right.
        across: Centre of each column, as a share of the width.

    Source:
        Vincent 1993, doi:10.1109/83.217222, section 2, reconstruction in grey scale.
    """

    row_blur: Tensor
    column_blur: Tensor
    across: Tensor

    def __init__(self, mask_size: Grid) -> None:
        """Compute the blur.

        Args:
            mask_size: Rows and columns of the mask.

        Raises:
            ValueError: A side above 64 is no multiple of what it must be shrunk by.
        """
        super().__init__()
        self.shrink = -(-max(mask_size) // GROWING_SIDE)
        if any(side % self.shrink for side in mask_size):
            raise ValueError(f"mask_size must be a multiple of {self.shrink}, not {mask_size}")
        rows, columns = mask_size
        self.register_buffer("row_blur", _blur(rows), persistent=False)
        self.register_buffer("column_blur", _blur(columns), persistent=False)
        across = (torch.arange(columns) + 0.5) / columns
        self.register_buffer("across", across, persistent=False)

    def forward(
        self, mask: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch 1 rows columns"]:
        """Return the mask without stray pieces, nowhere above the mask and 0 where it is 0.

        Args:
            mask: In [0, 1], exactly 0 outside; see `certainty`.
        """
        level = mask.clamp(max=BRIDGE)
        room = films_last(functional.max_pool2d(level, self.shrink))
        seeds = functional.max_pool2d(level * self._seeds(mask, level), self.shrink)
        grown = films_last(seeds)
        for _ in range(STEPS):
            grown = torch.minimum(functional.max_pool2d(grown, 3, stride=1, padding=1), room)
        grown = grown.transpose(0, 1)
        reached = functional.interpolate(grown, size=mask.shape[2:], mode="nearest")
        # mask * reached / level, without a division by a level of 0.
        return torch.minimum(reached, level) * (mask / BRIDGE).clamp(min=1)

    def _seeds(self, mask: Tensor, level: Tensor) -> Tensor:
        """Return the seeds of both sides, 1 at their middle, 0 away from it."""
        score = self.row_blur @ mask @ self.column_blur * level * self._sides(mask)
        best = score.amax(dim=(2, 3), keepdim=True)
        enough = torch.maximum(best, LEAST_SEED * best.amax(dim=1, keepdim=True)).clamp(min=TINY)
        seeds = ((score / enough - SEED_PEAK) / (1 - SEED_PEAK)).clamp(min=0)
        return seeds.amax(dim=1, keepdim=True)

    def _sides(self, mask: Tensor) -> Tensor:
        """Return how much each column belongs to the left and to the right, [batch, 2, 1, columns].

        The line between them is half-way between the mask's ends: a patient need not stand in the
        middle of the film, and one lung may be much smaller than the other.
        """
        start, end = interval(mask.mean(dim=(1, 2)), margin=0.0)
        middle = ((start + end) / 2)[:, None, None, None]
        right = ((self.across - middle) / MIDDLE_WIDTH + 0.5).clamp(0, 1)
        return torch.cat([1 - right, right], dim=1)


def lung_figures(
    mask: Float[Tensor, "batch 1 rows columns"], lungs: Float[Tensor, "batch 1 rows columns"]
) -> LungFigures:
    """Return area, balance and stray share of a film's lungs, by which a film can be refused.

    Args:
        mask: The whole mask, as `certainty` returns it.
        lungs: The same without stray pieces, as `TwoLungs` returns it.
    """
    area, whole = lungs.mean(dim=(1, 2, 3)), mask.mean(dim=(1, 2, 3))
    halves = torch.stack([half.sum(dim=(1, 2, 3)) for half in lungs.tensor_split(2, dim=3)])
    return LungFigures(
        area=area,
        balance=halves.amin(dim=0) / halves.amax(dim=0).clamp(min=TINY),
        stray=(1 - area / whole.clamp(min=TINY)) * (whole > 0),
    )


def _blur(side: int) -> Float[Tensor, "{side} {side}"]:
    """Return the matrix of a Gaussian blur; what lies outside the film counts as 0."""
    positions = torch.arange(side) / side
    distance = (positions[:, None] - positions) / SEED_BLUR
    kernel = torch.exp(-0.5 * distance.square())
    return kernel / kernel.sum(dim=1).max()
