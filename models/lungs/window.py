"""First layer of a network that sees only the lungs: it finds them, and crops the film to them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import LUNG_MASK_SIZE, Grid, LungSpec
from models.lungs.cells import cell_windows
from models.lungs.front import LungFront, LungView
from models.network import Masked, Network

FIELD_SIZE: Grid = (128, 128)
"""Rows and columns of the film that `lung_field` takes."""
MASK_SIZE = LUNG_MASK_SIZE
"""Rows and columns of its answer."""


class LungWindow(nn.Module):
    """Find the lungs on a film, and show the rest of the network nothing else.

    It never trains, and stays in eval mode: its outlines must not change with what a network learns
    from them. No gradient passes it.

    Attributes:
        field: Gives the logits of lung, [batch, 1, 64, 64], for films of [batch, 1, 128, 128].
        front: Crops, standardises and blanks.
        inside: Hand the lungs' mask on, for masked pooling.
    """

    def __init__(self, field: nn.Module, spec: LungSpec, image_size: Grid) -> None:
        """Put `lung_field` in front of a network.

        Args:
            field: With its weights.
            spec: What is seen of the film.
            image_size: Rows and columns of the whole film.
        """
        super().__init__()
        self.field = field
        self.front = LungFront(
            mask_size=MASK_SIZE,
            crop_size=spec.size,
            standardisation=spec.standardise,
            margin=spec.margin,
            blanks=spec.blank,
        )
        self.inside = spec.inside
        self.spec = spec
        for name, size in (("film", FIELD_SIZE), ("mask", MASK_SIZE)):
            for axis, side in zip(("rows", "columns"), range(2), strict=True):
                length, cells = image_size[side], size[side]
                step = length / cells
                windows = cell_windows(length, cells, origin=step / 2, step=step)
                self.register_buffer(f"{name}_{axis}", windows, persistent=False)
        self.train(False).requires_grad_(False)

    def extra_repr(self) -> str:
        """Return what is seen, by which cached features of one window are told from another's."""
        return repr(self.spec)

    def train(self, mode: bool = True) -> "LungWindow":
        """Stay in eval mode."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> "LungWindow":
        """Stay frozen."""
        return super().requires_grad_(False)

    def forward(self, film: Float[Tensor, "batch channels rows columns"]) -> Tensor | Masked:
        """Return what is seen of the film, with the lungs' mask if positions are masked by it.

        It is computed in the film's own precision under autocast too, as in the exported file.
        """
        kind = film.device.type
        if torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return self.seen(self.view(film))
        return self.seen(self.view(film))

    def seen(self, view: LungView) -> Tensor | Masked:
        """Return the part of a view that the rest of the network takes."""
        return Masked(view.pixels, view.inside) if self.inside else view.pixels

    def view(self, film: Float[Tensor, "batch channels rows columns"]) -> LungView:
        """Return what is seen of the film, and where on it.

        Args:
            film: Pixels in [0, 1]; in a second channel the probabilities of lung, if they were
                found before.
        """
        return self.front(film[:, :1], self.probabilities(film))

    def probabilities(
        self, film: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch 1 mask_rows mask_columns"]:
        """Return the probability of lung in each cell of the mask."""
        if film.shape[1] == 2:
            return self._averaged("mask", film[:, 1:])
        return torch.sigmoid(self.field(self._averaged("film", film)))

    def _averaged(self, name: str, x: Tensor) -> Tensor:
        """Return the mean of what lies in each cell: one antialiased resize, as two products."""
        rows, columns = (self.get_buffer(f"{name}_{axis}") for axis in ("rows", "columns"))
        return rows @ x @ columns.T


def window_of(network: Network) -> LungWindow | None:
    """Return a network's window on the lungs; None of one that sees the whole film."""
    first = next(network.normalise.children(), None)
    return first if isinstance(first, LungWindow) else None
