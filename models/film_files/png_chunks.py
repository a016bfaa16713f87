"""Strip PNG files of chunks that are not their picture, before they are decoded."""

import struct

from models.film_files.errors import UnreadableFilmError

MAX_CHUNKS = 2**16
SIGNATURE_BYTES = 8
CHUNK_FRAME_BYTES = 12
MAX_EXIF_BYTES = 2**16
KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL"})
"""Chunks of the picture, and `acTL`, which marks a file of several pictures."""


def lean_png(png: bytes) -> bytes:
    """Return a PNG without texts and profiles, and without EXIF chunks over 64 KiB.

    A file can hold any number of them, and each can unpack to a thousand times its size.

    Raises:
        UnreadableFilmError: There are more than `MAX_CHUNKS` chunks.
    """
    kept, place = [png[:SIGNATURE_BYTES]], SIGNATURE_BYTES
    for _ in range(MAX_CHUNKS):
        if place + CHUNK_FRAME_BYTES > len(png):
            return b"".join((*kept, png[place:]))
        length, kind = struct.unpack_from(">L4s", png, place)
        end = place + CHUNK_FRAME_BYTES + length
        if kind in KEPT or (kind == b"eXIf" and length <= MAX_EXIF_BYTES):
            kept.append(png[place:end])
        if kind == b"IEND":
            return b"".join(kept)
        place = end
    raise UnreadableFilmError(f"A PNG may have at most {MAX_CHUNKS} chunks.")
