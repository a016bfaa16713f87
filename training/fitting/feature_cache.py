"""Compute the frozen layers' features of the films once, and keep them on disk.

Training then begins at the first layer that ever trains. Where a later layer counts only positions
inside the lungs, their cells are kept beside the features. A file holds one copy of all films of a
split; its name is the hash of everything that it follows from, so that a file is never out of date.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from models.lungs.cells import LungCells
from models.network import Chain, LayeredNetwork, Masked, Network, TakesLungs, split_at
from training.data.dataset import FilmDataset, LabelledFilm, Targets, Teacher, target_of
from training.data.whole_file import whole_file
from training.step.evidence import BarredCells, with_cells, without_cells
from training.step.unfreezing import first_trained
from training.training_config import TrainingConfig


class Together(TakesLungs):
    """Make values and the lungs' cells one tensor: the cells are more channels, or tokens."""

    def __init__(self, cells: LungCells) -> None:
        super().__init__()
        self.cells = cells

    def extra_repr(self) -> str:
        """Return the grid, which features follow from."""
        return repr(self.cells.grid)

    def forward(self, x: Masked) -> Tensor:
        """Return the values with the cells after them, row by row, then zeros."""
        return with_cells(x.values, self.cells(x.lungs))


class Apart(nn.Module):
    """Undo `Together`: values, and a lungs' mask that has the grid's size."""

    def __init__(self, cells: LungCells) -> None:
        super().__init__()
        self.grid = cells.grid

    def forward(self, together: Tensor) -> Masked:
        """Return values and mask."""
        return Masked(*without_cells(together, self.grid))


class FeatureDataset(Dataset[LabelledFilm]):
    """Data set of what reaches the first layer that trains, with class numbers and sources.

    Attributes:
        epoch: Set before each pass; epoch e begins with copy e % copies.
    """

    def __init__(
        self,
        copies: Sequence[np.ndarray],
        targets: Targets,
        sources: Sequence[str],
        teacher: Teacher | None = None,
    ) -> None:
        self.copies = copies
        self.targets = targets
        self.sources = sources
        self.teacher = teacher
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> LabelledFilm:
        """Return features and class number; `training.data.sampling` explains large indices."""
        time, film = divmod(index, len(self))
        copy = self.copies[(self.epoch + time) % len(self.copies)]
        target = target_of(self.targets, self.teacher, film)
        return torch.from_numpy(np.array(copy[film])), target


@dataclass(frozen=True)
class FeatureCache:
    """Folder of features of films; those that are missing are computed.

    Attributes:
        frozen: The layers before the first that ever trains.
        folder: Of the files; they may be removed after the training.
        dtype: Of the numbers in them.
        precision: `bfloat16` computes them under autocast.
        barred: Brings the plane of where evidence should not lie onto the grid of the maps; its
            cells are kept after the features of films that have the plane.
    """

    frozen: nn.Sequential
    folder: Path
    dtype: str
    precision: str
    barred: BarredCells | None = None

    def features(self, films: FilmDataset, *, copies: int) -> FeatureDataset:
        """Return the films' features in `copies` copies, each changed by its own draw."""
        files = [self._file(films, copy) for copy in range(copies)]
        arrays = [np.load(file, mmap_mode="r") for file in files]
        return FeatureDataset(arrays, films.targets, films.sources, films.teacher)

    def _file(self, films: FilmDataset, copy: int) -> Path:
        """Return the file of one copy."""
        films.epoch = copy
        file = self.folder / f"{self._key(films)}.npy"
        return whole_file(file, lambda path: self._write(path, films))

    def _key(self, films: FilmDataset) -> str:
        is_changed = films.augmentation or films.drawing
        change = is_changed and (films.augmentation, films.drawing, films.seed, films.epoch)
        digest = hashlib.sha256(repr((self.frozen, self.dtype, self.precision, change)).encode())
        for name, value in self.frozen.state_dict().items():
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        for planes in (films.pixels, films.lungs):
            if planes is not None:
                digest.update(repr(planes.shape).encode() + np.ascontiguousarray(planes).data)
        for film, plane in (films.barred or {}).items():
            digest.update(repr((film, plane.shape)).encode() + np.ascontiguousarray(plane).data)
        return digest.hexdigest()[:32]

    def _write(self, file: Path, films: FilmDataset) -> None:
        has_barred = films.barred is not None
        shape = (len(films), *self._features(films[0][0][None], has_barred=has_barred).shape[1:])
        array = np.lib.format.open_memmap(file, "w+", np.dtype(self.dtype), shape)
        progress = tqdm(DataLoader(films, 64), "frozen features", unit="batch", leave=False)
        for number, (pixels, _) in enumerate(progress):
            features = self._features(pixels, has_barred=has_barred)
            if np.abs(features).max() > np.finfo(self.dtype).max:
                raise ValueError(
                    f"dtype of feature_cache must be float32: {np.abs(features).max()} is too large"
                )
            array[64 * number : 64 * (number + 1)] = features
        array.flush()

    @torch.inference_mode()
    def _features(self, planes: Tensor, *, has_barred: bool) -> np.ndarray:
        device = next(iter(self.frozen.state_dict().values())).device
        self.frozen.eval()
        planes = planes.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features: Tensor = self.frozen(planes[:, :-1] if has_barred else planes)
        if has_barred and self.barred:
            features = with_cells(features.float(), self.barred(planes))
        return features.float().cpu().numpy()


def feature_cache(network: LayeredNetwork, config: TrainingConfig, folder: Path) -> FeatureCache:
    """Return the cache of what never trains in a run.

    Raises:
        ValueError: The run has no cache, or every layer trains at some time.
    """
    wanted, first = config.feature_cache, entry_layer(config)
    if wanted is None or first is None:
        raise ValueError("nothing is cached without a table [training.unfreeze.feature_cache]")
    frozen, _ = _halves(network, first)
    if not len(frozen):
        raise ValueError(f"feature_cache needs a frozen layer, and none comes before {first!r}")
    frozen.to(memory_format=torch.channels_last)
    barred = BarredCells.of(network) if config.evidence and isinstance(network, Network) else None
    return FeatureCache(frozen, folder, wanted.dtype, config.gradients.precision, barred)


def from_entry(network: LayeredNetwork, config: TrainingConfig) -> nn.Module:
    """Return the layers that a run's films go through, or their features if these are cached."""
    first = entry_layer(config)
    return network if first is None else _halves(network, first)[1]


def _halves(network: LayeredNetwork, first: str) -> tuple[Chain, Chain]:
    """Return the layers before `first`, whose output is one tensor, and those from it on."""
    frozen, trained = split_at(network, first)
    cells = next((layer for layer in trained.modules() if isinstance(layer, LungCells)), None)
    if len(frozen) and cells is not None:
        return frozen.append(Together(cells)), Chain(Apart(cells), *trained)
    return frozen, trained


def entry_layer(config: TrainingConfig) -> str | None:
    """Return the name of the first layer that ever trains; None where no features are cached."""
    return first_trained(config.unfreezings, config.epochs - 1) if config.feature_cache else None
