"""Read a film file into a `Radiograph`, and turn that into network pixels.

A film is one chest radiograph as a file.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.card import CellCentres, Grid, ResizeMode
from models.film_files.errors import (
    FilmTooLargeError,
    NotAnImageError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
)
from models.film_files.picture import PictureFormat, read_picture, read_picture_values
from models.film_files.values import FilmValues

__all__ = [
    "Affine",
    "FilmFormat",
    "FilmTooLargeError",
    "FilmValues",
    "GridPlace",
    "NetworkPixels",
    "NotAnImageError",
    "Radiograph",
    "RadiographError",
    "UnreadableFilmError",
    "UnsupportedFilmError",
    "evenly_spread",
    "film_format_of",
    "grid_place",
    "is_dicom",
    "network_pixels",
    "read_film_values",
    "read_radiograph",
]

FilmFormat = Literal["png", "jpeg", "tiff", "dicom"]
Box = tuple[float, float, float, float]
PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two are outside."""
Affine = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x = a*column + b*row + c, y = d*column + e*row + f.

Pixel (0, 0) covers [0, 1) x [0, 1).
"""
UNMOVED: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

MAX_FILM_BYTES = 64 * 2**20
MAX_FILM_PIXELS = 40_000_000
DICOM_PREAMBLE_BYTES = 128
SIGNATURES: tuple[tuple[bytes, PictureFormat], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
)
SIGNATURE_BYTES = DICOM_PREAMBLE_BYTES + len(b"DICM")
BORDER_TOLERANCE = 16 / 255 + 1e-6


@dataclass(frozen=True)
class Radiograph:
    """A grey film at its own size.

    Attributes:
        pixels: [rows, columns] in [0, 1], air dark and bone bright; after EXIF rotation, before
            border trimming.
        format: Format of the file.
    """

    pixels: NDArray[np.float32]
    format: FilmFormat

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return self.pixels.shape[0]

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return self.pixels.shape[1]


class GridPlace(NamedTuple):
    """Place of a grid of evidence on a film.

    Attributes:
        affine: From grid coordinates to film pixels. Cell (i, j) is centred at (j + 0.5, i + 0.5).
        extent: Left, top, right and bottom of what the network saw, in film pixels. The outermost
            cells go on to its edges, and outside it there is no map.
    """

    affine: Affine
    extent: Box


@dataclass(frozen=True)
class NetworkPixels:
    """A network's input, and the affine map from it back to the film.

    Attributes:
        pixels: [image rows, image columns] in [0, 1].
        affine: From network pixel coordinates to film pixel coordinates.
    """

    pixels: NDArray[np.float32]
    affine: Affine

    def grid_place(self, grid: Grid, cells: CellCentres | None) -> GridPlace:
        """Return the place of a (rows, columns) activation grid on the film; see `grid_place`."""
        rows, columns = self.pixels.shape
        return grid_place(grid, (rows, columns), cells, self.affine)


def grid_place(
    grid: Grid, image_size: Grid, cells: CellCentres | None, affine: Affine = UNMOVED
) -> GridPlace:
    """Return the place of a grid of evidence on a film, or on the network's input.

    Args:
        grid: Rows and columns of the grid.
        image_size: Rows and columns of the network's input.
        cells: Centres of the cells in that input, as the model card has them; None for a grid whose
            cells fill it evenly.
        affine: From network pixels to film pixels; left out, the place is on the network's input.
    """
    a, b, c, d, e, f = affine
    rows, columns = image_size
    cells = cells or evenly_spread(grid, image_size)
    (row, column), (down, across) = cells.origin, cells.step
    # The upper left corner of cell (0, 0), half a cell from its centre.
    top, left = row - down / 2, column - across / 2
    return GridPlace(
        (
            *(a * across, b * down, a * left + b * top + c),
            *(d * across, e * down, d * left + e * top + f),
        ),
        (c, f, a * columns + b * rows + c, d * columns + e * rows + f),
    )


def evenly_spread(grid: Grid, image_size: Grid) -> CellCentres:
    """Return the centres of cells that fill the network's input: (i + 0.5) * side / cells."""
    down, across = image_size[0] / grid[0], image_size[1] / grid[1]
    return CellCentres(origin=(down / 2, across / 2), step=(down, across))


def read_radiograph(
    film: bytes, *, max_bytes: int = MAX_FILM_BYTES, max_pixels: int = MAX_FILM_PIXELS
) -> Radiograph:
    """Read a PNG, JPEG, TIFF or DICOM file, and return the film.

    Args:
        film: The whole file; its format is recognised by its content.
        max_bytes: Limit on the file, and on the size to which a deflated DICOM file inflates.
        max_pixels: Limit on rows x columns x frames, checked by the header.

    Raises:
        FilmTooLargeError: A limit is exceeded; nothing has been decoded then.
        NotAnImageError: It is none of these formats.
        UnreadableFilmError: Truncated, corrupt, without pixels, or in an encoding that can't be
            decoded.
        UnsupportedFilmError: Several frames or pages, or a colour picture.
    """
    film_format = _checked_format(film, max_bytes)
    if film_format == "dicom":
        # Not at the top: pydicom and its decoders take half a second to load.
        from models.film_files.dicom import read_dicom

        pixels = read_dicom(film, max_bytes=max_bytes, max_pixels=max_pixels)
    else:
        pixels = read_picture(film, film_format, max_pixels=max_pixels)
    return Radiograph(pixels, film_format)


def read_film_values(
    film: bytes, *, max_bytes: int = MAX_FILM_BYTES, max_pixels: int = MAX_FILM_PIXELS
) -> FilmValues:
    """Return the values of a film before the window that `read_radiograph` sees it through.

    Through the first of their windows they are the pixels of `read_radiograph` to within a grey
    level in 256.

    Args:
        film: As for `read_radiograph`, and so are the rest and what is raised.
        max_bytes: Limit on the file.
        max_pixels: Limit on its pixels.
    """
    film_format = _checked_format(film, max_bytes)
    if film_format == "dicom":
        from models.film_files.dicom import read_dicom_values  # not at the top: see above

        return read_dicom_values(film, max_bytes=max_bytes, max_pixels=max_pixels)
    return read_picture_values(film, film_format, max_pixels=max_pixels)


def _checked_format(film: bytes, max_bytes: int) -> FilmFormat:
    if len(film) > max_bytes:
        raise FilmTooLargeError(f"The file exceeds the {max_bytes} bytes allowed.")
    return film_format_of(film)


def is_dicom(film: bytes) -> bool:
    """Return whether the bytes are a DICOM file (whose preamble may look like a TIFF)."""
    return film.startswith(b"DICM", DICOM_PREAMBLE_BYTES)


def film_format_of(film: bytes) -> FilmFormat:
    """Return the format by the first `SIGNATURE_BYTES` of a film.

    Raises:
        NotAnImageError: It is none of these formats.
    """
    if is_dicom(film):
        return "dicom"
    for start, film_format in SIGNATURES:
        if film.startswith(start):
            return film_format
    raise NotAnImageError("The file must be a PNG, JPEG, TIFF or DICOM image.")


def network_pixels(
    radiograph: Radiograph,
    *,
    image_size: tuple[int, int],
    resize_mode: ResizeMode,
    crop_pct: float = 1.0,
    mask: PixelBox | None = None,
) -> NetworkPixels:
    """Trim a film's uniform borders, and resize it for a network.

    Args:
        radiograph: The film.
        image_size: Rows and columns of the network's input.
        resize_mode: `stretch` ignores the aspect ratio; `letterbox` keeps it, centres the film and
            fills the rest with 0.
        crop_pct: Share of each side, about the middle, that the network sees.
        mask: Part of the film to fill with the film's median; it does not change which borders are
            trimmed.
    """
    left, top, right, bottom = _middle(_content_box(radiograph.pixels), crop_pct)
    rows, columns = image_size
    if resize_mode == "letterbox":
        rows, columns = _fitted(bottom - top, right - left, image_size)
    film = Image.fromarray(radiograph.pixels)
    if mask:
        film.paste(float(np.median(radiograph.pixels)), mask)
    film = film.resize((columns, rows), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    first_row, first_column = (image_size[0] - rows) // 2, (image_size[1] - columns) // 2
    pixels = np.zeros(image_size, np.float32)
    pixels[first_row : first_row + rows, first_column : first_column + columns] = np.asarray(film)
    x_scale, y_scale = (right - left) / columns, (bottom - top) / rows
    x_start, y_start = left - x_scale * first_column, top - y_scale * first_row
    affine = (x_scale, 0.0, x_start, 0.0, y_scale, y_start)
    return NetworkPixels(pixels.clip(0, 1), affine)


def _middle(box: PixelBox, share: float) -> Box:
    """Return the middle of a box; box and result are left, top, right, bottom."""
    left, top, right, bottom = box
    x_margin, y_margin = (1 - share) / 2 * (right - left), (1 - share) / 2 * (bottom - top)
    return left + x_margin, top + y_margin, right - x_margin, bottom - y_margin


def _fitted(rows: float, columns: float, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest whole (rows, columns) of this aspect ratio inside `image_size`."""
    scale = min(image_size[0] / rows, image_size[1] / columns)
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def _content_box(pixels: NDArray[np.float32]) -> PixelBox:
    """Return left, top, right, bottom of the film without its uniform borders."""
    rows, columns = pixels.shape
    if np.ptp(pixels) <= BORDER_TOLERANCE:
        return 0, 0, columns, rows
    top, bottom = _content_range(np.ptp(pixels, axis=1))
    left, right = _content_range(np.ptp(pixels, axis=0))
    return left, top, right, bottom


def _content_range(spreads: NDArray[np.float32]) -> tuple[int, int]:
    """Return start and end of the content, given each line's largest minus smallest pixel."""
    most = len(spreads) // 4
    before = np.flatnonzero(spreads[:most] > BORDER_TOLERANCE)
    after = np.flatnonzero(spreads[::-1][:most] > BORDER_TOLERANCE)
    first = int(before[0]) if before.size else most
    return first, len(spreads) - (int(after[0]) if after.size else most)
