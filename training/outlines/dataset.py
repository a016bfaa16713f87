"""Serve films with the outline of their lungs as a dataset; both move together."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.data.dataset import Augmentation, LabelledFilm
from training.outlines.planes import cell_shares


class OutlineDataset(Dataset[LabelledFilm]):
    """Films of one split with the share of lung in each cell.

    The augmentation of a film depends on (seed, epoch, index) alone, as in
    `training.data.dataset.FilmDataset`; indices past the last film are other copies here too.

    Attributes:
        targets: Of the films as they are, [films, 1, cell rows, cell columns]; NaN is unknown.
        sources: Source of each film.
        epoch: Set before each pass over the films.
    """

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "films rows columns"],
        masks: UInt8[np.ndarray, "films 2 rows columns"],
        *,
        cell: int,
        sources: Sequence[str],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        """Take decoded films.

        Args:
            pixels: Of the films.
            masks: As `training.outlines.planes.cached_planes` returns them.
            cell: Rows and columns of pixels to a cell.
            sources: Source of each film.
            augmentation: Of planes: the film's pixels first, then the mask's.
            seed: Of the augmentation.
        """
        self.pixels = pixels
        self.masks = masks
        self.cell = cell
        self.sources = sources
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0
        self.targets: NDArray[np.float32] = np.stack(
            [cell_shares(torch.from_numpy(np.array(mask)), cell).numpy() for mask in masks]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(
        self, index: int
    ) -> tuple[Float[Tensor, "1 rows columns"], Float[np.ndarray, "1 cell_rows cell_columns"]]:
        """Return pixels in [0, 1] and the share of lung in each cell, NaN where it is unknown."""
        film = index % len(self)
        planes = torch.from_numpy(np.concatenate([self.pixels[film][None], self.masks[film]]))
        if self.augmentation is not None:
            random = np.random.default_rng((self.seed, self.epoch, index))
            planes = self.augmentation(planes, random)
        return planes[:1].float() / 255, cell_shares(planes[1:], self.cell).numpy()
