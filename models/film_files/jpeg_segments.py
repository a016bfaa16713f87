"""Check the marker segments of JPEG and JPEG 2000 streams before they are decoded."""

import re
import struct
from collections.abc import Container, Sequence
from typing import NamedTuple

from models.film_files.errors import UnreadableFilmError

MAX_SEGMENTS = 10_000
MARKER = re.compile(rb"\xff{1,64}([^\x00\xff])", re.DOTALL)
START_OF_IMAGE = b"\xff\xd8"
START_OF_SCAN = 0xDA
START_OF_TILE_PART, START_OF_DATA = 0x90, 0x93
EXIF = re.compile(rb"\xff\xe1..Exif\0\0", re.DOTALL)
APP0, APP14, COMMENT = 0xE0, 0xEE, 0xFE
"""Markers: APP0 (JFIF) and APP14 (Adobe) define the colours; the others are not the picture."""
MAX_SCANS = 32
SINGLE_SCAN_FRAMES = frozenset({0xC0, 0xC1, 0xC3, 0xF7})
"""Baseline, extended and lossless JPEG, and JPEG-LS: what DICOM's transfer syntaxes hold."""
BESIDE_A_FRAME = frozenset({0xC4, 0xDB, 0xDD, 0xF8, COMMENT, *range(APP0, APP0 + 16)}) - {0xEB}
"""Markers of tables, restart intervals, comments and applications, without JPEG XT's."""

SIZES, CODING_STYLE, COMPONENT_CODING_STYLE = SIZES_AND_STYLES = (0x51, 0x52, 0x53)
MAX_TILES = 4096
MAX_PRECINCTS = 2**16
MAX_LAYERS = 256
MIN_BLOCK_EXPONENT = 2
"""In its stored form: blocks of 16 samples, where 64 are usual and 4 possible."""


class Segment(NamedTuple):
    """A marker segment: second byte of the marker, start, and end of its parameters."""

    marker: int
    start: int
    end: int


def lean_jpeg(jpeg: bytes) -> bytes:
    """Return a JPEG without comments, profiles, and EXIF segments after the first.

    Raises:
        UnreadableFilmError: There is no scan after at most `MAX_SEGMENTS` segments, or there are
            more than `MAX_SCANS` scans, each of which can cost as much as the whole picture.
    """
    *header, scan = segments_until({START_OF_SCAN}, jpeg)
    if jpeg.count(bytes((0xFF, START_OF_SCAN)), scan.start) > MAX_SCANS:
        raise UnreadableFilmError(f"A JPEG may have at most {MAX_SCANS} scans.")
    exif = [one for one in header if EXIF.match(jpeg, one.start)][:1]
    kept = [one for one in header if one in exif or not _is_about_the_picture(one.marker)]
    return b"".join((START_OF_IMAGE, *(jpeg[one.start : one.end] for one in kept), jpeg[scan[1] :]))


def _is_about_the_picture(marker: int) -> bool:
    """Return whether a segment holds metadata, which decoding does not need."""
    return marker == COMMENT or (APP0 < marker <= APP0 + 15 and marker != APP14)


def single_scan_size(jpeg: bytes) -> tuple[int, int, int]:
    """Return rows, columns and components of a DICOM film's JPEG or JPEG-LS.

    To be called before decoding: a stream of no rows makes the decoder take all memory.

    Raises:
        UnreadableFilmError: It is not one frame in one scan (progressive, hierarchical, or a later
            extension of JPEG), or it has more segments than allowed.
    """
    *header, scan = segments_until({START_OF_SCAN}, jpeg)
    frames = [one for one in header if one.marker in SINGLE_SCAN_FRAMES]
    others = {one.marker for one in header} - SINGLE_SCAN_FRAMES
    scans = jpeg.count(bytes((0xFF, START_OF_SCAN)), scan.start)
    if len(frames) != 1 or not others <= BESIDE_A_FRAME or scans != 1:
        raise UnreadableFilmError("A JPEG in a DICOM file must be one frame in one scan.")
    rows, columns, components = struct.unpack_from(">HHB", jpeg, frames[0].start + 5)
    return rows, columns, components


def jpeg2000_size(stream: bytes) -> tuple[int, int, int]:
    """Return rows, columns and components of a JPEG 2000 stream.

    Its decoder allocates a record for each tile, precinct and block before it reads any, so a
    stream of 100 bytes could take gigabytes.

    Raises:
        UnreadableFilmError: It has more tiles, precincts or blocks than any encoder writes.
    """
    *header, tile_part = segments_until({START_OF_TILE_PART}, stream)
    sizes, *following = [one for one in header if one.marker in SIZES_AND_STYLES]
    if [sizes.marker, *(one.marker for one in following)] != [SIZES, CODING_STYLE]:
        raise UnreadableFilmError("A JPEG 2000 stream must have one size and one coding style.")
    _check_subdivision(stream[sizes.start : sizes.end], stream[following[0].start :])
    _check_tile_parts(stream, tile_part)
    columns, rows, left, top = struct.unpack_from(">4L", stream, sizes.start + 6)
    components, _depth, x_step, y_step = struct.unpack_from(">HBBB", stream, sizes.start + 38)
    if (x_step, y_step) != (1, 1):
        raise UnreadableFilmError("A JPEG 2000 stream must have a sample for each pixel.")
    return rows - top, columns - left, components


def _check_subdivision(sizes: bytes, style: bytes) -> None:
    """Refuse too many tiles, precincts, blocks or layers, by the segments SIZ and COD.

    Source:
        ISO 15444-1, A.5.1 and A.6.1.
    """
    columns, rows, left, top, tile_columns, tile_rows, *_ = struct.unpack_from(">8I", sizes, 6)
    columns, rows = columns - left, rows - top
    tiles = _cells(columns, tile_columns) * _cells(rows, tile_rows)
    has_precincts, layers, levels = style[4] & 1, int.from_bytes(style[6:8]), style[9]
    precincts = sum(
        _cells(columns, 2 ** (levels - level + (size & 15)))
        * _cells(rows, 2 ** (levels - level + (size >> 4)))
        for level, size in enumerate(style[14 : 15 + levels] if has_precincts else b"")
    )
    finest = min(style[10] & 15, style[11] & 15)
    if tiles > MAX_TILES or precincts > MAX_PRECINCTS or finest < MIN_BLOCK_EXPONENT:
        raise UnreadableFilmError("A JPEG 2000 stream has too many tiles, precincts or blocks.")
    if layers > MAX_LAYERS:
        raise UnreadableFilmError(f"A JPEG 2000 stream may have at most {MAX_LAYERS} layers.")


def _cells(length: int, cell: int) -> int:
    """Return the number of cells that cover a length."""
    return -(-length // cell)


def _check_tile_parts(stream: bytes, tile_part: Segment) -> None:
    """Refuse a tile part that changes the coding style."""
    for _ in range(MAX_SEGMENTS):
        (length,) = struct.unpack_from(">L", stream, tile_part.start + 6)
        header = segments_until({START_OF_DATA}, stream, tile_part.end)
        if {one.marker for one in header} & {CODING_STYLE, COMPONENT_CODING_STYLE}:
            raise UnreadableFilmError("A JPEG 2000 stream must have one coding style.")
        following = MARKER.match(stream, tile_part.start + length)
        if not length or following is None or following[1] != bytes((START_OF_TILE_PART,)):
            return
        tile_part = _segment(stream, tile_part.start + length)
    raise UnreadableFilmError(f"A JPEG 2000 stream may have at most {MAX_SEGMENTS} tile parts.")


def segments_until(last: Container[int], stream: bytes, place: int = 2) -> Sequence[Segment]:
    """Return the segments from `place` to the first whose marker is in `last`, inclusive.

    Raises:
        UnreadableFilmError: No such marker comes within `MAX_SEGMENTS`.
    """
    segments: list[Segment] = []
    while len(segments) < MAX_SEGMENTS:
        segments.append(_segment(stream, place))
        if segments[-1].marker in last:
            return segments
        place = segments[-1].end
    raise UnreadableFilmError(f"A JPEG may have at most {MAX_SEGMENTS} segments before its data.")


def _segment(stream: bytes, place: int) -> Segment:
    """Return the segment at a place; bytes of 0xFF before a marker are allowed."""
    marker = MARKER.match(stream, place)
    length = stream[marker.end() : marker.end() + 2] if marker else b""
    if marker is None or len(length) < 2:
        raise UnreadableFilmError("The JPEG stream is truncated or corrupt.")
    return Segment(marker[1][0], marker.end() - 2, marker.end() + int.from_bytes(length))
