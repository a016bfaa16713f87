"""Films in a zip: unpacked one after the other, in memory, within bounds."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple
from zipfile import ZipFile, ZipInfo

from service.problems import ArchiveTooLarge, BadArchive, ServiceProblem

SIGNATURE = b"PK\x03\x04"
ENTRY_SIGNATURE = b"PK\x01\x02"
OTHER_ENTRIES = 1000
"""Folders and hidden files that a zip may hold besides its films."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of the others Python unpacks more at a time than it is asked for."""
HARMLESS_BYTES = 2**20
"""A member may unpack to so much whatever its ratio: a black film is nearly nothing as PNG."""
ENCRYPTED_FLAG = 1
MALFORMED = (
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArchiveLimits(NamedTuple):
    """What a zip may hold.

    Attributes:
        max_films: Most films.
        max_film_bytes: Longest film, unpacked.
        max_bytes: Most bytes of all films together, unpacked.
        max_ratio: Most bytes that a byte of a member may unpack to.
    """

    max_films: int
    max_film_bytes: int
    max_bytes: int
    max_ratio: int


def is_archive(body: bytes) -> bool:
    """Return whether the bytes begin as a zip does."""
    return body.startswith(SIGNATURE)


def archived_films(archive: bytes, limits: ArchiveLimits) -> Iterator[bytes | ServiceProblem]:
    """Return the films of a zip in the order of its directory; a member that is none, as a problem.

    Folders, and files that are hidden or in a folder `__MACOSX`, don't count. Names are not used
    for anything else, and a zip in the zip is no film.

    Args:
        archive: The whole file.
        limits: What it may hold. Sizes are counted while unpacking; those in its headers are not
            trusted.

    Raises:
        BadArchive: It can't be read, or holds no film.
        ArchiveTooLarge: It holds more films than allowed.
    """
    # Python makes an object of each entry, so they are counted before: never fewer than there are.
    if archive.count(ENTRY_SIGNATURE) > limits.max_films + OTHER_ENTRIES:
        raise _too_many(limits)
    try:
        opened = ZipFile(io.BytesIO(archive))
    except MALFORMED as error:
        raise BadArchive("The zip file is truncated or malformed.") from error
    members = [member for member in opened.infolist() if _may_be_a_film(member)]
    if not members:
        raise BadArchive("The zip file holds no film.")
    if len(members) > limits.max_films:
        raise _too_many(limits)
    return _unpacked(opened, members, limits)


def _too_many(limits: ArchiveLimits) -> ArchiveTooLarge:
    return ArchiveTooLarge(f"The zip file holds more than the {limits.max_films} films allowed.")


def _may_be_a_film(member: ZipInfo) -> bool:
    *folders, name = member.filename.split("/")
    return not (member.is_dir() or name.startswith(".") or "__MACOSX" in folders)


def _unpacked(
    opened: ZipFile, members: list[ZipInfo], limits: ArchiveLimits
) -> Iterator[bytes | ServiceProblem]:
    left = limits.max_bytes
    for member in members:
        film = _film(opened, member, limits, left)
        if isinstance(film, bytes):
            left -= len(film)
        yield film


def _film(
    opened: ZipFile, member: ZipInfo, limits: ArchiveLimits, left: int
) -> bytes | ServiceProblem:
    """Return a member's bytes, or why they can't be had."""
    if member.flag_bits & ENCRYPTED_FLAG or member.compress_type not in METHODS:
        return BadArchive("This member is encrypted, or not compressed with deflate.")
    by_ratio = max(HARMLESS_BYTES, limits.max_ratio * member.compress_size)
    most = min(limits.max_film_bytes, by_ratio, left)
    try:
        with opened.open(member) as file:
            film = file.read(most + 1)
    except MALFORMED:
        return BadArchive("This member is truncated or corrupt.")
    if len(film) <= most:
        return film
    return ArchiveTooLarge(
        f"This member unpacks to more than {limits.max_film_bytes} bytes, to more than "
        f"{limits.max_ratio} times its size, or the zip file to more than {limits.max_bytes} bytes."
    )
