"""Films crafted to exhaust a reader: small ones that ask for much, large ones of many parts."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

MEBIBYTE = 2**20
ROWS, COLUMNS = 5000, 8000
"""Forty million pixels, the most that are allowed."""
GREY = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, tag) for tag in (0xE000, 0xE00D, 0xE0DD))


def encoded(image: NDArray[np.generic] | Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(file, kind, **options)
    return file.getvalue()


def deflated(size: int) -> bytes:
    """Return so many zeros, deflated."""
    deflating = zlib.compressobj(9)
    parts = [deflating.compress(bytes(MEBIBYTE)) for _ in range(size // MEBIBYTE)]
    return b"".join((*parts, deflating.compress(bytes(size % MEBIBYTE)), deflating.flush()))


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(
    rows: int, columns: int, depth: int, colour: int, *, before: bytes = b"", after: bytes = b""
) -> bytes:
    """Return a black PNG with chunks before and after its pixels."""
    channels = {0: 1, 3: 1, 4: 2, 6: 4}[colour]
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", columns, rows, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", deflated(rows * (columns * channels * depth // 8 + 1)))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + after + chunk(b"IEND")


def jpeg(before: bytes = b"", *, size: tuple[int, int] | None = None) -> bytes:
    """Return a small JPEG with segments before its own, and another size in its header."""
    film = encoded(GREY, "JPEG")
    if size:
        place = film.index(b"\xff\xc0") + 5
        film = film[:place] + struct.pack(">HH", *size) + film[place + 4 :]
    return film[:2] + before + film[2:]


def progressive(rows: int, columns: int, *, scans: int) -> bytes:
    """Return a progressive JPEG whose last scan comes again and again."""
    film = encoded(np.zeros((rows, columns), np.uint8), "JPEG", progressive=True)
    return film[:-2] + film[film.rindex(b"\xff\xda") : -2] * scans + film[-2:]


def exif(tags: Iterable[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """Return a TIFF of one directory: tag, type, count and value or offset of each entry."""
    entries = [struct.pack("<HHLL", *tag) for tag in tags]
    start = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    return start + b"".join(entries) + bytes(4) + data


def tiff(changes: dict[int, tuple[int, int, int]], data: bytes = b"") -> bytes:
    """Return a TIFF of 64 x 64 grey pixels; `changes` has the other tags: type, count, value."""
    long, short = 4, 3
    usual = {
        256: (long, 1, 64),
        257: (long, 1, 64),
        258: (short, 1, 8),
        259: (short, 1, 1),
        262: (short, 1, 1),
        273: (long, 1, 0),
        277: (short, 1, 1),
        278: (long, 1, 64),
        279: (long, 1, 4096),
    }
    tags = sorted((usual | changes).items())
    return exif([(tag, *value) for tag, value in tags], data + bytes(5000))


def progressive_tiff() -> bytes:
    film = progressive(64, 64, scans=1)
    return tiff({259: (3, 1, 7), 273: (4, 1, 122), 279: (4, 1, len(film))}, film)


def element(group: int, number: int, vr: bytes, value: bytes = b"", length: int = -1) -> bytes:
    """Return an element in explicit VR, little endian."""
    length = len(value) if length < 0 else length
    size = struct.pack("<HL", 0, length) if vr in (b"SQ", b"UN") else struct.pack("<H", length)
    return struct.pack("<HH", group, number) + vr + size + value


def implicit(group: int, number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", group, number, len(value)) + value


def dicom(before: bytes = b"", *, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return a small film with raw elements before its own."""
    film = _dicom(GREY.astype(np.uint16), syntax, None)
    place = film.index(struct.pack("<HH", 0x0028, 0x0002))
    return film[:place] + before + film[place:]


def encapsulated(
    frame: bytes, syntax: str, *, size: tuple[int, int] = (ROWS, COLUMNS), bits: int = 16
) -> bytes:
    """Return a film of so many rows and columns, whatever its frame holds."""
    blank = np.zeros((2, 2), f"u{bits // 8}")
    return _dicom(blank, syntax, encapsulate([frame]), size=size)


def _dicom(
    stored: NDArray[np.generic],
    syntax: str,
    frames: bytes | None,
    *,
    size: tuple[int, int] | None = None,
) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = size or stored.shape
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OB" if frames else "OW", frames or stored.tobytes())
    dataset["PixelData"].is_undefined_length = frames is not None
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def nested(depth: int, vr: bytes = b"SQ") -> bytes:
    """Return sequences of undefined length in each other, none of which ends."""
    sequence = element(0x0008, 0x1032, vr, length=UNDEFINED)
    return (sequence + ITEM + struct.pack("<L", UNDEFINED)) * depth


def jpeg2000(
    *,
    tile: tuple[int, int] = (ROWS, COLUMNS),
    block: int = 4,
    precincts: bytes = b"",
    layers: int = 1,
    in_tile: bytes = b"",
) -> bytes:
    """Return a stream of forty million black pixels: a header, and a tile without data."""
    size = struct.pack(">HH8LHBBB", 41, 0, COLUMNS, ROWS, 0, 0, *tile[::-1], 0, 0, 1, 15, 1, 1)
    style = struct.pack(">BBHB5B", bool(precincts), 0, layers, 0, 5, block, block, 0, 1) + precincts
    style = b"\xff\x52" + struct.pack(">H", len(style) + 2) + style
    steps = b"\xff\x5c" + struct.pack(">HB", 19, 0x40) + b"\x80" * 16
    part = b"\xff\x90" + struct.pack(">HHLBB", 10, 0, 0, 0, 1) + in_tile + b"\xff\x93" + bytes(100)
    return b"\xff\x4f\xff\x51" + size + style + steps + part + b"\xff\xd9"


def runs(*starts: int, data: bytes) -> bytes:
    """Return a frame in run-length encoding, whose segments start where one says."""
    return struct.pack("<16L", len(starts), *starts, *[0] * (15 - len(starts))) + data


FINE_STYLE = b"\xff\x52" + struct.pack(">HBBHB5B", 18, 1, 0, 1, 0, 5, 0, 0, 0, 1) + b"\x00" * 6

READ: dict[str, Callable[[], bytes]] = {
    "png, as many pixels as allowed, colours and transparency": lambda: png(ROWS, COLUMNS, 8, 6),
    "png of one pixel in 500 MiB of data": lambda: (
        png(1, 1, 8, 0)[:33] + chunk(b"IDAT", deflated(500 * MEBIBYTE)) + chunk(b"IEND")
    ),
    "png, texts that inflate": lambda: png(
        64, 64, 8, 0, before=chunk(b"zTXt", b"k\0\0" + deflated(MEBIBYTE - 1)) * 500
    ),
    "png, profiles that inflate, behind the pixels": lambda: png(
        64, 64, 8, 0, after=chunk(b"iCCP", b"k\0\0" + deflated(MEBIBYTE - 1)) * 20_000
    ),
    "png, EXIF of 7 million numbers": lambda: png(
        64, 64, 8, 0, before=chunk(b"eXIf", exif([(282, 5, 5_000_000, 0)], bytes(40 * MEBIBYTE)))
    ),
    "jpeg, as many pixels as allowed, and no data": lambda: jpeg(size=(ROWS, COLUMNS)),
    "jpeg, 900 pieces of EXIF": lambda: jpeg(
        (b"\xff\xe1\xff\xf0Exif\0\0" + bytes(0xFFF0 - 8)) * 900
    ),
    "tiff, as many float pixels as allowed": lambda: encoded(
        np.zeros((ROWS, COLUMNS), np.float32), "TIFF", compression="tiff_deflate"
    ),
    "tiff, a directory of millions of numbers beside": lambda: tiff(
        {34665: (4, 1, 200)},
        bytes(70) + struct.pack("<HHHLLL", 1, 282, 5, 5_000_000, 300, 0) + bytes(41 * MEBIBYTE),
    ),
    "tiff whose directory comes again": lambda: tiff({34665: (4, 1, 8), 274: (3, 1, 6)}),
    "dicom, character sets by the million": lambda: dicom(
        element(0x0008, 0x0005, b"UN", b"\\" * 20_000_000)
    ),
    "dicom, as many JPEG 2000 pixels as allowed": lambda: encapsulated(
        jpeg2000(), JPEG2000Lossless
    ),
    "dicom, jpeg with as many pixels as allowed, and no data": lambda: encapsulated(
        jpeg(size=(ROWS, COLUMNS)), JPEGBaseline8Bit, bits=8
    ),
    "dicom, run-length encoding one byte at a time": lambda: encapsulated(
        runs(64, 64 + 30_000_000, data=bytes(60_000_000)), RLELossless, size=(3750, 4000)
    ),
}
"""Crafted, and yet films."""
REFUSED: dict[str, Callable[[], bytes]] = {
    "png, one pixel high and 40 million wide": lambda: png(40_000_000, 1, 8, 0),
    "png, millions of empty chunks": lambda: png(64, 64, 8, 0, before=chunk(b"teSt") * 4_000_000),
    "png, pixels in millions of chunks": lambda: (
        png(64, 64, 8, 0)[:33] + chunk(b"IDAT") * 4_000_000
    ),
    "jpeg, millions of segments": lambda: jpeg(b"\xff\xe1\0\2" * 10_000_000),
    "jpeg, millions of tables": lambda: jpeg(b"\xff\xc4\0\2" * 10_000_000),
    "jpeg, 50 million bytes before a marker": lambda: jpeg(b"\xff" * 50_000_000),
    "jpeg of 65500 x 65500": lambda: jpeg(size=(65500, 65500)),
    "jpeg of hundreds of scans": lambda: progressive(ROWS, COLUMNS, scans=200),
    "tiff, millions of strips": lambda: tiff(
        {257: (4, 1, 15_000_000), 273: (4, 15_000_000, 200), 278: (4, 1, 1)}, bytes(60_000_000)
    ),
    "tiff, millions of numbers": lambda: tiff({282: (5, 7_000_000, 200)}, bytes(57_000_000)),
    "tiff, thousands of tags": lambda: exif(
        [(tag, 7, 50 * MEBIBYTE, 0) for tag in range(50_000)], bytes(50 * MEBIBYTE)
    ),
    "tiff, tiles of 65520 x 65520": lambda: tiff(
        {259: (3, 1, 8), 322: (4, 1, 65520), 323: (4, 1, 65520), 324: (4, 1, 300), 325: (4, 1, 99)}
    ),
    "tiff in an encoding of no films": lambda: tiff({259: (3, 1, 34925)}),
    "tiff with a progressive jpeg": progressive_tiff,
    "bigtiff of 2 ** 60 tags": lambda: b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60),
    "dicom, private elements by the million": lambda: dicom(
        element(0x0009, 0x1001, b"LO") * 7_000_000
    ),
    "dicom, empty items by the million": lambda: dicom(
        element(0x0008, 0x1032, b"SQ", length=UNDEFINED) + (ITEM + bytes(4)) * 7_000_000
    ),
    "dicom, tables of millions of empty items": lambda: dicom(
        element(0x0028, 0x3010, b"SQ", (ITEM + bytes(4)) * 100_000)
    ),
    "dicom, sequences nested a million deep": lambda: dicom(nested(2_000_000)),
    "dicom, unknown sequences nested a million deep": lambda: dicom(nested(2_000_000, b"UN")),
    "dicom, tables nested 1000 deep": lambda: dicom(
        element(0x0028, 0x3010, b"SQ", nested(1000) + (ITEM_END + bytes(4)) * 2000)
    ),
    "dicom, a window of millions of numbers": lambda: dicom(
        implicit(0x0028, 0x1050, b"1\\" * 20_000_000), syntax=ImplicitVRLittleEndian
    ),
    "dicom, a number of millions of digits": lambda: dicom(
        implicit(0x0028, 0x0008, b"1" * 20_000_000), syntax=ImplicitVRLittleEndian
    ),
    "dicom, an element longer than the file": lambda: dicom(
        struct.pack("<HHL", 9, 0x1001, UNDEFINED - 1), syntax=ImplicitVRLittleEndian
    ),
    "dicom, fragments by the million": lambda: (
        encapsulated(bytes(2), JPEG2000Lossless)[:-8] + (ITEM + bytes(4)) * 7_000_000
    ),
    "dicom, runs that overlap": lambda: encapsulated(
        runs(*[64] * 15, data=bytes(50_000_000)), RLELossless
    ),
    "dicom, runs that say nothing": lambda: encapsulated(
        runs(64, 64 + 25_000_000, data=b"\x80" * 50_000_000), RLELossless
    ),
    "dicom, a progressive jpeg": lambda: encapsulated(
        progressive(64, 64, scans=1), JPEGBaseline8Bit, size=(64, 64), bits=8
    ),
    "dicom, a jpeg of no rows": lambda: encapsulated(
        jpeg(size=(0, 64)), JPEGBaseline8Bit, size=(64, 64), bits=8
    ),
    "dicom, of no rows, and its jpeg": lambda: encapsulated(
        jpeg(size=(0, 64)), JPEGBaseline8Bit, size=(0, 64), bits=8
    ),
    "dicom, a jpeg of millions of segments": lambda: encapsulated(
        jpeg(b"\xff\xe1\0\2" * 10_000_000), JPEGBaseline8Bit, size=(64, 64), bits=8
    ),
    "dicom, JPEG 2000 in precincts of a pixel": lambda: encapsulated(
        jpeg2000(precincts=b"\x00" + b"\x11" * 5), JPEG2000Lossless
    ),
    "dicom, JPEG 2000 in precincts of a pixel for one tile": lambda: encapsulated(
        jpeg2000(in_tile=FINE_STYLE), JPEG2000Lossless
    ),
    "dicom, JPEG 2000 in blocks of 4 x 4": lambda: encapsulated(
        jpeg2000(block=0), JPEG2000Lossless
    ),
    "dicom, JPEG 2000 in 62500 tiles": lambda: encapsulated(
        jpeg2000(tile=(20, 32)), JPEG2000Lossless
    ),
    "dicom, JPEG 2000 in 65535 layers": lambda: encapsulated(
        jpeg2000(layers=65535), JPEG2000Lossless
    ),
}
"""Crafted, and refused."""
