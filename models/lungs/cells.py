"""Put the lungs on the target layer's grid, and weight activations so that only they count."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import Grid
from models.network import Masked, TakesLungs

EMPTY = 1e-6
"""Smallest sum of a mask that is divided by: an empty one gives zeros."""


class LungCells(nn.Module):
    """Average a mask over each cell of an activation grid; cells without any lung are exactly 0.

    A cell reaches half-way to its neighbours' centres, an outermost one to the edge. Equal cells
    that fill the input, which is the default, make it average pooling.

    Attributes:
        row_windows: Share of each input row (second index) in the mean of a cell (first index).
        column_windows: The same for columns.
    """

    row_windows: Tensor
    column_windows: Tensor

    def __init__(
        self,
        image_size: Grid,
        grid: Grid,
        *,
        origin: tuple[float, float] | None = None,
        step: tuple[float, float] | None = None,
    ) -> None:
        """Compute the windows.

        Args:
            image_size: Rows and columns of the mask.
            grid: Rows and columns of the activations.
            origin: Row and column of the first cell's centre; pixel (0, 0) covers [0, 1) x [0, 1).
            step: Rows and columns from one centre to the next.

        Raises:
            ValueError: A cell would lie outside the mask.
        """
        super().__init__()
        for axis, name in enumerate(("row_windows", "column_windows")):
            length, cells = image_size[axis], grid[axis]
            pitch = step[axis] if step else length / cells
            first = origin[axis] if origin else pitch / 2
            windows = cell_windows(length, cells, origin=first, step=pitch)
            self.register_buffer(name, windows, persistent=False)

    @property
    def grid(self) -> Grid:
        """Rows and columns of the cells."""
        return self.row_windows.shape[0], self.column_windows.shape[0]

    def forward(
        self, lungs: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch 1 grid_rows grid_columns"]:
        """Return the mean of the mask in each cell; a mask that has the grid's size stays."""
        if lungs.shape[2:] == self.grid:
            return lungs
        return self.row_windows @ lungs @ self.column_windows.T


def cell_windows(
    length: int, cells: int, *, origin: float, step: float
) -> Float[Tensor, "{cells} {length}"]:
    """Return the share of each pixel in the mean of each cell along one side; rows sum to 1.

    Args:
        length: Pixels.
        cells: Cells.
        origin: Centre of the first cell, in pixels; pixel 0 covers [0, 1).
        step: Pixels from one centre to the next.

    Raises:
        ValueError: A cell would lie outside the pixels.
    """
    edges = origin + step * (torch.arange(cells + 1, dtype=torch.float64) - 0.5)
    edges[0], edges[-1] = 0, length
    sizes = edges.diff()[:, None]
    if sizes.min() <= 0:
        raise ValueError(
            f"cells must lie within {length} pixels, but {cells} of {step} from {origin} do not"
        )
    pixels = torch.arange(length, dtype=torch.float64)
    ends = torch.minimum(edges[1:, None], pixels + 1)
    starts = torch.maximum(edges[:-1, None], pixels)
    return ((ends - starts).clamp(min=0) / sizes).float()


class InsideLungs(TakesLungs):
    """Let only positions inside the lungs count: activations and mask to the terms of their mean.

        B = A * m * Z / sum(m)    so that    mean over Z positions of B = sum(A * m) / sum(m)

    With its output as target layer, a logit of a linear head is the bias plus a sum of one term per
    position, and its gradient by B is the constant weight / Z: Grad-CAM, CAM and HiResCAM are one
    map. B is exactly 0 outside the lungs, and 0 everywhere for an empty mask.

    Attributes:
        cells: Mean of the mask in each position's cell, m.
    """

    def __init__(self, cells: LungCells) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Masked) -> Float[Tensor, "batch channels rows columns"]:
        """Return the terms."""
        return x.values * position_weights(self.cells(x.lungs))


def position_weights(
    cells: Float[Tensor, "batch 1 rows columns"],
) -> Float[Tensor, "batch 1 rows columns"]:
    """Return m * Z / sum(m): the weight of each position in a mean inside the lungs, 1 on average.

    Args:
        cells: Mask at least 0, as `LungCells` returns it. An empty one has weights of 0.
    """
    positions = cells.shape[2] * cells.shape[3]
    return cells * (positions / cells.sum(dim=(2, 3), keepdim=True).clamp(min=EMPTY))
