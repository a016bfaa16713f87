"""Read PNG, JPEG and TIFF files into grey pixels or values."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from models.film_files.errors import (
    FilmTooLargeError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
)
from models.film_files.jpeg_segments import lean_jpeg
from models.film_files.png_chunks import lean_png
from models.film_files.quiet_libraries import ignore_warnings, silence_logs
from models.film_files.tiff_directory import lean_tiff
from models.film_files.values import (
    FilmValues,
    Stored,
    full_scale_values,
    shown_values,
    sixteen_bits,
)

PictureFormat = Literal["png", "jpeg", "tiff"]

# Called directly: `Image.open` would warn of large pictures before our own limit is checked.
PLUGINS: dict[PictureFormat, Callable[[io.BytesIO], ImageFile]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "tiff": TiffImageFile,
}
LEAN: dict[PictureFormat, Callable[[bytes], bytes]] = {
    "png": lean_png,
    "jpeg": lean_jpeg,
    "tiff": lean_tiff,
}
"""Functions that strip a file, before Pillow opens it, of segments that could be bombs."""
MALFORMED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Exceptions that Pillow raises on malformed files, found by fuzzing."""
MAX_SIDE = 2**16 - 1
"""In pixels: the most that JPEG and DICOM can have. (Pillow keeps a pointer per row.)"""
BAND_PIXELS = 2**20
MAX_COLOURFULNESS = 0.1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Turn for each EXIF orientation. (`ImageOps.exif_transpose` copies even an upright picture.)"""
WHITE_IS_ZERO = 0
PHOTOMETRIC_TAG = 262

T = TypeVar("T")

silence_logs("PIL")


def read_picture(film: bytes, kind: PictureFormat, *, max_pixels: int) -> NDArray[np.float32]:
    """Return the [rows, columns] pixels of a PNG, JPEG or TIFF in [0, 1], turned by its EXIF tag.

    8-bit values are divided by 255. Deeper greys are divided by 2^bits - 1, where bits is the
    smallest of 10, 12, 14 and 16 that holds the film's largest value. Float TIFFs are stretched
    from their smallest to their largest value. Colours become luminance, and transparent pixels
    black; 16-bit colours are read with 8 bits.

    Raises:
        FilmTooLargeError: It has more than `max_pixels`; nothing has been decoded then.
        UnsupportedFilmError: It has several pages, is a colour picture, or has more than 16 bits.
        UnreadableFilmError: It is truncated or corrupt.
    """
    return _read(film, kind, _grey, max_pixels=max_pixels)


def read_picture_values(film: bytes, kind: PictureFormat, *, max_pixels: int) -> FilmValues:
    """Return the values that `read_picture` divides or stretches; it raises the same errors.

    8-bit values are 0 to 255, and deeper greys are as in the file; both are shown from 0 to full
    scale. Floats are rounded to 16 bits, and shown from their smallest to their largest. There is
    no spacing: the resolution in these formats refers to paper or screen.
    """
    return _read(film, kind, _values, max_pixels=max_pixels)


def _read(
    film: bytes,
    kind: PictureFormat,
    made: Callable[[Image.Image, bool], T],
    *,
    max_pixels: int,
) -> T:
    """Decode a picture, turn it by its EXIF tag, and return `made` of it and its being negative."""
    ignore_warnings("PIL")
    try:
        image = PLUGINS[kind](io.BytesIO(LEAN[kind](film)))
        _check_header(image, kind, max_pixels)
        is_negative = _is_negative(image)
        return made(_turned(image), is_negative)
    except RadiographError:
        raise
    except MALFORMED as error:
        raise UnreadableFilmError(f"The {kind.upper()} file is truncated or corrupt.") from error


def _check_header(image: ImageFile, kind: PictureFormat, max_pixels: int) -> None:
    """Refuse a file that is too large or holds several pictures, before it is decoded."""
    if image.width * image.height > max_pixels:
        raise FilmTooLargeError(f"The film has more than the {max_pixels} pixels allowed.")
    if max(image.size) > MAX_SIDE:
        raise FilmTooLargeError(f"The film has more than {MAX_SIDE} rows or columns.")
    if getattr(image, "is_animated", False):
        raise UnsupportedFilmError(f"The {kind.upper()} file has several pictures; one is allowed.")


def _turned(image: ImageFile) -> Image.Image:
    """Return the picture decoded and turned by its EXIF tag."""
    image.load()  # which turns a TIFF
    turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _is_negative(image: ImageFile) -> bool:
    """Return whether white is 0: TIFFs of more than 8 bits, which Pillow does not invert."""
    if not isinstance(image, TiffImageFile) or image.mode in ("1", "L"):
        return False
    return image.tag_v2.get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO


def _grey(image: Image.Image, is_negative: bool) -> NDArray[np.float32]:
    """Return a decoded picture's grey in [0, 1]."""
    if image.mode == "F":
        grey = _stretched(_finite(image))
    else:
        values, full_scale = _whole_values(image)
        grey = np.divide(values, np.float32(full_scale), dtype=np.float32, casting="unsafe")
    return np.subtract(1, grey, out=grey) if is_negative else grey


def _values(image: Image.Image, is_negative: bool) -> FilmValues:
    """Return a decoded picture's values."""
    if image.mode == "F":
        stored = Stored(_finite(image), is_negative=is_negative)
        return sixteen_bits(stored, [None]) or shown_values(_grey(image, is_negative))
    values, full_scale = _whole_values(image)
    pixels = values.astype(np.uint16)
    if is_negative:
        np.subtract(full_scale, pixels, out=pixels)
    return full_scale_values(pixels, full_scale)


def _finite(image: Image.Image) -> NDArray[np.float32]:
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnreadableFilmError("The pixels of a float TIFF must be finite.")
    return values


def _stretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float values from 0 at their smallest to 1 at their largest."""
    low, high = values.min().astype(np.float64), values.max().astype(np.float64)
    stretched = np.empty_like(values)
    for band, rows in zip(stretched, values, strict=True):  # a row at a time, since in float64
        band[:] = (rows - low) / max(high - low, 1e-300)
    return stretched


def _whole_values(image: Image.Image) -> tuple[NDArray[np.integer], int]:
    """Return integer values, and full scale: that of 8, 10, 12, 14 or 16 bits."""
    if not image.mode.startswith("I"):
        return _luminance(image), 255
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= 2**16:
        raise UnsupportedFilmError("Grey pixels must lie between 0 and 65535.")
    return values, next(2**bits - 1 for bits in (10, 12, 14, 16) if high < 2**bits)


def _luminance(image: Image.Image) -> NDArray[np.uint8]:
    """Return the luminance of a picture of up to 8 bits per channel, over black."""
    grey = np.empty((image.height, image.width), np.uint8)
    colourfulness = 0.0
    step = max(1, BAND_PIXELS // image.width)  # bands, since colours take four times the memory
    for top in range(0, image.height, step):
        band = _over_black(image.crop((0, top, image.width, min(top + step, image.height))))
        colourfulness += _colourfulness(band)
        grey[top : top + step] = np.asarray(band.convert("L"))
    if colourfulness > MAX_COLOURFULNESS * grey.size:
        raise UnsupportedFilmError("The film is a colour picture; grey ones are allowed.")
    return grey


def _over_black(band: Image.Image) -> Image.Image:
    """Return part of a picture without transparency."""
    if band.has_transparency_data:
        black = Image.new("RGBA", band.size, "black")
        return Image.alpha_composite(black, band.convert("RGBA")).convert("RGB")
    return band if band.mode in ("1", "L") else band.convert("RGB")


def _colourfulness(band: Image.Image) -> float:
    """Return the sum over pixels of the brightest channel less the darkest, in [0, 1] each.

    A scanned film may be tinted.
    """
    if band.mode != "RGB":
        return 0.0
    red, green, blue = band.split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return float(np.asarray(ImageChops.subtract(brightest, darkest)).sum(dtype=np.float64)) / 255
