"""Film values before windowing, in 16 bits, and the windows that show them.

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
"""Smallest distance of black and white, in values, unless it is 0: limited by 64-bit rounding."""


@dataclass(frozen=True)
class Window:
    """Window: the range of values that is shown from black to white.

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
        """Largest value that is shown black."""
        return self.centre - 0.5 - (self.width - 1) / 2

    def mirrored(self, total: float) -> "Window":
        """Return the window for inverted values, `total - value`."""
        return replace(self, centre=total - self.centre + 1)


@dataclass(frozen=True)
class ValueScale:
    """Scale of 16-bit pixels: value = pixel * slope + intercept.

    Attributes:
        slope: Never 0.
        intercept: In the film's values.
        low: Smallest value of the film, without padding.
        high: Largest.
        windows: At least one; the first is the one for the network's input.
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
    """Values of a film before any window, bone bright.

    Attributes:
        pixels: [rows, columns], after EXIF rotation.
        scale: Scale from pixels to values.
    """

    pixels: NDArray[np.uint16]
    scale: ValueScale


@dataclass(frozen=True)
class Stored:
    """Numbers stored in a file: value = number * slope + intercept.

    Attributes:
        numbers: [rows, columns], integers or floats.
        slope: Of either sign.
        intercept: In the film's values.
        is_negative: The largest value is black.
        padding: [rows, columns], true outside the film, where it is shown black; None is no such.
    """

    numbers: NDArray[np.number]
    slope: float = 1.0
    intercept: float = 0.0
    is_negative: bool = False
    padding: NDArray[np.bool_] | None = None


def full_window(low: float, high: float) -> Window:
    """Return the window that is black at `low` and white at `high`; all black if they are equal."""
    return Window((low + high + 1) / 2, high - low + 1) if low < high else Window(low + 1, 1.0)


def full_scale_values(pixels: NDArray[np.uint16], full_scale: int) -> FilmValues:
    """Return values equal to the pixels, shown from black at 0 to white at full scale."""
    window = full_window(0.0, float(full_scale))
    scale = ValueScale(1.0, 0.0, float(pixels.min()), float(pixels.max()), (window,))
    return FilmValues(pixels, scale)


def shown_values(grey: NDArray[np.float32]) -> FilmValues:
    """Return grey in [0, 1] as values from 0 to 65535; `grey` is overwritten.

    For films that no linear window over 16 bits can show.
    """
    np.multiply(grey, LARGEST, out=grey)
    return full_scale_values(np.rint(grey, out=grey).astype(np.uint16), LARGEST)


def sixteen_bits(stored: Stored, windows: Sequence[Window | None]) -> FilmValues | None:
    """Convert stored numbers to 16 bits, without rounding if whole and at most 65535 apart.

    A negative is inverted, with its windows. Padding gets a value that all windows show black.

    Args:
        stored: The numbers.
        windows: Windows of the values before that; None is the whole range.

    Returns:
        The values; None if rounding would change a grey level of 256 under the first window.
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
    """Return smallest and largest number of the film; 0 and 0 if all of it is padding."""
    film = stored.numbers if stored.padding is None else stored.numbers[~stored.padding]
    return (float(film.min()), float(film.max())) if film.size else (0.0, 0.0)


def _black_number(stored: Stored, value: float) -> float:
    """Return a whole number whose value is at most `value`."""
    number = (value - stored.intercept) / stored.slope
    return float(math.floor(number) if stored.slope > 0 else math.ceil(number))


def _grid(numbers: NDArray[np.number], lowest: float, highest: float) -> tuple[float, float]:
    """Return offset and step of the pixels: number = offset + step * pixel."""
    if highest - lowest <= LARGEST and _are_whole(numbers):
        return (0.0 if lowest >= 0 and highest <= LARGEST else lowest), 1.0
    return lowest, (highest - lowest) / LARGEST or 1.0


def _are_whole(numbers: NDArray[np.number]) -> bool:
    return numbers.dtype.kind in "iu" or all(
        bool((numbers[rows] == np.rint(numbers[rows])).all()) for rows in _bands(numbers)
    )


def _shows(window: Window, step: float, *, is_exact: bool) -> bool:
    """Return whether values in steps of `step` are fine enough for a window."""
    slope = window.width - 1
    return (is_exact or slope >= 255 * step) and (slope == 0 or slope >= NARROWEST_SLOPE)


def _on_grid(
    numbers: NDArray[np.number], total: float | None, offset: float, step: float
) -> NDArray[np.uint16]:
    """Return the pixels nearest to the numbers, or to `total` minus the numbers."""
    pixels = np.empty(numbers.shape, np.uint16)
    for rows in _bands(numbers):
        band = numbers[rows].astype(np.float64)
        band = band if total is None else total - band
        pixels[rows] = np.rint((band - offset) / step).clip(0, LARGEST)
    return pixels


def _bands(numbers: NDArray[np.number]) -> Iterator[slice]:
    """Yield slices of rows, because a whole film in 64 bits would take four times its memory."""
    rows, columns = numbers.shape
    step = max(1, BAND_PIXELS // columns)
    return (slice(first, first + step) for first in range(0, rows, step))
