"""Find the lungs in network pixels: from each film's mask, or from a typical region."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image
from tqdm import tqdm

from models.card import Grid, ResizeMode
from models.radiograph import Affine, network_pixels
from training.data.dataset import film_radiograph
from training.data.manifest import Film

Mask = Bool[np.ndarray, "rows columns"]

LUNG_ELLIPSES = ((0.28, 0.47, 0.2, 0.38), (0.72, 0.47, 0.2, 0.38))
"""Centre x and y, half width and half height of a lung, as shares of the film's sides.

Generous, as every approximate region here: lung left uncovered would look like a shortcut.
"""

TYPICAL_SHARE = 0.2
"""A pixel in this share of the masks belongs to the typical region."""


@dataclass(frozen=True)
class LungRegions:
    """The lungs of a set of films, in network pixels.

    Attributes:
        own: Each film's own mask, None where there is none.
        typical: One region for every film.
        origin: Where `typical` comes from, as a phrase for reports.
    """

    own: tuple[Mask | None, ...]
    typical: Mask
    origin: str

    @property
    def are_complete(self) -> bool:
        """Whether every film has its own mask."""
        return all(mask is not None for mask in self.own)

    def for_blanking(self) -> Bool[np.ndarray, "films rows columns"]:
        """Return the regions to blank: own masks if every film has one, else the typical region.

        Own masks for some films and a typical one for the others would tell them apart: in the
        collections used here, only one class has masks.
        """
        if self.are_complete:
            return np.stack([mask for mask in self.own if mask is not None])
        return np.broadcast_to(self.typical, (len(self.own), *self.typical.shape))

    @property
    def blanking_origin(self) -> str:
        """Origin of the regions of `for_blanking`, as a phrase for reports."""
        return "each film's own mask" if self.are_complete else self.origin


@dataclass(frozen=True)
class SeenFilms:
    """Films as network pixels, with their lungs.

    Attributes:
        films: In the order of the pixels.
        pixels: In [0, 1].
        lungs: Where the lungs are.
    """

    films: tuple[Film, ...]
    pixels: Float32[np.ndarray, "films 1 rows columns"]
    lungs: LungRegions

    @property
    def groups(self) -> list[str]:
        """Group of each film; a bootstrap draws the films of a group together."""
        return [film.group_id for film in self.films]


def seen_films(
    films: Sequence[Film],
    masks: Mapping[Path, Path],
    *,
    image_size: Grid,
    resize_mode: ResizeMode,
    crop_pct: float = 1.0,
) -> SeenFilms:
    """Return films as network pixels, with their lung masks on the same pixels.

    Args:
        films: At least one.
        masks: Mask file by film file, white in the lungs and of the film's framing, any size.
        image_size: Rows and columns of the network's input.
        resize_mode: As the network's card says.
        crop_pct: Likewise.
    """
    pixels, own = [], []
    for film in tqdm(films, "decoding", unit="film", leave=False):
        radiograph = film_radiograph(film)
        view = network_pixels(
            radiograph, image_size=image_size, resize_mode=resize_mode, crop_pct=crop_pct
        )
        pixels.append(view.pixels[None])
        file = masks.get(film.path)
        size = (radiograph.columns, radiograph.rows)
        own.append(_moved(file, view.affine, size, image_size) if file else None)
    return SeenFilms(tuple(films), np.stack(pixels), _regions(own, image_size))


def _moved(file: Path, affine: Affine, film_size: tuple[int, int], image_size: Grid) -> Mask:
    """Return a mask in network pixels; `film_size` is (columns, rows), `image_size` the reverse."""
    with Image.open(file) as picture:
        on_film = picture.convert("L").resize(film_size, Image.Resampling.NEAREST)
    rows, columns = image_size
    return np.asarray(on_film.transform((columns, rows), Image.Transform.AFFINE, affine)) > 127


def _regions(own: Sequence[Mask | None], image_size: Grid) -> LungRegions:
    drawn = [mask for mask in own if mask is not None]
    if drawn:
        typical = np.mean(drawn, axis=0) >= TYPICAL_SHARE
        return LungRegions(tuple(own), typical, f"approximate: from {len(drawn)} masks")
    return LungRegions(tuple(own), lung_ellipses(image_size), "approximate: two ellipses")


def lung_ellipses(image_size: Grid) -> Mask:
    """Return two ellipses: roughly the lungs of a film that fills its frame."""
    rows, columns = image_size
    y = (np.arange(rows)[:, None] + 0.5) / rows
    x = (np.arange(columns) + 0.5) / columns
    inside = [((x - a) / c) ** 2 + ((y - b) / d) ** 2 < 1 for a, b, c, d in LUNG_ELLIPSES]
    return np.logical_or(*inside)


def read_lung_masks(folder: Path, manifest: Path, *, split: str) -> dict[Path, Path]:
    """Return the mask files of one split by the film files of a manifest.

    Args:
        folder: Holds `images.csv` with the columns `split`, `lung_mask` (below `folder`; may be
            empty) and `cxr_manifest_path` (below the manifest's folder).
        manifest: The films' manifest.
        split: Rows of other splits are left out, so that test masks serve the test alone.

    Raises:
        ValueError: There is no such table, a column is missing, or a mask does not exist.
    """
    table = folder / "images.csv"
    if not table.is_file():
        raise ValueError(f"lungs must be a folder with images.csv, not {folder}")
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        absent = {"split", "lung_mask", "cxr_manifest_path"} - set(rows.fieldnames or ())
        if absent:
            raise ValueError(f"{table} lacks the columns {sorted(absent)}")
        chosen = [row for row in rows if row["split"] == split and row["lung_mask"]]
    masks = {
        manifest.parent / row["cxr_manifest_path"]: folder / row["lung_mask"] for row in chosen
    }
    absent_files = [str(mask) for mask in masks.values() if not mask.is_file()]
    if absent_files:
        raise ValueError(f"{len(absent_files)} lung masks do not exist, first {absent_files[:3]}")
    return masks
