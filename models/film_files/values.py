"""A film's values before any window, in 16 bits, and the windows that show them.

Windows are those of DICOM's LINEAR function (PS3.3 C.11.2.1.2): a value is shown as the grey

    clip((value - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1)

so black is at centre - 0.5 - (width - 1) / 2, and a width of 1 is a step.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**16 - 1
BAND_PIXELS = 2**20
NARROWEST_SLOPE = 1e-3
"""Between black and white, in values, unless it is a step: less drowns in 64-bit arithmetic."""


@dataclass(frozen=True)
class Window:
    """Which values are shown from black to white.

    Attributes:
        centre: In the film's values.
        width: At least 1, which is a step.
        name: One of a few standard words, or None.
    """

    centre: float
    width: float
    name: str | None = None

    @property
    def black(self) -> float:
        """The largest value that is shown black."""
        return self.centre - 0.5 - (self.width - 1) / 2

    def mirrored(self, total: float) -> "Window":
        """Return the window that shows `total - value` as the negative of what this one shows."""
        return replace(self, centre=total - self.centre + 1)


@dataclass(frozen=True)
class ValueScale:
    """What 16-bit pixels mean: value = pixel * slope + intercept.

    Attributes:
        slope: Never 0.
        intercept: In the film's values.
        low: Smallest value of the film, padding left out.
        high: Largest.
        windows: At least one; the first is what networks see the film through.
        spacing: Millimetres between rows and between columns; None is unknown.
    """

    slope: float
    intercept: float
    low: float
    high: float
    windows: tuple[Window, ...]
    spacing: tuple[float, float] | None = None


@dataclass(frozen=True)
class FilmValues:
    """A film before any window, bone bright.

    Attributes:
        pixels: [rows, columns], after EXIF rotation.
        scale: What they mean.
    """

    pixels: NDArray[np.uint16]
    scale: ValueScale


@dataclass(frozen=True)
class Stored:
    """Numbers as a file holds them: value = number * slope + intercept.

    Attributes:
        numbers: [rows, columns], integers or floats.
        slope: Of either sign.
        intercept: In the film's values.
        is_negative: The largest value is black.
        padding: [rows, columns]: what is no part of the film and shown black; None is nothing.
    """

    numbers: NDArray[np.number]
    slope: float = 1.0
    intercept: float = 0.0
    is_negative: bool = False
    padding: NDArray[np.bool_] | None = None


def full_window(low: float, high: float) -> Window:
    """Return the window that is black at `low` and white at `high`; black if they are the same."""
    return Window((low + high + 1) / 2, high - low + 1) if low < high else Window(low + 1, 1.0)


def full_scale_values(pixels: NDArray[np.uint16], full_scale: int) -> FilmValues:
    """Return pixels that are values themselves, shown from black at 0 to white at full scale."""
    window = full_window(0.0, float(full_scale))
    scale = ValueScale(1.0, 0.0, float(pixels.min()), float(pixels.max()), (window,))
    return FilmValues(pixels, scale)


def shown_values(grey: NDArray[np.float32]) -> FilmValues:
    """Return the grey itself as values from 0 to 65535; `grey` in [0, 1] is used up.

    For films that no linear window over 16 bits shows as they are meant.
    """
    np.multiply(grey, LARGEST, out=grey)
    return full_scale_values(np.rint(grey, out=grey).astype(np.uint16), LARGEST)


def sixteen_bits(stored: Stored, windows: Sequence[Window | None]) -> FilmValues | None:
    """Return stored numbers in 16 bits, exactly where they are whole and lie close enough.

    A negative is turned round, largest value for smallest, and its windows with it. Padding gets a
    value that all windows show black.

    Args:
        stored: The numbers.
        windows: Of the values before that; None stands for the whole range.

    Returns:
        None where the first window would show a picture that differs by a grey level in 256.
    """
    first, last = _ends(stored)
    low, high = sorted(end * stored.slope + stored.intercept for end in (first, last))
    shown = [window or full_window(low, high) for window in windows]
    if stored.is_negative:
        shown = [window.mirrored(low + high) for window in shown]
    facts = (stored.slope, stored.intercept, low, high, shown[0].centre, shown[0].width)
    if not np.float32(stored.slope) or not np.isfinite(np.asarray(facts, np.float32)).all():
        return None
    black = _black_number(stored, min(low, *(window.black for window in shown)))
    ends = (first, last) if stored.padding is None else (first, last, black)
    offset, step = _grid(stored.numbers, min(ends), max(ends))
    if not _shows(shown[0], abs(stored.slope) * step, is_exact=step == 1 or first == last):
        return None
    total = first + last if stored.is_negative else None
    pixels = _on_grid(stored.numbers, total, offset, step)
    if stored.padding is not None:
        pixels[stored.padding] = round((black - offset) / step)
    slope, intercept = stored.slope * step, stored.slope * offset + stored.intercept
    return FilmValues(pixels, ValueScale(slope, intercept, low, high, tuple(shown)))


def _ends(stored: Stored) -> tuple[float, float]:
    """Return smallest and largest number of the film; 0 where all is padding."""
    film = stored.numbers if stored.padding is None else stored.numbers[~stored.padding]
    return (float(film.min()), float(film.max())) if film.size else (0.0, 0.0)


def _black_number(stored: Stored, value: float) -> float:
    """Return a whole number whose value is at most `value`."""
    number = (value - stored.intercept) / stored.slope
    return float(math.floor(number) if stored.slope > 0 else math.ceil(number))


def _grid(numbers: NDArray[np.number], lowest: float, highest: float) -> tuple[float, float]:
    """Return which number is pixel 0, and how far apart the numbers of two pixels are."""
    if highest - lowest <= LARGEST and _are_whole(numbers):
        return (0.0 if lowest >= 0 and highest <= LARGEST else lowest), 1.0
    return lowest, (highest - lowest) / LARGEST or 1.0


def _are_whole(numbers: NDArray[np.number]) -> bool:
    return numbers.dtype.kind in "iu" or all(
        bool((numbers[rows] == np.rint(numbers[rows])).all()) for rows in _bands(numbers)
    )


def _shows(window: Window, step: float, *, is_exact: bool) -> bool:
    """Return whether values in such steps are fine enough for a window."""
    slope = window.width - 1
    return (is_exact or slope >= 255 * step) and (slope == 0 or slope >= NARROWEST_SLOPE)


def _on_grid(
    numbers: NDArray[np.number], total: float | None, offset: float, step: float
) -> NDArray[np.uint16]:
    """Return the nearest pixels of numbers, or of `total` less the numbers."""
    pixels = np.empty(numbers.shape, np.uint16)
    for rows in _bands(numbers):
        band = numbers[rows].astype(np.float64)
        band = band if total is None else total - band
        pixels[rows] = np.rint((band - offset) / step).clip(0, LARGEST)
    return pixels


def _bands(numbers: NDArray[np.number]) -> Iterator[slice]:
    """Yield slices of rows: a whole film in 64 bits would take four times its memory."""
    rows, columns = numbers.shape
    step = max(1, BAND_PIXELS // columns)
    return (slice(first, first + step) for first in range(0, rows, step))
