"""Find the box around the lungs as a continuous function of their mask, and crop a film to it."""

import torch
from jaxtyping import Float
from torch import Tensor

from models.card import Grid

TAIL = 0.01
"""Share of the lungs that lies beyond each side of the box before its margin is added."""
MARGIN = 0.1
"""Margin on each side, as a share of the box."""
FAINT = 1e-4
"""Lung that every row and every column is taken to have, as a share of it.

The box of an empty mask is therefore the whole film; that of lungs does not notice it.
"""
EMPTY = 1e-9


def lung_region(
    lungs: Float[Tensor, "batch 1 rows columns"], margin: float = MARGIN
) -> Float[Tensor, "batch 4"]:
    """Return the box around the lungs: top, left, bottom, right as shares of the film in [0, 1].

    An edge is a quantile of the mask's sums by row or column, interpolated within the row or
    column, so it moves by fractions of a cell and never jumps. The margin is then added, and what
    would lie outside the film is cut off. Rows and columns count from the film's top left corner.

    Args:
        lungs: In [0, 1]; an empty mask gives the whole film, (0, 0, 1, 1).
        margin: Added on each side, as a share of the distance between the two quantiles.
    """
    top, bottom = interval(lungs.mean(dim=(1, 3)), margin)
    left, right = interval(lungs.mean(dim=(1, 2)), margin)
    return torch.stack([top, left, bottom, right], dim=1)


def interval(
    by_line: Float[Tensor, "batch lines"], margin: float
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
    """Return where the lungs begin and end along one side of the film, as shares of it.

    Args:
        by_line: Share of each row, or of each column, that is lung.
        margin: As for `lung_region`.
    """
    masses = by_line + FAINT
    # From either end: where sums are small, so is what float32 rounds off.
    low, beyond = (quantile(x, TAIL) / masses.shape[1] for x in (masses, masses.flip(1)))
    room = margin * (1 - beyond - low)
    return (low - room).clamp(min=0), 1 - (beyond - room).clamp(min=0)


def quantile(masses: Float[Tensor, "batch bins"], share: float) -> Float[Tensor, "batch"]:
    """Return a quantile of a histogram by linear interpolation, as a position in [0, bins].

        position = sum over bins i of clip((share * total - below_i) / mass_i, 0, 1)

    Each bin adds the part of itself that lies below the quantile: 1, 0, or a fraction in one bin.

    Args:
        masses: At least 0; bin i covers [i, i + 1).
        share: Share of the total mass that lies below the quantile, between 0 and 1.
    """
    up_to = masses.cumsum(dim=1)
    wanted = share * up_to[:, -1:]
    return ((wanted - (up_to - masses)) / masses.clamp(min=EMPTY)).clamp(0, 1).sum(dim=1)


def cropped(
    x: Float[Tensor, "batch channels in_rows in_columns"],
    region: Float[Tensor, "batch 4"],
    size: Grid,
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the region of a film or mask at another size: bilinear, and antialiased.

    Pixel (i, j) is a mean about the centre of its part of the region, with weights that fall
    linearly to 0 at a distance of one step between centres, at least one pixel of `x`. So it is
    bilinear interpolation where `x` is coarser than the result, and a film that is made smaller
    leaves no false pattern: the filter of Pillow's `BILINEAR`, with which films are resized.

    The weights are separable: one matrix product from the left and one from the right. That takes
    half the time of ONNX's `GridSample`, which has no filter, and for masks a sixth.

    Args:
        x: The whole film, or a mask that covers it with fewer cells.
        region: Top, left, bottom, right as shares of the film.
        size: Rows and columns of the result.
    """
    top, left, bottom, right = region[:, :, None, None].unbind(dim=1)
    down = _windows(top, bottom, parts=size[0], length=x.shape[2])
    across = _windows(left, right, parts=size[1], length=x.shape[3])
    return down[:, None] @ x @ across[:, None].transpose(2, 3)


def _windows(
    start: Float[Tensor, "batch 1 1"], end: Float[Tensor, "batch 1 1"], *, parts: int, length: int
) -> Float[Tensor, "batch {parts} {length}"]:
    """Return the weight of each pixel along one side in each part between two shares of it."""
    shares = (torch.arange(parts, dtype=start.dtype, device=start.device) + 0.5) / parts
    pixels = torch.arange(length, dtype=start.dtype, device=start.device) + 0.5
    step = (end - start) * length
    distance = (start * length + step * shares[:, None] - pixels).abs()
    weight = (1 - distance / (step / parts).clamp(min=1)).clamp(min=0)
    return weight / weight.sum(dim=2, keepdim=True)


def films_last(
    x: Float[Tensor, "batch 1 rows columns"],
) -> Float[Tensor, "1 batch rows columns"]:
    """Return films as the channels of one film, beside each other in memory.

    PyTorch's pooling is vectorised over such channels: 32 films take a twentieth of the time.
    """
    return x.transpose(0, 1).contiguous(memory_format=torch.channels_last)
