"""Decode films to network pixels, with the server's own code, and serve them as a dataset."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.card import NetworkSpec
from models.film_files.errors import RadiographError
from models.radiograph import NetworkPixels, Radiograph, network_pixels, read_radiograph
from training.data.manifest import Film, task_of

Shares = Float[np.ndarray, "films 1 cell_rows cell_columns"]
"""Share of lung in each cell of films, NaN where it is unknown."""

Targets = Sequence[int] | Float[np.ndarray, "films findings"] | Shares
"""Ground truth of films: class numbers, or 1, 0 or NaN (unknown) for each finding, or shares."""

LabelledFilm = tuple[Tensor, int | NDArray[np.float32]]
"""A film's pixels, or features that frozen layers made of them, with its truth (see `Targets`)."""
Augmentation = Callable[[UInt8[Tensor, "planes rows columns"], np.random.Generator], Tensor]
"""Changes a film's pixels, the first plane; further planes, such as its outline, move with them."""
Teacher = Float32[np.ndarray, "films classes"]
"""A teacher's probabilities."""
Plane = UInt8[np.ndarray, "rows columns"]


def film_radiograph(film: Film) -> Radiograph:
    """Return a film of a manifest, decoded.

    Raises:
        ValueError: It cannot be read; the message names its file.
    """
    return radiograph_at(film.path)


def radiograph_at(path: Path) -> Radiograph:
    """Return the film in a file, decoded.

    Raises:
        ValueError: It cannot be read; the message names the file.
    """
    try:
        return read_radiograph(path.read_bytes())
    except RadiographError as error:
        raise ValueError(f"{path}: {error}") from error


def seen_by(spec: NetworkSpec, radiograph: Radiograph) -> NetworkPixels:
    """Return a film as the pixels that a network takes: resized and cropped as `spec` says."""
    return network_pixels(
        radiograph,
        image_size=spec.image_size,
        resize_mode=spec.resize_mode,
        crop_pct=spec.crop_pct,
    )


def target_of(
    targets: Targets, teacher: Teacher | None, film: int
) -> int | Float32[np.ndarray, "*columns"]:
    """Return a film's truth; with a teacher, a row of its class number and what that says of it."""
    own = targets[film]
    return own if teacher is None else np.append(np.float32(own), teacher[film])


class FilmDataset(Dataset[LabelledFilm]):
    """Films of one split with their targets.

    The augmentation of a film depends on (seed, epoch, index) alone, neither on worker processes
    nor on whether the run was interrupted. An index past the last film starts again at the first:
    it is another copy of the film, augmented differently.

    Attributes:
        lungs: Probability of lung on each film, 255 for 1, on a grid of its own; a second plane of
            the film. None leaves it to the network to find the lungs.
        barred: Where evidence of the film's class should not lie, 255 there, by film number; the
            last plane, 0 on other films. None adds no plane.
        teacher: What a teacher says of each film; its targets are then rows of a class number and
            these probabilities. `targets` stay class numbers.
        drawing: Draws on the planes of some films before they are augmented, by film number.
        sources: Source of each film, or its origin where sampling is balanced by that.
        epoch: Set before each pass over the films.
    """

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "films rows columns"],
        targets: Targets,
        *,
        lungs: UInt8[np.ndarray, "films mask_rows mask_columns"] | None = None,
        barred: Mapping[int, Plane] | None = None,
        drawing: Mapping[int, Augmentation] | None = None,
        teacher: Teacher | None = None,
        sources: Sequence[str] | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.pixels = pixels
        self.targets = targets
        self.lungs = lungs
        self.barred = barred
        self.drawing = drawing or {}
        self.teacher = teacher
        self.sources = ["unknown"] * len(targets) if sources is None else sources
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(
        self, index: int
    ) -> tuple[Float[Tensor, "planes rows columns"], int | NDArray[np.float32]]:
        """Return planes in [0, 1], pixels first, and the class number, or the findings."""
        film = index % len(self)
        planes = torch.from_numpy(np.stack([self.pixels[film], *self._further_planes(film)]))
        random = np.random.default_rng((self.seed, self.epoch, index))
        for change in (self.drawing.get(film), self.augmentation):
            if change is not None:
                planes = change(planes, random)
        return planes.float() / 255, target_of(self.targets, self.teacher, film)

    def _further_planes(self, film: int) -> Iterator[Plane]:
        """Yield what moves with the film: its outline and where evidence is barred, if known."""
        rows, columns = self.pixels.shape[1:]
        if self.lungs is not None:
            yield cv2.resize(self.lungs[film], (columns, rows), interpolation=cv2.INTER_LINEAR)
        if self.barred is not None:
            yield self.barred.get(film, np.zeros((rows, columns), np.uint8))


def film_targets(films: Sequence[Film], class_names: Sequence[str]) -> Targets:
    """Return the films' targets from the manifest: class numbers, or a column for each finding.

    Raises:
        ValueError: A label is none of the classes, or the manifest has no column of a finding.
    """
    if task_of(films) == "multiclass":
        return class_numbers(films, class_names)
    absent = set(class_names) - {name for name, _ in films[0].findings}
    if absent:
        raise ValueError(f"the manifest has no columns of the findings {sorted(absent)}")
    values = {True: 1.0, False: 0.0, None: np.nan}
    known = [dict(film.findings) for film in films]
    return np.array([[values[one[name]] for name in class_names] for one in known], np.float32)


def class_numbers(films: Sequence[Film], class_names: Sequence[str]) -> list[int]:
    """Return each film's position in `class_names`.

    Raises:
        ValueError: A film has a label that is none of them.
    """
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(class_names)}
    unknown = {str(film.label) for film in films if film.label not in numbers}
    if unknown:
        raise ValueError(f"labels {sorted(unknown)} are none of the classes {tuple(class_names)}")
    return [numbers[film.label] for film in films]
