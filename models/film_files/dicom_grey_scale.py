"""Convert the stored values of a DICOM film to grey: modality LUT, VOI LUT or window.

The order is the standard's: modality LUT or rescale, VOI LUT or window, and MONOCHROME1 last
(PS3.4 N.2). pydicom 3 is not used for it: it wraps indices in the table's own type (4096 entries of
8 bits), and refuses real films with a window width of 0. On sound films both are equal, by a test.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.film_files.errors import UnreadableFilmError
from models.film_files.values import FilmValues, Stored, Window, shown_values, sixteen_bits

LUT_BITS = range(8, 17)
MAX_WINDOWS = 16
SPACINGS = (0.001, 10.0)
"""Smallest and largest plausible distance between pixels, in millimetres."""
WINDOW_NAMES = {"ABDOMEN", "BONE", "BRAIN", "HARDER", "LIVER", "LUNG", "LUNGS", "MEDIASTINUM"} | {
    *("NORMAL", "SOFTER", "SPINE"),
    *(f"WINDOW{number}" for number in range(1, 10)),
}
"""Allowed names of a window: other words of a header are never repeated."""


class HeaderWindow(NamedTuple):
    """Centre and width of a window in the header, before its function is applied."""

    centre: float
    width: float


def displayed(stored: NDArray[np.number], dataset: Dataset) -> NDArray[np.float32]:
    """Return stored values as grey in [0, 1], after all lookups and the window.

    Pixels equal to PixelPaddingValue are not part of the film: they don't widen the grey scale of a
    film without a window, and become 0.

    Args:
        stored: [rows, columns] as decoded, before any lookup.
        dataset: The film's header.

    Raises:
        UnreadableFilmError: A lookup table is malformed, or pixels are not finite.
    """
    padding = _padding(stored, dataset)
    grey = _windowed(_modality_values(stored, dataset), dataset, padding)
    if not np.isfinite(grey).all():
        raise UnreadableFilmError("The DICOM file's pixels must be finite.")
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        np.subtract(1, grey, out=grey)
    grey[padding] = 0
    return grey


def film_values(stored: NDArray[np.number], dataset: Dataset) -> FilmValues:
    """Return the values before the window: after rescale or modality LUT.

    MONOCHROME1 is inverted, with its windows, and padding is black under all windows. Where grey
    is not a linear window of those values (VOI LUT, SIGMOID, a window too narrow for 16 bits over
    the film's range), the values are the grey of `displayed`, from 0 to 65535, without the header's
    windows.

    Args:
        stored: As for `displayed`.
        dataset: The film's header.

    Raises:
        UnreadableFilmError: As `displayed` does.
    """
    values = None
    if _is_linear(dataset):
        values = sixteen_bits(_modality_numbers(stored, dataset), _linear_windows(dataset))
    return values or shown_values(displayed(stored, dataset))


def _is_linear(dataset: Dataset) -> bool:
    """Return whether grey is a linear function of the values between black and white."""
    if dataset.get("VOILUTSequence"):
        return False
    window = _first_window(dataset)
    is_sigmoid = dataset.get("VOILUTFunction") == "SIGMOID"
    return window is None or (not is_sigmoid and bool(np.isfinite(window).all()))


def _modality_numbers(stored: NDArray[np.number], dataset: Dataset) -> Stored:
    """Return stored numbers with the slope and intercept that turn them into modality units."""
    numbers, (slope, intercept) = stored, _rescale(dataset) or (1.0, 0.0)
    if dataset.get("ModalityLUTSequence"):
        numbers = _looked_up(stored, dataset.ModalityLUTSequence[0])[0]
        slope, intercept = 1.0, 0.0
    padding = _padding(stored, dataset)
    return Stored(
        numbers,
        slope,
        intercept,
        is_negative=dataset.PhotometricInterpretation == "MONOCHROME1",
        padding=padding if padding.any() else None,
    )


def _linear_windows(dataset: Dataset) -> list[Window | None]:
    """Return the header's windows as LINEAR ones; the first is the one that is used.

    Where the header's first window can't be used, the first is None: the film's own range.
    """
    shift = 0.5 if dataset.get("VOILUTFunction") == "LINEAR_EXACT" else 0.0
    windows: list[Window | None] = [
        Window(window.centre + shift, max(window.width + 2 * shift, 1.0), name)
        for window, name in zip_longest(_header_windows(dataset), _window_names(dataset))
        if window is not None and window.width > 0 and np.isfinite(window).all()
    ]
    return (windows if _first_window(dataset) else [None, *windows])[:MAX_WINDOWS]


def _window_names(dataset: Dataset) -> list[str | None]:
    """Return the names of the header's windows; None for those that are not standard words."""
    try:
        words = dataset.get("WindowCenterWidthExplanation") or []
    except (LookupError, TypeError, ValueError):
        return []
    words = [words] if isinstance(words, str) else words
    return [str(word).upper() if str(word).upper() in WINDOW_NAMES else None for word in words]


def film_spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return the millimetres between rows and between columns; None if unknown or implausible.

    PixelSpacing comes first. In a slice it is measured in the patient. In a projection it is either
    corrected for magnification or equal to ImagerPixelSpacing. ImagerPixelSpacing is measured at
    the detector, where the patient appears magnified, and is used only where there is no other.

    Source:
        DICOM PS3.3, 10.7.1.1 and 10.7.1.3 (order of the two numbers).
    """
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            spacing = _numbers(dataset.get(name))
        except (LookupError, TypeError, ValueError):
            continue
        if len(spacing) == 2 and all(SPACINGS[0] <= one <= SPACINGS[1] for one in spacing):
            return spacing[0], spacing[1]
    return None


def _padding(stored: NDArray[np.number], dataset: Dataset) -> NDArray[np.bool_]:
    """Return the padding: stored values between PixelPaddingValue and its range limit."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, np.bool_)
    last = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted(_as_signed(end, stored) for end in (first, first if last is None else last))
    return (stored >= low) & (stored <= high)


def _modality_values(stored: NDArray[np.number], dataset: Dataset) -> NDArray[np.float32]:
    """Return values in the modality's own units (PS3.3 C.11.1)."""
    if dataset.get("ModalityLUTSequence"):
        return _looked_up(stored, dataset.ModalityLUTSequence[0])[0]
    values = stored.astype(np.float32)
    if rescale := _rescale(dataset):
        values *= np.float32(rescale[0])
        values += np.float32(rescale[1])
    return values


def _rescale(dataset: Dataset) -> tuple[float, float] | None:
    """Return slope and intercept, or None unless the header has both."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return None if slope is None or intercept is None else (float(slope), float(intercept))


def _windowed(
    values: NDArray[np.float32], dataset: Dataset, padding: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return values in [0, 1] by the VOI LUT, else the first window, else from min to max."""
    if dataset.get("VOILUTSequence"):
        grey, full_scale = _looked_up(values, dataset.VOILUTSequence[0])
        return (grey / full_scale).clip(0, 1)
    if window := _first_window(dataset):
        centre, width = np.asarray(window, np.float32)
        return _window(values, centre, width, function=dataset.get("VOILUTFunction", "LINEAR"))
    film = values[~padding]
    low, high = (film.min(), film.max()) if film.size else (np.float32(0), np.float32(0))
    return ((values - low) / max(high - low, np.finfo(np.float32).tiny)).clip(0, 1)


def _first_window(dataset: Dataset) -> HeaderWindow | None:
    """Return the first window, or None where it can't be used."""
    window = next(_header_windows(dataset), None)
    return window if window and np.float32(window.width) > 0 else None


def _header_windows(dataset: Dataset) -> Iterator[HeaderWindow]:
    centres, widths = (_numbers(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    return map(HeaderWindow, centres, widths)


def _numbers(value: object) -> list[float]:
    """Return a header's numbers; none where there is no value."""
    numbers: list[float] = np.ravel(
        np.asarray([] if value in (None, "") else value, np.float64)
    ).tolist()
    return numbers


def _window(
    values: NDArray[np.float32], centre: np.float32, width: np.float32, *, function: str
) -> NDArray[np.float32]:
    """Return values in [0, 1] by a window (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function != "LINEAR_EXACT":
        # LINEAR counts whole grey levels: a width of 1 is a step.
        centre, width = centre - np.float32(0.5), max(width - 1, np.float32(1e-6))
    return ((values - centre) / width + np.float32(0.5)).clip(0, 1)


def _looked_up(values: NDArray[np.number], lut: Dataset) -> tuple[NDArray[np.float32], int]:
    """Return values through a lookup table, and the largest value its depth allows.

    Values before the table's first or after its last take those (PS3.3 C.11.1.1).
    """
    _, first, bits = lut.LUTDescriptor
    if bits not in LUT_BITS:
        raise UnreadableFilmError("A lookup table of the DICOM file must have 8 to 16 bits.")
    table = _lut_values(lut)
    index = np.rint(values.astype(np.float32) - _as_signed(first, values))
    return table[index.clip(0, len(table) - 1).astype(np.uint16)], 2**bits - 1


def _as_signed(number: int, values: NDArray[np.number]) -> int:
    """Return a header's 16-bit number as signed, if the values are signed and it is not."""
    return number - 2**16 if number >= 2**15 and values.min() < 0 else number


def _lut_values(lut: Dataset) -> NDArray[np.float32]:
    """Return the table's entries, as many as its descriptor says (0 means 65536)."""
    entries, data = lut.LUTDescriptor[0] or 2**16, lut.LUTData
    if isinstance(data, bytes):
        order = "<" if lut.original_encoding[1] else ">"
        data = np.frombuffer(data, np.uint8 if len(data) < 2 * entries else f"{order}u2")
    table = np.asarray(data, np.float32).ravel()
    if len(table) < entries:
        raise UnreadableFilmError("A lookup table of the DICOM file is shorter than it says.")
    return table[:entries]
