"""Read DICOM files into grey pixels or values.

Imported only when the first DICOM file is read, because pydicom loads slowly.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000TransferSyntaxes, RLELossless

from models.film_files.dicom_elements import Encoding, copied, elements
from models.film_files.dicom_grey_scale import displayed, film_spacing, film_values
from models.film_files.errors import (
    FilmTooLargeError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
)
from models.film_files.jpeg_segments import jpeg2000_size, single_scan_size
from models.film_files.quiet_libraries import ignore_warnings, silence_logs
from models.film_files.values import FilmValues

HEADER_START = 128 + len(b"DICM")
META_GROUP = 2
META_ENCODING = Encoding(implicit=False, little=True)
PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
LOOKUP_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
VALUES = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "HighBit",
    "ImagerPixelSpacing",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PixelSpacing",
    "PlanarConfiguration",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SamplesPerPixel",
    "TransferSyntaxUID",
    "VOILUTFunction",
    "WindowCenter",
    "WindowCenterWidthExplanation",
    "WindowWidth",
)
MAX_VALUE_BYTES = 4096
MAX_TABLES_BYTES = 2**20
ELEMENTS: dict[int, int] = {
    **{Tag(keyword): MAX_VALUE_BYTES for keyword in VALUES},
    **{Tag(keyword): MAX_TABLES_BYTES for keyword in LOOKUP_TABLES},
    **{Tag(keyword): 2**33 for keyword in PIXEL_ELEMENTS},  # as long as the file, or as it says
}
"""Elements that are read of a header, and their longest lengths; none identifies the patient."""
MALFORMED = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Exceptions that pydicom and the pylibjpeg plug-ins raise on malformed files, found by fuzzing."""

T = TypeVar("T")

silence_logs("pydicom", "pylibjpeg", "openjpeg")
config.settings.reading_validation_mode = config.IGNORE


def read_dicom(film: bytes, *, max_bytes: int, max_pixels: int) -> NDArray[np.float32]:
    """Return the [rows, columns] pixels of a DICOM film in [0, 1], air dark.

    Args:
        film: The whole file.
        max_bytes: Limit on the data set, which may be deflated.
        max_pixels: Limit on rows x columns x frames.

    Raises:
        FilmTooLargeError: Either limit is exceeded; no pixel has been decoded then.
        UnsupportedFilmError: Several frames, or colour.
        UnreadableFilmError: Anything else that keeps the pixels from being decoded.
    """
    return _read(film, displayed, max_bytes=max_bytes, max_pixels=max_pixels)


def read_dicom_values(film: bytes, *, max_bytes: int, max_pixels: int) -> FilmValues:
    """Return the values of a DICOM film before its window (see `film_values`).

    Arguments and errors are those of `read_dicom`.
    """
    return _read(film, _values, max_bytes=max_bytes, max_pixels=max_pixels)


def read_dicom_header(film: bytes, most: Mapping[int, int], *, max_bytes: int) -> Dataset:
    """Return some elements of a DICOM film's header; their values are not checked.

    Args:
        film: The whole file.
        most: Tags of the elements, and the most bytes that each may take, its header included.
        max_bytes: Limit on the data set, which may be deflated.

    Raises:
        FilmTooLargeError: The limit is exceeded.
        UnreadableFilmError: An element is longer than allowed, or the file is malformed.
    """
    ignore_warnings("pydicom")
    try:
        return _dataset(film, max_bytes, most)
    except RadiographError:
        raise
    except MALFORMED as error:
        raise UnreadableFilmError("The DICOM file is truncated or malformed.") from error


def _values(stored: NDArray[np.number], dataset: Dataset) -> FilmValues:
    values = film_values(stored, dataset)
    return replace(values, scale=replace(values.scale, spacing=film_spacing(dataset)))


def _read(
    film: bytes,
    made: Callable[[NDArray[np.number], Dataset], T],
    *,
    max_bytes: int,
    max_pixels: int,
) -> T:
    """Check a film's header, decode its stored values, and return `made` of both."""
    ignore_warnings("pydicom")
    try:
        dataset = _dataset(film, max_bytes)
        _check_size(dataset, max_pixels)
        _check_kind(dataset)
        with np.errstate(all="ignore"):
            return made(_stored_values(dataset), dataset)
    except RadiographError:
        raise
    except MALFORMED as error:
        raise UnreadableFilmError("The DICOM file is truncated or malformed.") from error


def _dataset(film: bytes, max_bytes: int, most: Mapping[int, int] = ELEMENTS) -> Dataset:
    """Return the data set; unlike `dcmread`, limit the size of an inflated one."""
    meta, start = _meta(film)
    syntax = UID(meta.get("TransferSyntaxUID", ""))
    if not syntax.is_transfer_syntax:
        raise UnreadableFilmError("The DICOM file must name a standard transfer syntax.")
    if syntax.is_deflated:
        film, start = _inflated(film[start:], max_bytes), 0
    encoding = Encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    dataset = read_dataset(io.BytesIO(copied(film, start, encoding, most)), *encoding)
    dataset.file_meta = FileMetaDataset(meta)
    dataset.set_original_encoding(*encoding)
    return dataset


def _meta(film: bytes) -> tuple[Dataset, int]:
    """Return the file's meta information, and the offset of its data set."""
    start = HEADER_START
    for tag, start, end in elements(film, HEADER_START, META_ENCODING):
        if tag >> 16 != META_GROUP:
            break
        start = end
    meta = copied(film[:start], HEADER_START, META_ENCODING, ELEMENTS)
    return read_dataset(io.BytesIO(meta), *META_ENCODING), start


def _inflated(deflated: bytes, max_bytes: int) -> bytes:
    """Inflate bytes, and refuse more than `max_bytes` of them."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflating.decompress(deflated, max_bytes)
    if len(inflated) >= max_bytes and not inflating.eof:
        raise FilmTooLargeError(f"The inflated DICOM file exceeds {max_bytes} bytes.")
    return inflated


def _check_size(dataset: Dataset, max_pixels: int) -> None:
    """Refuse a film without pixels or with too many, by its header."""
    if not any(name in dataset for name in PIXEL_ELEMENTS):
        raise UnreadableFilmError("The DICOM file holds no pixels.")
    # A malformed header may hold a string, which would be repeated rather than multiplied.
    pixels = int(dataset.Rows) * int(dataset.Columns) * _frames(dataset)
    if pixels > max_pixels:
        raise FilmTooLargeError(f"The film has more than the {max_pixels} pixels allowed.")


def _frames(dataset: Dataset) -> int:
    """Return the number of frames; a film that states none has one."""
    return int(dataset.get("NumberOfFrames") or 1)


def _check_kind(dataset: Dataset) -> None:
    """Refuse several frames and colour pictures, by the header."""
    if _frames(dataset) != 1:
        raise UnsupportedFilmError("The DICOM file has several frames; one is allowed.")
    if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedFilmError("The DICOM file is a colour picture; grey ones are allowed.")


def _stored_values(dataset: Dataset) -> NDArray[np.number]:
    """Return the decoded [rows, columns] values, before any lookup."""
    syntax = dataset.file_meta.TransferSyntaxUID
    _check_decodable(syntax)
    if syntax == RLELossless:
        _unpack_runs(dataset)
    elif syntax.is_encapsulated:
        _check_encoded_size(dataset, syntax)
    # The plug-in is named, so that the result does not depend on what else is installed.
    # Index 0, because the stream may hold more frames than the header says, and unchecked ones.
    values = np.asarray(pixel_array(dataset, index=0, decoding_plugin="pylibjpeg"))
    if values.ndim != 2 or not values.size:
        raise UnreadableFilmError("The DICOM file's pixels must be rows x columns.")
    return values


def _check_decodable(syntax: UID) -> None:
    """Refuse an encoding for which pydicom has no decoder, such as retired ones and video."""
    try:
        get_decoder(syntax)
    except NotImplementedError as error:
        message = "The DICOM file's transfer syntax can't be decoded: send it uncompressed."
        raise UnreadableFilmError(message) from error


def _check_encoded_size(dataset: Dataset, syntax: UID) -> None:
    """Refuse encoded pixels whose size is not the one in the DICOM header.

    The limits were checked by the header, but the decoders allocate by the encoded stream.
    """
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    encoded = (jpeg2000_size if syntax in JPEG2000TransferSyntaxes else single_scan_size)(frame)
    if encoded != (dataset.Rows, dataset.Columns, 1) or not all(encoded):
        raise UnreadableFilmError("The DICOM header and its encoded pixels must agree on the size.")


def _unpack_runs(dataset: Dataset) -> None:
    """Replace run-length encoded pixels by uncompressed ones (PS3.5, annex G).

    The encoding is PackBits, which Pillow unpacks fast and only to the film's size. pydicom does
    it byte by byte in Python. pylibjpeg-rle panics in Rust on malformed films, which `except
    Exception` does not catch.
    """
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    count, *starts = struct.unpack("<16L", frame[:64])
    if count != dataset.BitsAllocated // 8 or not 1 <= count <= 8:
        raise UnreadableFilmError("The DICOM header and its encoded pixels must agree on the size.")
    line = (dataset.Rows * dataset.Columns, 1)
    pixels = np.empty((line[0], count), np.uint8)
    for index, (start, end) in enumerate(
        zip(starts[:count], (*starts[1:count], None), strict=True)
    ):
        segment = Image.frombytes("L", line, frame[start:end], "packbits", "L")
        pixels[:, count - 1 - index] = np.asarray(segment)[0]
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.add_new("PixelData", "OB" if count == 1 else "OW", pixels.tobytes())
