"""Penalise evidence where none should lie: outside experts' boxes, on opacities drawn into lungs.

The evidence is the network's own map under a pooled head, as it is exported: a position's term in
the logit, centred over classes. It is part of the forward pass, so that the gradient of the penalty
is of the first order.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.backprop.linear import pooled_evidence_forward
from models.backprop.loss import misplaced_evidence_backward, misplaced_evidence_forward
from models.card import CellCentres, Grid
from models.layers import GlobalAveragePool
from models.lungs.region import cropped
from models.lungs.window import LungWindow, window_of
from models.network import Chain, Network
from models.registration import cell_centres
from training.step.objective import numbers_of


class LogitsAndMaps(NamedTuple):
    """What a network with a pooled head says of films, and where.

    Attributes:
        logits: [batch, classes].
        evidence: [batch, classes, grid rows, grid columns], in logits per position.
    """

    logits: Tensor
    evidence: Tensor


class WithMaps(nn.Module):
    """A network with a pooled head, or its last layers, that returns its maps beside its logits.

    Attributes:
        trunk: The layers before the pooling; in a network, under their names in it.
        head: The linear layer on the average over positions.
    """

    head: nn.Linear

    def __init__(self, network: nn.Module) -> None:
        """Share a network's layers.

        Raises:
            ValueError: Its last two layers are no average over positions and linear layer.
        """
        super().__init__()
        *layers, pool, head = network.named_children()
        if not (isinstance(pool[1], GlobalAveragePool) and isinstance(head[1], nn.Linear)):
            raise ValueError(
                "[training.evidence] needs a pooled head, whose logit is a sum of one term per "
                f"position, not {type(pool[1]).__name__} and {type(head[1]).__name__}"
            )
        self.trunk = Chain(OrderedDict(layers))
        self.pool, self.head = pool[1], head[1]

    def forward(self, pixels: Tensor) -> LogitsAndMaps:
        """Return logits and maps for pixels, or for cached features."""
        activations = self.trunk(pixels)
        logits = self.head(self.pool(activations))
        return LogitsAndMaps(logits, pooled_evidence_forward(activations, self.head.weight))


@dataclass(frozen=True)
class BarredCells:
    """Bring the plane of where evidence should not lie onto the grid of a network's maps.

    Attributes:
        window: The network's window on the lungs, if it has one.
        centres: Where the cells of a map lie in what the network sees.
    """

    window: LungWindow | None
    centres: CellCentres

    @classmethod
    def of(cls, network: Network) -> "BarredCells":
        """Return the one of a network."""
        return cls(window_of(network), cell_centres(network))

    def grid(self, size: Grid) -> Grid:
        """Return the grid's rows and columns for a size of what the network sees."""
        rows, columns = (
            int(side // step) for side, step in zip(size, self.centres.step, strict=True)
        )
        return rows, columns

    @torch.no_grad()
    def __call__(
        self, planes: Float[Tensor, "batch planes rows columns"]
    ) -> Float[Tensor, "batch 1 grid_rows grid_columns"]:
        """Return the share of each cell that the last plane bars; films without any cost nothing.

        Args:
            planes: Films in [0, 1]: pixels, the probabilities of lung if they are known, and where
                evidence should not lie.
        """
        film, barred = planes[:, :-1], planes[:, -1:]
        size = self.window.spec.size if self.window else (planes.shape[2], planes.shape[3])
        cells = barred.new_zeros(len(barred), 1, *self.grid(size))
        marked = barred.amax(dim=(1, 2, 3)) > 0
        if marked.any():
            region = self._region(film[marked], size)
            cells[marked] = cropped(barred[marked], region, self.grid(size))
        return cells

    def _region(self, film: Tensor, size: Grid) -> Float[Tensor, "batch 4"]:
        """Return the part of a film that the grid's cells cover, as shares of its sides."""
        if self.window:
            start, end = self.window.view(film).region.tensor_split(2, dim=1)
        else:
            start, end = film.new_zeros(len(film), 2), film.new_ones(len(film), 2)
        origin, step, side, cells = (
            film.new_tensor(values)
            for values in (self.centres.origin, self.centres.step, size, self.grid(size))
        )
        first = (origin - step / 2) / side
        last = first + cells * step / side
        return torch.cat([start + (end - start) * share for share in (first, last)], dim=1)


@dataclass(frozen=True)
class EvidencePenalty:
    """Penalty on positive evidence of each film's class where its last plane bars it.

    Attributes:
        weight: Of a logit of such evidence.
        cells: Of the network.
        is_cached: Films come as cached features, with the barred cells after them.
    """

    weight: float
    cells: BarredCells
    is_cached: bool = False

    def split(self, films: Tensor) -> tuple[Tensor, Float[Tensor, "batch 1 rows columns"]]:
        """Return what the network takes of films or their features, and their barred cells."""
        if self.is_cached and self.cells.window:
            return without_cells(films, self.cells.grid(self.cells.window.spec.size))
        return films[:, :-1], self.cells(films)

    def total(
        self,
        evidence: Float[Tensor, "batch classes rows columns"],
        targets: Tensor,
        barred: Float[Tensor, "batch 1 rows columns"],
    ) -> Float[Tensor, ""]:
        """Return the sum over films, to be divided by what the loss is divided by."""
        return self.weight * misplaced_evidence_forward(evidence, numbers_of(targets), barred)

    def error(
        self,
        evidence: Float[Tensor, "batch classes rows columns"],
        targets: Tensor,
        barred: Float[Tensor, "batch 1 rows columns"],
    ) -> Float[Tensor, "batch classes rows columns"]:
        """Return the derivative of `total` by the evidence, by hand."""
        return self.weight * misplaced_evidence_backward(evidence, numbers_of(targets), barred)


def with_cells(values: Tensor, cells: Float[Tensor, "batch 1 rows columns"]) -> Tensor:
    """Return values with cells after them, row by row, then zeros: more channels, or tokens."""
    flat = cells.flatten(1)
    added = planes_for(flat.shape[1], values)
    room = added * values[0, 0].numel()
    last = nn.functional.pad(flat, (0, room - flat.shape[1])).view(-1, added, *values.shape[2:])
    return torch.cat([values, last], dim=1)


def without_cells(together: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return values and cells of this grid, which `with_cells` put together."""
    rows, columns = grid
    added = planes_for(rows * columns, together)
    cells = together[:, -added:].flatten(1)[:, : rows * columns]
    return together[:, :-added], torch.unflatten(cells, 1, (1, rows, columns))


def planes_for(cells: int, values: Tensor) -> int:
    """Return the number of channels, or tokens, like those of `values` that hold so many cells."""
    return -(-cells // values[0, 0].numel())
