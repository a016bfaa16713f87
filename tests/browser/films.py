"""Films whose answers by `tests.tiny_model` are known: it finds what is bright."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
)

from tests.support.tiny_model import picture

NORMAL, PNEUMONIA, EFFUSION = "Normal", "Pneumonia", "Effusion"

THREE_MODELS: list[dict[str, Any]] = [
    {"name": "alpha", "version": "1.0.0"},
    {
        "name": "beta",
        "version": "2.0.0",
        "class_names": ("normal", "pneumonia", "mass"),
        "crop_pct": 0.5,
    },
    {"name": "gamma", "version": "3.0.0", "distance_threshold": 1.0},
]
"""What is changed in the tiny model's card: `beta` sees the film's middle and has another third
class, `gamma` holds every film that is not black unlike its training films."""


def dark_noise(rows: int, columns: int) -> NDArray[np.uint8]:
    """Return a dark film whose borders are no uniform lines, which would be trimmed."""
    return np.random.default_rng(0).integers(40, 90, (rows, columns), dtype=np.uint8)


def bright_square(rows: int = 320, columns: int = 480) -> bytes:
    """Return a dark film whose lower right quarter is bright.

    The tiny model says that normal is most likely; with findings that do not exclude each other it
    calls pneumonia and effusion.
    """
    film = dark_noise(rows, columns)
    film[rows // 2 :, columns // 2 :] += 165
    return picture(film)


def all_bright() -> bytes:
    """Return a film that the tiny model refuses."""
    return picture(255 - dark_noise(320, 480) // 8)


def dicom(
    pixels: NDArray[np.unsignedinteger], *, bits: int = 8, negative: bool = True, **header: Any
) -> bytes:
    """Return a film as a DICOM file.

    Args:
        pixels: [rows, columns], of `bits` bits.
        bits: Stored, of 8 or 16 allocated.
        negative: MONOCHROME1: the bright is stored dark.
        header: More elements by their keywords.
    """
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = ComputedRadiographyImageStorage
    film.SOPInstanceUID = "1.2.3"
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel = 1
    film.PhotometricInterpretation = "MONOCHROME1" if negative else "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit = 8 * pixels.itemsize, bits, bits - 1
    film.PixelRepresentation = 0
    film.PixelData = (2**bits - 1 - pixels if negative else pixels).tobytes()
    for keyword, value in header.items():
        setattr(film, keyword, value)
    file = io.BytesIO()
    film.save_as(file, enforce_file_format=True)
    return file.getvalue()
