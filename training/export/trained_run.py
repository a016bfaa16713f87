"""Read a finished training run: its best weights, its configuration and its films."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from models.card import NetworkSpec, TrainingData
from models.checkpoint import load_checkpoint
from models.network import Network
from training.config import Config, read_run_config
from training.data.dataset import FilmDataset, film_targets
from training.data.film_cache import FilmMemory
from training.data.manifest import Film, Split, of_split, read_manifest
from training.data.split import split_sha256, with_held_out
from training.fitting.run_folder import RunFolder
from training.statistics.calibration import weights_by_origin


@dataclass(frozen=True)
class FilmSet:
    """The films of one split, with their network pixels and targets."""

    films: tuple[Film, ...]
    dataset: FilmDataset

    @property
    def targets(self) -> NDArray[np.generic]:
        """The true class numbers, or the findings."""
        return np.asarray(self.dataset.targets)

    def truth(self, classes: int) -> Float[np.ndarray, "films classes"]:
        """Return 1 where a class or finding is present, 0 where absent, NaN where unknown."""
        return self.targets if self.targets.ndim == 2 else np.eye(classes)[self.targets]

    def batches(self) -> DataLoader[tuple[torch.Tensor, int | NDArray[np.float32]]]:
        """Return pixels and targets, 64 films at a time, in order."""
        return DataLoader(self.dataset, batch_size=64)

    def first(self, number: int) -> Float[torch.Tensor, "films 1 rows columns"]:
        """Return the pixels of the first films, at most so many."""
        films = range(min(number, len(self.films)))
        return torch.stack([self.dataset[film][0] for film in films])


@dataclass(frozen=True)
class TrainedRun:
    """A training run as its folder holds it, with the films of its manifest.

    Attributes:
        config: How it was trained.
        network: Its best weights, in eval mode.
        spec: Which network it is.
        data: Which films taught it, as hashes and counts.
        films: All films of the manifest, in the splits of the run.
    """

    config: Config
    network: Network
    spec: NetworkSpec
    data: TrainingData
    films: tuple[Film, ...]

    def film_set(self, split: Split) -> FilmSet:
        """Return the films of one split, decoded for this network.

        Raises:
            ValueError: There are none, or one cannot be read.
        """
        spec, films = self.spec, of_split(self.films, split)
        memory = FilmMemory(
            self.config.data.cache, spec.image_size, spec.resize_mode, spec.crop_pct
        )
        targets = film_targets(films, spec.class_names)
        return FilmSet(films, FilmDataset(memory.pixels(films), targets))

    def origins(self, films: FilmSet) -> list[str]:
        """Return the origin of each film."""
        return [self.config.data.origin(film.source) for film in films.films]

    def val_weights(
        self, val: FilmSet, by: Literal["films", "origins"]
    ) -> Float[np.ndarray, " films"] | None:
        """Return the weights by which all origins of val count alike; None if all films do."""
        return weights_by_origin(self.origins(val)) if by == "origins" else None


def read_trained_run(folder: RunFolder, manifest: Path | None = None) -> TrainedRun:
    """Return the run that a folder holds.

    Args:
        folder: Of `cxr train`.
        manifest: Where the films are now; None is where the run found them.

    Raises:
        ValueError: It is no run folder, or the manifest has other films or splits than the run.
    """
    if not folder.config.is_file():
        raise ValueError(f"{folder.path} is not a run folder: it has no {folder.config.name}")
    config = read_run_config(folder.config)
    network, spec = load_checkpoint(folder.best)
    data = TrainingData.model_validate_json(folder.data.read_text())
    held = with_held_out(read_manifest(manifest or config.data.manifest), config.data)
    films = _same_films(held, manifest or config.data.manifest, data, folder)
    return TrainedRun(config, network.eval(), spec, data, films)


def _same_films(
    films: tuple[Film, ...], manifest: Path, data: TrainingData, folder: RunFolder
) -> tuple[Film, ...]:
    if split_sha256(films) != data.split_sha256:
        raise ValueError(
            f"manifest {manifest} has other films or other splits than the run {folder.path} "
            f"learnt from: training films might be among those that choose or measure"
        )
    return films
