"""Read boxes that experts drew on films, as planes of where evidence should not lie."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from models.card import Grid, ResizeMode
from models.radiograph import network_pixels
from training.data.dataset import film_radiograph
from training.data.manifest import Film
from training.data.tables import read_table

Box = tuple[float, float, float, float]
"""Left, top, width and height, in a film's pixels."""
COLUMNS = ("x", "y", "width", "height")
BILINEAR = Image.Resampling.BILINEAR


def planes_outside_boxes(
    file: Path,
    films: Sequence[Film],
    manifest: Path,
    *,
    image_size: Grid,
    resize_mode: ResizeMode,
    crop_pct: float = 1.0,
) -> dict[int, UInt8[np.ndarray, "rows columns"]]:
    """Return the planes, in network pixels, of films with boxes: 255 outside all of its boxes.

    Args:
        file: CSV of boxes.
        films: Of train; boxes of others are left out.
        manifest: Of the films; paths are below its folder.
        image_size: Rows and columns of the network's input.
        resize_mode: As the network's card says.
        crop_pct: Likewise.

    Returns:
        By the film's number in `films`.

    Raises:
        ValueError: The file is absent or malformed, or has boxes of none of the films.
    """
    boxes = _read(file, manifest.parent)
    planes = {}
    for number, film in enumerate(films):
        if film.path in boxes:
            radiograph = film_radiograph(film)
            seen = network_pixels(
                radiograph, image_size=image_size, resize_mode=resize_mode, crop_pct=crop_pct
            )
            outside = _outside(boxes[film.path], (radiograph.columns, radiograph.rows))
            size, affine = image_size[::-1], Image.Transform.AFFINE
            planes[number] = np.asarray(outside.transform(size, affine, seen.affine, BILINEAR))
    if not planes:
        raise ValueError(f"{file} has boxes of none of the films of train in {manifest}")
    return planes


def _read(file: Path, folder: Path) -> dict[Path, list[Box]]:
    boxes = defaultdict(list)
    for where, row in read_table(file, {"path", *COLUMNS}):
        try:
            left, top, width, height = (float(row[column]) for column in COLUMNS)
        except ValueError as error:
            raise ValueError(f"{where}: {', '.join(COLUMNS)} must be numbers: {error}") from error
        boxes[folder / row["path"]].append((left, top, width, height))
    return boxes


def _outside(boxes: Sequence[Box], size: tuple[int, int]) -> Image.Image:
    """Return a picture of a film's size, columns first: 0 in its boxes and 255 elsewhere."""
    picture = Image.new("L", size, 255)
    draw = ImageDraw.Draw(picture)
    for left, top, width, height in boxes:
        draw.rectangle((left, top, left + width, top + height), fill=0)
    return picture
