"""Lung masks as planes of network pixels: what is lung, and where the mask says nothing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from models.card import Grid
from models.radiograph import NetworkPixels, Radiograph, network_pixels
from training.data.dataset import film_radiograph
from training.data.film_cache import cached_array, decoded
from training.outlines.outlined_films import Convention, OutlinedFilm

Mask = Bool[np.ndarray, "rows columns"]

DEPTH = 0.15
"""How far lung may reach behind the diaphragm, as a share of the height of the lung fields."""


def seen_whole(radiograph: Radiograph, image_size: Grid) -> NetworkPixels:
    """Return a film as the lung field takes it: all of it but uniform borders, stretched."""
    return network_pixels(radiograph, image_size=image_size, resize_mode="stretch")


def read_mask(file: Path, radiograph: Radiograph) -> Mask:
    """Return the mask of a film, on the film's own pixels.

    Raises:
        ValueError: It has another size than the film.
    """
    with Image.open(file) as picture:
        mask = np.asarray(picture.convert("L")) > 127
    if mask.shape != radiograph.pixels.shape:
        raise ValueError(
            f"mask {file} must have the film's size {radiograph.pixels.shape}, not {mask.shape}"
        )
    return mask


def unknown_part(mask: Mask, convention: Convention) -> Mask:
    """Return where a mask says nothing: of lung fields, between the two and beneath them.

    Heart, spine and diaphragm lie there, and lung behind them that a mask of `fields` leaves out,
    which ends at most `DEPTH` of the lungs' height beneath their lowest point. Outside, towards the
    arms and above, both conventions agree. A mask of `whole` lungs says all.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if convention == "whole" or not rows.size:
        return np.zeros_like(mask)
    from_left = np.logical_or.accumulate(mask, axis=1)
    from_right = np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    spanned = np.logical_or.accumulate(from_left & from_right, axis=0)
    spanned[rows[-1] + 1 + round(DEPTH * (rows[-1] + 1 - rows[0])) :] = False
    return spanned & ~mask


def mask_planes(
    film: OutlinedFilm, image_size: Grid
) -> UInt8[np.ndarray, "2 {image_size[0]} {image_size[1]}"]:
    """Return a film's mask in network pixels.

    Returns:
        Each pixel's share of lung, and its share of which the mask says nothing; 255 is all of it.

    Raises:
        ValueError: The film or its mask cannot be read, or they differ in size.
    """
    radiograph = film_radiograph(film)
    view = seen_whole(radiograph, image_size)
    mask = read_mask(film.mask, radiograph)
    planes = (mask, unknown_part(mask, film.convention))
    return np.stack([_stretched(plane, view) for plane in planes])


def _stretched(plane: Mask, view: NetworkPixels) -> NDArray[np.uint8]:
    """Return a plane of the film's pixels as the film itself was seen: same box, same resize."""
    rows, columns = view.pixels.shape
    x_scale, _, left, _, y_scale, top = view.affine
    box = (left, top, left + x_scale * columns, top + y_scale * rows)
    picture = Image.fromarray(plane.astype(np.uint8) * np.uint8(255))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR, box=box))


def cached_planes(
    films: Sequence[OutlinedFilm], folder: Path, image_size: Grid
) -> UInt8[np.ndarray, "films 2 rows columns"]:
    """Return the films' masks as `mask_planes` makes them, read once for all runs.

    Args:
        films: At least one.
        folder: Of the cache, which may be removed when no run uses it.
        image_size: Rows and columns.
    """
    return cached_array(
        folder,
        shape=(len(films), 2, *image_size),
        rows=lambda: decoded(partial(mask_planes, image_size=image_size), films),
        settings=("lung masks", image_size, [film.convention for film in films]),
        files=[file for film in films for file in (film.path, film.mask)],
        code=[Path(__file__)],
    )


def cell_shares(
    planes: UInt8[Tensor, "*batch 2 rows columns"], cell: int
) -> Float[Tensor, "*batch 1 cell_rows cell_columns"]:
    """Return the share of lung in each cell of `cell` x `cell` pixels, NaN where it is unknown.

    A cell is unknown if any of its pixels is, in any part.
    """
    parts = planes.float() / 255
    shares = avg_pool2d(parts[..., :1, :, :], cell)
    unknown = max_pool2d(parts[..., 1:, :, :], cell) > 0
    return shares.masked_fill(unknown, float("nan"))
