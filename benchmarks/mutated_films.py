"""Make films and zips and damage them, in the same way for the same seed."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from random import Random

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

ROWS, COLUMNS = 48, 64
DEEP = (np.add.outer(np.arange(ROWS), np.arange(COLUMNS)) * 37 % 4096).astype(np.uint16)
GREY = (DEEP // 16).astype(np.uint8)
BIG_ENDIAN = uid.ExplicitVRBigEndian
EXTREMES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
BYTES_KEPT_OF_A_HEADER = 400
"""Most of a format's numbers are in these first bytes; half of the damage is done there."""


def picture(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def dicom(pixels: np.ndarray, syntax: uid.UID, frame: bytes | None = None) -> bytes:
    """Return a DICOM file with a window, a lookup table and nested sequences.

    Args:
        pixels: The film.
        syntax: Its transfer syntax.
        frame: The film as a stream in that syntax; None lets pydicom encode it, if needed.
    """
    dataset, inner = Dataset(), Dataset()
    inner.CodeMeaning, inner.is_undefined_length_sequence_item = "PA", True
    dataset.ViewCodeSequence = [inner, inner]
    dataset["ViewCodeSequence"].is_undefined_length = True
    dataset.PatientName = "Doe^Jane"
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.DigitalXRayImageStorageForPresentation, "1.2"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored, dataset.HighBit = dataset.BitsAllocated, dataset.BitsAllocated - 1
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 100, 200
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == BIG_ENDIAN else "<"))
    dataset.add_new("PixelData", "OW" if pixels.itemsize == 2 else "OB", stored.tobytes())
    if frame is not None:
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True
    elif syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def lossless_jpeg() -> bytes:
    """Return a constant film as lossless JPEG: every difference is 0, and that is one bit, 0."""
    frame = b"\xff\xc3" + struct.pack(">HBHHB3B", 11, 16, ROWS, COLUMNS, 1, 1, 0x11, 0)
    table = b"\xff\xc4" + struct.pack(">HB", 20, 0) + b"\1" + bytes(15) + b"\0"
    scan = b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8" + frame + table + scan + bytes(ROWS * COLUMNS // 8) + b"\xff\xd9"


def jpeg_ls() -> bytes:
    """Return a black film as JPEG-LS: runs to the end of each line, which are bits of 1."""
    frame = b"\xff\xf7" + struct.pack(">HBHHB3B", 11, 16, ROWS, COLUMNS, 1, 1, 0x11, 0)
    scan = b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 0, 0, 0)
    return b"\xff\xd8" + frame + scan + b"\xff\x7f" * (ROWS * COLUMNS // 64) + b"\xff\xd9"


def zipped(*films: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of films."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, film in enumerate(films):
            archive.writestr(zipfile.ZipInfo(f"{number}.film"), film, compress_type=method)
    return file.getvalue()


def sound_films() -> dict[str, bytes]:
    """Return undamaged films by name."""
    grey, deep = Image.fromarray(GREY), Image.fromarray(DEEP)
    exif = Image.Exif()
    exif[274] = 6
    films = {
        "png 8": picture(grey, "PNG", exif=exif),
        "png 16": picture(deep, "PNG"),
        "png alpha": picture(grey.convert("LA"), "PNG"),
        "png palette": picture(grey.convert("P"), "PNG", transparency=3),
        "jpeg": picture(grey, "JPEG", exif=exif),
        "jpeg progressive": picture(grey.convert("RGB"), "JPEG", progressive=True),
        "jpeg cmyk": picture(grey.convert("CMYK"), "JPEG"),
        "tiff 16": picture(deep, "TIFF", tiffinfo={274: 6}),
        "bigtiff": picture(grey, "TIFF", big_tiff=True),
        "tiff float": picture(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
        "dicom lossless jpeg": dicom(DEEP, uid.JPEGLosslessSV1, lossless_jpeg()),
        "dicom jpeg-ls": dicom(DEEP, uid.JPEGLSLossless, jpeg_ls()),
        "dicom jpeg": dicom(GREY, uid.JPEGBaseline8Bit, picture(grey, "JPEG")),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        films[f"tiff {compression}"] = picture(grey, "TIFF", compression=compression)
    for syntax in (
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        BIG_ENDIAN,
        uid.RLELossless,
        uid.JPEG2000Lossless,
    ):
        films[f"dicom {syntax.name}"] = dicom(DEEP, syntax)
    return films


def sound_zips() -> dict[str, bytes]:
    """Return undamaged zips by name."""
    films = list(sound_films().values())
    return {
        "zip": zipped(*films[:4]),
        "zip stored": zipped(*films[-4:], method=zipfile.ZIP_STORED),
        "zip in zip": zipped(zipped(films[0]), films[4]),
        "zip bzip2": zipped(films[0], method=zipfile.ZIP_BZIP2),
    }


def damaged_bodies(
    sound: dict[str, bytes], count: int, *, seed: int = 0
) -> Iterator[tuple[str, bytes]]:
    """Yield `count` damaged bodies with their names; number n is the same in every run."""
    names = list(sound)
    for number in range(count):
        chance = Random(f"{seed}:{number}")
        name = names[number % len(names)]
        body = sound[name]
        for _ in range(chance.choice((1, 1, 2, 4))):
            damage = chance.choice(DAMAGES)
            body = damage(body, chance) or body[:1]
        if chance.random() < 0.1:
            body = spliced(body, sound[chance.choice(names)], chance)
        yield f"{name} {number}", body


def place(body: bytes, chance: Random) -> int:
    """Return a place in a body, half of the time near its start."""
    end = min(len(body), BYTES_KEPT_OF_A_HEADER) if chance.random() < 0.5 else len(body)
    return chance.randrange(max(end, 1))


def bits_flipped(body: bytes, chance: Random) -> bytes:
    """Return a body with up to eight bits flipped."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 8)):
        changed[place(body, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def number_replaced(body: bytes, chance: Random) -> bytes:
    """Return a body with an extreme number somewhere: a length, a size, a count, an offset."""
    form = chance.choice((">H", "<H", ">L", "<L"))
    number = chance.choice(EXTREMES) % 2 ** (8 * struct.calcsize(form))
    return replaced(body, place(body, chance), struct.pack(form, number))


def replaced(body: bytes, start: int, new: bytes) -> bytes:
    """Return a body of the same length with other bytes from a place on."""
    return (body[:start] + new + body[start + len(new) :])[: max(len(body), 1)]


def truncated(body: bytes, chance: Random) -> bytes:
    """Return the start of a body."""
    return body[: place(body, chance)]


def bytes_repeated(body: bytes, chance: Random) -> bytes:
    """Return a body with some of its bytes twice, or many times."""
    start = place(body, chance)
    some = body[start : start + chance.choice((1, 8, 64, 512))]
    return body[:start] + some * chance.choice((2, 3, 200)) + body[start + len(some) :]


def bytes_removed(body: bytes, chance: Random) -> bytes:
    """Return a body without some of its bytes."""
    start = place(body, chance)
    return body[:start] + body[start + chance.choice((1, 2, 4, 16, 256)) :]


def noise_inserted(body: bytes, chance: Random) -> bytes:
    """Return a body with noise in it."""
    start = place(body, chance)
    return body[:start] + chance.randbytes(chance.choice((1, 4, 64, 1024))) + body[start:]


def spliced(body: bytes, other: bytes, chance: Random) -> bytes:
    """Return the start of one body and the end of another."""
    return body[: place(body, chance)] + other[place(other, chance) :]


def structure_changed(body: bytes, chance: Random) -> bytes:
    """Return a body whose pieces are whole, but not the right ones."""
    if body.startswith(b"\x89PNG"):
        return png_changed(body, chance)
    if body.startswith(b"PK"):
        return zip_changed(body, chance)
    if body[128:132] == b"DICM":
        return element_changed(body, chance)
    return number_replaced(body, chance)


def png_changed(body: bytes, chance: Random) -> bytes:
    """Return a PNG with a chunk changed, repeated, moved or removed, and correct checksums."""
    chunks, start = [], 8
    while start + 12 <= len(body):
        (length,) = struct.unpack_from(">L", body, start)
        chunks.append((body[start + 4 : start + 8], body[start + 8 : start + 8 + length]))
        start += 12 + length
    if not chunks:
        return body
    kind, data = chunks.pop(chance.randrange(len(chunks)))
    data = chance.choice((data, number_replaced(data, chance), bits_flipped(data + b"\0", chance)))
    for _ in range(chance.choice((0, 1, 1, 1, 2))):
        chunks.insert(chance.randint(0, len(chunks)), (kind, data))
    return body[:8] + b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def zip_changed(body: bytes, chance: Random) -> bytes:
    """Return a zip with a number of a header replaced by an extreme, or by another header's."""
    headers = [
        start
        for signature in (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06")
        if (start := body.rfind(signature)) >= 0
    ]
    if not headers:
        return body
    start = chance.choice(headers) + chance.randrange(4, 46, 2)
    return replaced(body, start, struct.pack("<H", chance.choice(EXTREMES) % 2**16))


def element_changed(body: bytes, chance: Random) -> bytes:
    """Return a DICOM file with another number for rows, bits, frames or the like."""
    group = body.find(b"\x28\x00", 132)
    if group < 0:
        return body
    start = body.find(b"\x28\x00", chance.randrange(group, max(group + 1, body.rfind(b"\x28\x00"))))
    return replaced(body, start + chance.choice((2, 4, 6, 8, 10)), chance.randbytes(2))


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    bits_flipped,
    number_replaced,
    truncated,
    bytes_repeated,
    bytes_removed,
    noise_inserted,
    structure_changed,
    structure_changed,
)
