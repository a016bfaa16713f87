"""Unpack films from a zip file one at a time, in memory and within limits.

A member unpacks to at most the size that its header announces, and a size beyond the limits is
refused unread. Members may not share bytes. Their names are neither used nor repeated. A zip inside
a zip is not opened; as a film it is then no image.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from service.problems import ArchiveTooLarge, BadArchive, ServiceProblem

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
ZIP64_LOCATOR = b"PK\x06\x07"
ZIP64_LOCATOR_BYTES = 20
MAX_COMMENT_BYTES = 2**16
DIRECTORY_BYTES_PER_FILM = 1024
LOCAL_HEADER = struct.Struct("<26x2H")
IS_ENCRYPTED = 1
FREE_RATIO_BYTES = 2**20
"""Up to this size any ratio is allowed: a black film of a few kilobytes is no bomb."""
MALFORMED = (
    ArithmeticError,
    BadZipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Exceptions that zipfile raises on malformed archives."""


class ArchiveLimits(NamedTuple):
    """Limits on the films of a zip file.

    Attributes:
        max_films: Most members, apart from folders and hidden files.
        max_film_bytes: Longest film, unpacked.
        max_bytes: Most bytes of all films together, unpacked; corrupt ones count too.
        max_ratio: Most bytes that a byte of a member may unpack to, beyond the first mebibyte.
    """

    max_films: int
    max_film_bytes: int
    max_bytes: int
    max_ratio: int


def is_archive(body: bytes) -> bool:
    """Return whether the bytes begin as a zip file does."""
    return body.startswith(SIGNATURES)


def archived_films(archive: bytes, limits: ArchiveLimits) -> Iterator[bytes | ServiceProblem]:
    """Return the films of a zip in its directory's order, unpacked as they are asked for.

    A member that can't be unpacked, or only beyond a limit, has a problem in its film's place. So
    have all members from where the limit on all of them together is passed.

    Raises:
        BadArchive: Its directory can't be read, or names no film; nothing has been unpacked.
        ArchiveTooLarge: It has more members than allowed; nothing has been unpacked.
    """
    try:
        _check_directory(archive, limits)
        opened = ZipFile(io.BytesIO(archive))
    except MALFORMED as error:
        raise BadArchive("The zip file is truncated or corrupt.") from error
    members = [member for member in opened.infolist() if _may_be_film(member)]
    if not members:
        raise BadArchive("The zip file holds no film.")
    if len(members) > limits.max_films:
        raise _too_many(limits)
    return _films(opened, members, _overlapping(archive, members, opened.start_dir), limits)


def _too_many(limits: ArchiveLimits) -> ArchiveTooLarge:
    return ArchiveTooLarge(f"The zip file holds more than the {limits.max_films} films allowed.")


def _check_directory(archive: bytes, limits: ArchiveLimits) -> None:
    """Refuse a long directory: zipfile reads all of it at once."""
    place = archive.rfind(SIGNATURES[1], -END_OF_DIRECTORY.size - MAX_COMMENT_BYTES)
    *_, size, _start, _comment = END_OF_DIRECTORY.unpack_from(archive, max(place, 0))
    locator = archive[max(place - ZIP64_LOCATOR_BYTES, 0) : place]
    if place < 0 or locator.startswith(ZIP64_LOCATOR):
        raise BadZipFile
    if size > DIRECTORY_BYTES_PER_FILM * limits.max_films:
        raise _too_many(limits)


def _may_be_film(member: ZipInfo) -> bool:
    """Return whether a member is neither a folder nor a hidden file."""
    folders_and_name = member.filename.split("/")
    hidden = any(part.startswith(".") and part not in (".", "..") for part in folders_and_name)
    # Not `member.is_dir()`, which fails on a member without a name.
    is_folder = member.filename.endswith("/")
    return not (is_folder or hidden or "__MACOSX" in folders_and_name)


def _overlapping(archive: bytes, members: Sequence[ZipInfo], end: int) -> set[int]:
    """Return the indices of members whose bytes overlap those of the next one.

    Source:
        Fifield 2019, "A better zip bomb", which is made of them.
    """
    starts = {place: member.header_offset for place, member in enumerate(members)}
    in_file_order = sorted(starts, key=lambda place: starts[place])
    ends = [starts[place] for place in in_file_order[1:]] + [end]
    return {
        place
        for place, end in zip(in_file_order, ends, strict=True)
        if _end(archive, members[place]) > end
    }


def _end(archive: bytes, member: ZipInfo) -> float:
    """Return where a member's bytes end; infinity where it has no header."""
    if not 0 <= member.header_offset <= len(archive) - LOCAL_HEADER.size:
        return float("inf")
    name, extra = LOCAL_HEADER.unpack_from(archive, member.header_offset)
    return member.header_offset + LOCAL_HEADER.size + name + extra + member.compress_size


def _films(
    opened: ZipFile, members: Sequence[ZipInfo], overlapping: set[int], limits: ArchiveLimits
) -> Iterator[bytes | ServiceProblem]:
    """Yield each member's film, or its problem."""
    left = limits.max_bytes
    for place, member in enumerate(members):
        if place in overlapping:
            yield BadArchive("This member of the zip file shares its bytes with another.")
            continue
        most = min(
            limits.max_film_bytes, max(FREE_RATIO_BYTES, limits.max_ratio * member.compress_size)
        )
        if member.file_size > most:
            yield ArchiveTooLarge(f"This member of the zip file unpacks to more than {most} bytes.")
            continue
        left -= member.file_size
        yield _film(opened, member) if left >= 0 else _too_much(limits)


def _too_much(limits: ArchiveLimits) -> ArchiveTooLarge:
    return ArchiveTooLarge(
        f"The zip file unpacks to more than the {limits.max_bytes} bytes allowed."
    )


def _film(opened: ZipFile, member: ZipInfo) -> bytes | ServiceProblem:
    """Return a member's bytes, at most as many as its header announces, or its problem."""
    if member.flag_bits & IS_ENCRYPTED:
        return BadArchive("This member of the zip file is encrypted.")
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return BadArchive("A member of a zip file must be stored or deflated.")
    try:
        with opened.open(member) as film:
            return film.read(member.file_size)
    except MALFORMED:
        return BadArchive("This member of the zip file is truncated or corrupt.")
