"""Check the first directory of a TIFF file before Pillow reads it."""

import numpy as np

from models.film_files.errors import UnreadableFilmError

MAX_TAGS = 1024
MAX_VALUES = 2**16
BYTES = (1, 2, 7)
"""Types BYTE, ASCII and UNDEFINED, whose values stay bytes, however long."""
COMPRESSION = 259
COMPRESSIONS = frozenset({1, 5, 7, 8, 32773, 32946})
"""Allowed ones: none, LZW, JPEG, Deflate, PackBits, and Deflate's old number."""
JPEG = 7
PROGRESSIVE_FRAME = b"\xff\xc2"
POINTERS = (34665, 34853, 40965)
"""Tags that point to further directories (EXIF, GPS, interoperability), which Pillow would read."""
NO_KIND = 0


def lean_tiff(tiff: bytes) -> bytes:
    """Check a TIFF's first directory, and return the file without pointers to other directories.

    Pillow makes a Python object of every strip, tile and number, and a file of 64 MiB can list 16
    million of them.

    Raises:
        UnreadableFilmError: It has more tags than allowed, a tag has more values than allowed, or
            its compression is not one of `COMPRESSIONS`.
        IndexError: The file ends before the directory does.
    """
    lean = bytearray(tiff)
    entries = _entries(lean)
    tags, kinds, counts = entries["tag"], entries["kind"], entries["count"]
    if (counts[~np.isin(kinds, BYTES)] > MAX_VALUES).any():
        raise UnreadableFilmError(f"A tag, strips or tiles of a TIFF may be at most {MAX_VALUES}.")
    compressions = set(entries["short"][tags == COMPRESSION].tolist())
    if not compressions <= COMPRESSIONS:
        raise UnreadableFilmError("The TIFF file's compression can't be decoded: send it without.")
    if JPEG in compressions and PROGRESSIVE_FRAME in tiff:
        raise UnreadableFilmError("A JPEG in a TIFF file must not be progressive.")
    kinds[np.isin(tags, POINTERS)] = NO_KIND
    return bytes(lean)


def _entries(tiff: bytearray) -> np.ndarray:
    """Return a view of the entries: tag, kind, count, and the value where that is one SHORT."""
    order = "<" if tiff[:2] == b"II" else ">"
    is_big = b"+" in tiff[2:4]
    word, place = (f"{order}u8", 8) if is_big else (f"{order}u4", 4)
    start = int(np.frombuffer(tiff, word, 1, place)[0])
    size = np.dtype(word if is_big else f"{order}u2")
    count = int(np.frombuffer(tiff, size, 1, start)[0])
    if count > MAX_TAGS:
        raise UnreadableFilmError(f"A TIFF may have at most {MAX_TAGS} tags.")
    entry = np.dtype(
        {
            "names": ["tag", "kind", "count", "short"],
            "formats": [f"{order}u2", f"{order}u2", word, f"{order}u2"],
            "offsets": [0, 2, 4, 4 + np.dtype(word).itemsize],
            "itemsize": 4 + 2 * np.dtype(word).itemsize,
        }
    )
    return np.frombuffer(tiff, entry, count, start + size.itemsize)
