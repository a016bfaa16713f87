"""PNG, JPEG and TIFF bytes to grey pixels."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from models.discretion import ignore_warnings, silence_logs
from models.film_errors import (
    FilmTooLargeError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
)

PictureFormat = Literal["png", "jpeg", "tiff"]

# The plug-ins themselves: `Image.open` would warn of large pictures, before our own limit speaks.
PLUGINS: dict[PictureFormat, Callable[[io.BytesIO], ImageFile]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "tiff": TiffImageFile,
}
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
"""What Pillow raises on malformed files, seen by mutating good ones."""
MAX_COLOURFULNESS = 0.1
WHITE_IS_ZERO = 0
PHOTOMETRIC_TAG = 262

silence_logs("PIL")


def read_picture(film: bytes, kind: PictureFormat, *, max_pixels: int) -> NDArray[np.float32]:
    """Return the [rows, columns] pixels of a PNG, JPEG or TIFF in [0, 1], turned by its EXIF tag.

    8 bits are divided by 255. Deeper greys are divided by the largest value of the smallest of 10,
    12, 14 and 16 bits that holds the film's largest; float TIFFs are stretched from their smallest
    to their largest value. Colours become luminance, transparent parts black; 16-bit colours are
    read with 8 bits.

    Raises:
        FilmTooLargeError: More than `max_pixels`; nothing has been decoded then.
        UnsupportedFilmError: Several pages, a colour picture, or greys beyond 16 bits.
        UnreadableFilmError: Truncated or corrupt.
    """
    ignore_warnings("PIL")
    try:
        image = PLUGINS[kind](io.BytesIO(film))
        _check_header(image, kind, max_pixels)
        is_negative = _is_negative(image)
        image.load()
        grey = _grey(ImageOps.exif_transpose(image))
    except RadiographError:
        raise
    except MALFORMED as error:
        raise UnreadableFilmError(f"The {kind.upper()} file is truncated or corrupt.") from error
    return 1 - grey if is_negative else grey


def _check_header(image: ImageFile, kind: PictureFormat, max_pixels: int) -> None:
    """Refuse what is too large or more than one picture, before it is decoded."""
    if image.width * image.height > max_pixels:
        raise FilmTooLargeError(f"The film has more than the {max_pixels} pixels allowed.")
    if getattr(image, "is_animated", False):
        raise UnsupportedFilmError(f"The {kind.upper()} file has several pictures; one is allowed.")


def _is_negative(image: ImageFile) -> bool:
    """Return whether white is zero and Pillow leaves it so: TIFFs of more than 8 bits."""
    if not isinstance(image, TiffImageFile) or image.mode in ("1", "L"):
        return False
    return image.tag_v2.get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO


def _grey(image: Image.Image) -> NDArray[np.float32]:
    """Return a decoded picture's grey in [0, 1]."""
    if image.mode == "F":
        return _stretched(np.asarray(image))
    if image.mode.startswith("I"):
        return _scaled_by_depth(np.asarray(image))
    return _luminance(image)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float values from 0 at their smallest to 1 at their largest."""
    if not np.isfinite(values).all():
        raise UnreadableFilmError("The pixels of a float TIFF must be finite.")
    low, high = values.min().astype(np.float64), values.max().astype(np.float64)
    return ((values - low) / max(high - low, 1e-300)).astype(np.float32)


def _scaled_by_depth(values: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return integer values divided by full scale, which is 10, 12, 14 or 16 bits."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= 2**16:
        raise UnsupportedFilmError("Grey pixels must lie between 0 and 65535.")
    full_scale = next(2**bits - 1 for bits in (10, 12, 14, 16) if high < 2**bits)
    return values.astype(np.float32) / np.float32(full_scale)


def _luminance(image: Image.Image) -> NDArray[np.float32]:
    """Return the luminance of a picture of up to 8 bits per channel, over black."""
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, "black")
        image = Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
    if image.mode not in ("1", "L"):
        image = image.convert("RGB")
        _check_grey(image)
    return np.asarray(image.convert("L"), np.float32) / np.float32(255)


def _check_grey(image: Image.Image) -> None:
    """Refuse a colour photograph; a scanned film may be tinted."""
    red, green, blue = image.split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    if np.asarray(ImageChops.subtract(brightest, darkest)).mean() / 255 > MAX_COLOURFULNESS:
        raise UnsupportedFilmError("The film is a colour picture; grey ones are allowed.")
