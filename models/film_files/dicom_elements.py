"""Copy the few elements of a DICOM data set that are needed to show a film.

pydicom parses and keeps everything in a header. In a crafted file that can be millions of elements,
items and values, so pydicom is given this copy instead.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from models.film_files.errors import UnreadableFilmError

MAX_ELEMENTS = 100_000
MAX_ITEMS = 256
HEADER_BYTES = 8
UNDEFINED = 0xFFFFFFFF
ITEM_GROUP = 0xFFFE
END_OF_ITEM, END_OF_SEQUENCE = 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)


class Encoding(NamedTuple):
    """Encoding of a data set: implicit or explicit VR, little or big endian."""

    implicit: bool
    little: bool

    @property
    def order(self) -> str:
        """Byte order in the notation of `struct`."""
        return "<" if self.little else ">"


class Element(NamedTuple):
    """Tag, start and end of an element of the outermost data set."""

    tag: int
    start: int
    end: int


class _Header(NamedTuple):
    tag: int
    vr: bytes
    value: int
    length: int


def copied(film: bytes, start: int, encoding: Encoding, most: Mapping[int, int]) -> bytes:
    """Return the bytes of those elements of a data set whose tags are in `most`.

    Args:
        film: The whole file.
        start: Offset of the data set.
        encoding: Encoding of the data set.
        most: Longest length of each element in bytes, its header included.

    Raises:
        UnreadableFilmError: An element is longer, the data set holds more than `MAX_ELEMENTS`, or
            it ends inside an element of undefined length.
    """
    kept = [one for one in elements(film, start, encoding) if one.tag in most]
    item = struct.pack(f"{encoding.order}HH", ITEM_GROUP, 0xE000)
    for tag, first, end in kept:
        many_items = tag >> 16 != 0x7FE0 and film.count(item, first, end) > MAX_ITEMS
        if end - first > most[tag] or many_items:
            raise UnreadableFilmError("The DICOM header holds an element longer than is allowed.")
    return b"".join(film[one.start : one.end] for one in kept)


def elements(film: bytes, place: int, encoding: Encoding) -> Iterator[Element]:
    """Yield the outermost elements of a data set.

    Raises:
        UnreadableFilmError: As `copied` does.
    """
    nested: list[Encoding] = []  # of each sequence and item of undefined length that is open
    opened = (0, place)
    for _ in range(MAX_ELEMENTS):
        if place + HEADER_BYTES > len(film):
            break
        around = nested[-1] if nested else encoding
        header = _header(film, place, around)
        if header.tag in (END_OF_ITEM, END_OF_SEQUENCE):
            if not nested:
                return
            nested.pop()
            place = header.value
            if not nested:
                yield Element(*opened, place)
        elif header.length == UNDEFINED:
            opened = opened if nested else (header.tag, place)
            # The content of an element of unknown VR always has this encoding (PS3.5, 6.2.2).
            nested.append(Encoding(True, True) if header.vr == b"UN" else around)
            place = header.value
        else:
            if not nested:
                yield Element(header.tag, place, header.value + header.length)
            place = header.value + header.length
    else:
        raise UnreadableFilmError(f"A DICOM file may hold at most {MAX_ELEMENTS} elements.")
    if nested:
        raise UnreadableFilmError("The DICOM file is truncated or malformed.")


def _header(film: bytes, place: int, encoding: Encoding) -> _Header:
    """Return an element's header; one without a valid VR is read as implicit, as pydicom does."""
    group, number = struct.unpack_from(f"{encoding.order}HH", film, place)
    vr = film[place + 4 : place + 6]
    if encoding.implicit or group == ITEM_GROUP or not b"AA" <= vr <= b"ZZ":
        vr, form, at = b"", "L", place + 4
    elif vr in LONG_VRS:
        form, at = "L", place + 8
    else:
        form, at = "H", place + 6
    (length,) = struct.unpack_from(encoding.order + form, film, at)
    return _Header(group << 16 | number, vr, at + struct.calcsize(encoding.order + form), length)
