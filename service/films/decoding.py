"""Decode a film into what is needed of it: network pixels, values, a PNG, an overlay.

Each function takes the film's bytes, decodes them and returns little: a decoded film may take
160 MB, and is never kept while it waits. All of them can run in another process, of
`service.films.decoders`.
"""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.card import NetworkSpec, ResizeMode
from models.film_files.values import ValueScale
from models.radiograph import (
    MAX_FILM_BYTES,
    MAX_FILM_PIXELS,
    FilmFormat,
    GridPlace,
    NetworkPixels,
    PixelBox,
    film_format_of,
    network_pixels,
    read_film_values,
    read_radiograph,
)
from service.films.masks import Mask
from xai.heatmap import film_heat, overlay
from xai.outline import Outline, outlined

BAND_PIXELS = 2**20


class Limits(NamedTuple):
    """Largest film that is decoded.

    Attributes:
        max_bytes: Longest film.
        max_pixels: Most pixels, checked before they are decoded.
    """

    max_bytes: int = MAX_FILM_BYTES
    max_pixels: int = MAX_FILM_PIXELS


class View(NamedTuple):
    """Resizing and cropping of films for a network; see `models.card.NetworkSpec`."""

    image_size: tuple[int, int]
    resize_mode: ResizeMode
    crop_pct: float

    @classmethod
    def of(cls, card: NetworkSpec) -> "View":
        """Return the view that a card asks for."""
        return cls(card.image_size, card.resize_mode, card.crop_pct)


class SeenFilm(NamedTuple):
    """A film's size, and the pixels that a network sees of it.

    Attributes:
        rows: Of the film.
        columns: Of the film.
        format: What the bytes were.
        input: What the network sees.
        mask: Pixels of the film that it does not see; None is none.
    """

    rows: int
    columns: int
    format: FilmFormat
    input: NetworkPixels
    mask: PixelBox | None = None


class RawFilm(NamedTuple):
    """A film before any window.

    Attributes:
        rows: Of the film.
        columns: Of the film.
        format: What the bytes were.
        scale: What the pixels mean.
        pixels: rows x columns little-endian 16-bit numbers, row by row.
    """

    rows: int
    columns: int
    format: FilmFormat
    scale: ValueScale
    pixels: bytes


class Paint(NamedTuple):
    """Heat to paint over a film.

    Attributes:
        heat: [grid rows, grid columns] in [0, 1]; all zero leaves the film grey.
        place: Place of the grid on the film.
        outline: Of the lungs, outside which the film stays grey; None is no such limit.
        is_outlined: Draw the outline, too.
    """

    heat: NDArray[np.float32]
    place: GridPlace
    outline: Outline | None = None
    is_outlined: bool = False


def seen_film(film: bytes, view: View, limits: Limits, mask: Mask | None = None) -> SeenFilm:
    """Return the pixels that a network sees of a film, without what the mask covers.

    Raises:
        RadiographError: The film can't be used; so do the other functions here.
    """
    radiograph = read_radiograph(film, **limits._asdict())
    rows, columns = radiograph.rows, radiograph.columns
    box = mask.pixels(rows, columns) if mask else None
    seen = network_pixels(radiograph, **view._asdict(), mask=box)
    return SeenFilm(rows, columns, radiograph.format, seen, box)


def raw_film(film: bytes, limits: Limits) -> RawFilm:
    """Return the film's own values before any window."""
    values = read_film_values(film, **limits._asdict())
    rows, columns = values.pixels.shape
    pixels = values.pixels.astype("<u2", copy=False).tobytes()
    return RawFilm(rows, columns, film_format_of(film), values.scale, pixels)


def grey_png(film: bytes, side: int | None, limits: Limits) -> bytes:
    """Return the film's own pixels as an 8-bit PNG: air dark, bone bright.

    Args:
        film: The film.
        side: Most pixels of the larger side, which are averages then; None keeps the film's own.
        limits: Most bytes and pixels that it may have.
    """
    radiograph = read_radiograph(film, **limits._asdict())
    picture = Image.fromarray(np.rint(255 * radiograph.pixels).astype(np.uint8))
    scale = (side or max(picture.size)) / max(picture.size)
    if scale < 1:
        columns, rows = (max(1, round(scale * length)) for length in picture.size)
        picture = picture.resize((columns, rows), Image.Resampling.BOX)
    return _png(picture)


def painted_png(film: bytes, paint: Paint, limits: Limits) -> bytes:
    """Return the film with heat painted over it, as a PNG of the film's own size."""
    return _png(Image.fromarray(painted_pixels(film, paint, limits)))


def painted_pixels(film: bytes, paint: Paint, limits: Limits) -> NDArray[np.uint8]:
    """Return the film with heat painted over it, rows x columns x RGB of the film's own size."""
    radiograph = read_radiograph(film, **limits._asdict())
    rows, columns = radiograph.rows, radiograph.columns
    warm = film_heat(paint.heat, paint.place, rows, columns, paint.outline)
    picture = np.empty((rows, columns, 3), np.uint8)
    # In bands: a film of 40 megapixels in float colours would need two gigabytes.
    band = max(1, BAND_PIXELS // columns)
    for first in range(0, rows, band):
        lines = slice(first, first + band)
        picture[lines] = overlay(radiograph.pixels[lines], warm[lines])
        if paint.is_outlined and paint.outline:
            side = max(rows, columns)
            picture[lines] = outlined(picture[lines], paint.outline, side=side, first_row=first)
    return picture


def _png(picture: Image.Image) -> bytes:
    png = io.BytesIO()
    # Level 1 takes a fifth to a third of the usual level's time and a fifth more bytes.
    picture.save(png, "PNG", compress_level=1)
    return png.getvalue()
