"""DICOM's stored values to the grey that is meant to be seen.

The order is the standard's: modality LUT or rescale, VOI LUT or window, and MONOCHROME1 last
(PS3.4 N.2). The lookups and windows are written out here rather than taken from pydicom 3, which
wraps indices in the table's own type (4096 entries of 8 bits) and refuses real films with a window
width of 0; on sound films a test holds both equal.
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.film_errors import UnreadableFilmError

LUT_BITS = range(8, 17)


def displayed(stored: NDArray[np.number], dataset: Dataset) -> NDArray[np.float32]:
    """Return stored values as the grey that the film means, in [0, 1].

    Pixels equal to PixelPaddingValue are no part of the film: they don't widen the grey scale of a
    film without a window, and come out 0.

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


def _padding(stored: NDArray[np.number], dataset: Dataset) -> NDArray[np.bool_]:
    """Return where stored values lie between PixelPaddingValue and its range limit."""
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
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    values = stored.astype(np.float32)
    if slope is not None and intercept is not None:
        values *= np.float32(slope)
        values += np.float32(intercept)
    return values


def _windowed(
    values: NDArray[np.float32], dataset: Dataset, padding: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return values in [0, 1] by the VOI LUT, else the first window, else from min to max."""
    if dataset.get("VOILUTSequence"):
        grey, full_scale = _looked_up(values, dataset.VOILUTSequence[0])
        return (grey / full_scale).clip(0, 1)
    centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None and width > 0:
        return _window(values, centre, width, function=dataset.get("VOILUTFunction", "LINEAR"))
    film = values[~padding]
    low, high = (film.min(), film.max()) if film.size else (np.float32(0), np.float32(0))
    return ((values - low) / max(high - low, np.finfo(np.float32).tiny)).clip(0, 1)


def _first(value: object) -> np.float32 | None:
    """Return the first of a header's numbers, or None where there is none."""
    numbers = np.ravel(np.asarray([] if value in (None, "") else value, np.float32))
    return numbers[0] if numbers.size else None


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
    """Return a header's 16-bit number, which may be written as unsigned among signed values."""
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
