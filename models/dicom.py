"""DICOM bytes to grey pixels; imported only when a DICOM comes, since pydicom loads slowly."""

import io
import struct
import zlib

import numpy as np
from libjpeg.utils import get_parameters as jpeg_parameters
from numpy.typing import NDArray
from openjpeg.utils import get_parameters as jpeg2000_parameters
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, JPEG2000TransferSyntaxes, RLELossless

from models.dicom_grey_scale import displayed
from models.discretion import ignore_warnings, silence_logs
from models.film_errors import (
    FilmTooLargeError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
)

RLE_PADDING = 1024
HEADER_START = 128 + len(b"DICM")
PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
ELEMENTS: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in (
        *PIXEL_ELEMENTS,
        "BitsAllocated",
        "BitsStored",
        "Columns",
        "HighBit",
        "ModalityLUTSequence",
        "NumberOfFrames",
        "PhotometricInterpretation",
        "PixelPaddingRangeLimit",
        "PixelPaddingValue",
        "PixelRepresentation",
        "PlanarConfiguration",
        "RescaleIntercept",
        "RescaleSlope",
        "Rows",
        "SamplesPerPixel",
        "VOILUTFunction",
        "VOILUTSequence",
        "WindowCenter",
        "WindowWidth",
    )
]
"""All that is read of a header: a crafted one can hold millions, and the patient is no concern."""
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
"""What pydicom and the pylibjpeg plug-ins raise on malformed files, seen by mutating good ones."""

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
    ignore_warnings("pydicom")
    try:
        dataset = _dataset(film, max_bytes)
        _check_size(dataset, max_pixels)
        _check_kind(dataset)
        with np.errstate(all="ignore"):
            return displayed(_stored_values(dataset), dataset)
    except RadiographError:
        raise
    except MALFORMED as error:
        raise UnreadableFilmError("The DICOM file is truncated or malformed.") from error


def _dataset(film: bytes, max_bytes: int) -> Dataset:
    """Return the data set; unlike `dcmread`, inflates a deflated one no further than allowed."""
    file = io.BytesIO(film)
    file.seek(HEADER_START)
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    syntax = UID(meta.get("TransferSyntaxUID", ""))
    if not syntax.is_transfer_syntax:
        raise UnreadableFilmError("The DICOM file must name a standard transfer syntax.")
    if syntax.is_deflated:
        file = io.BytesIO(_inflated(file.read(), max_bytes))
    encoding = (syntax.is_implicit_VR, syntax.is_little_endian)
    dataset = read_dataset(file, *encoding, specific_tags=ELEMENTS)
    dataset.file_meta = FileMetaDataset(meta)
    dataset.set_original_encoding(*encoding)
    return dataset


def _inflated(deflated: bytes, max_bytes: int) -> bytes:
    """Return the inflated bytes, unless there are more than `max_bytes` of them."""
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
    """Return the number of frames, which a film needn't state."""
    return int(dataset.get("NumberOfFrames") or 1)


def _check_kind(dataset: Dataset) -> None:
    """Refuse what is not one grey picture, by its header."""
    if _frames(dataset) != 1:
        raise UnsupportedFilmError("The DICOM file has several frames; one is allowed.")
    if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedFilmError("The DICOM file is a colour picture; grey ones are allowed.")


def _stored_values(dataset: Dataset) -> NDArray[np.number]:
    """Return the decoded [rows, columns] values, before any lookup."""
    syntax = dataset.file_meta.TransferSyntaxUID
    _check_decodable(syntax)
    if syntax.is_encapsulated:
        _check_encoded_size(dataset, syntax)
    # The plug-in is named, so that a film never depends on what else is installed. pylibjpeg-rle
    # is not it: on malformed films it panics in Rust, which `except Exception` doesn't catch.
    plugin = "pydicom" if syntax == RLELossless else "pylibjpeg"
    # Index 0, because the stream may hold more frames than the header says, unchecked ones.
    values = np.asarray(pixel_array(dataset, index=0, decoding_plugin=plugin))
    if values.ndim != 2 or not values.size:
        raise UnreadableFilmError("The DICOM file's pixels must be rows x columns.")
    return values


def _check_decodable(syntax: UID) -> None:
    """Refuse an encoding that pydicom knows no decoder of, such as retired ones and video."""
    try:
        get_decoder(syntax)
    except NotImplementedError as error:
        message = "The DICOM file's transfer syntax can't be decoded: send it uncompressed."
        raise UnreadableFilmError(message) from error


def _check_encoded_size(dataset: Dataset, syntax: UID) -> None:
    """Refuse encoded pixels that would decode to more than DICOM's header says.

    The decoders allocate by the encoded stream, where the limits have looked at the header.
    """
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        fits = _rle_fits(frame, pixels=dataset.Rows * dataset.Columns)
    elif syntax in JPEG2000TransferSyntaxes:
        jpeg2000 = jpeg2000_parameters(frame)
        size = tuple(jpeg2000[name] for name in ("rows", "columns", "samples_per_pixel"))
        fits = size == (dataset.Rows, dataset.Columns, 1)
    else:
        jpeg = jpeg_parameters(frame)
        size = tuple(jpeg[name] for name in ("rows", "columns", "nr_components"))
        fits = size == (dataset.Rows, dataset.Columns, 1)
    if not fits:
        raise UnreadableFilmError("The DICOM header and its encoded pixels must agree on the size.")


def _rle_fits(frame: bytes, *, pixels: int) -> bool:
    """Return whether no segment unpacks to much more than one byte per pixel (PS3.5 G.5)."""
    count, *starts = struct.unpack("<16L", frame[:64])
    ends = (*starts[1:count], len(frame))
    segments = [frame[start:end] for start, end in zip(starts, ends, strict=False)]
    most = pixels + pixels // 8 + RLE_PADDING
    return all(len(segment) <= most and _unpacked_size(segment) <= most for segment in segments)


def _unpacked_size(segment: bytes) -> int:
    """Return the number of bytes that a run-length encoded segment unpacks to (PS3.5 G.3.2)."""
    size = place = 0
    while place < len(segment):
        control = segment[place]
        if control < 128:
            size += control + 1
            place += control + 2
        elif control > 128:
            size += 257 - control
            place += 2
        else:
            place += 1
    return size
