"""Make DICOM files of an answer about a DICOM film, and the HTTP response that holds them.

The response is as in DICOMweb: one `multipart/related` body with a part for each file.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from uuid import uuid4

from fastapi import Response
from fastapi.responses import StreamingResponse

from service.answers.schemas import ExplainedPrediction
from service.films.decoding import Limits
from service.problems import VARY

DICOM = "application/dicom"
RELATED_DICOM = f'multipart/related; type="{DICOM}"'
PIECE_BYTES = 2**20


@cache
def can_be_made() -> bool:
    """Return whether DICOM objects can be made: the extra `dicom-results` is installed."""
    return find_spec("highdicom") is not None


def result_files(
    film: bytes, prediction: ExplainedPrediction, class_name: str, limits: Limits
) -> list[bytes]:
    """Return the answer about a DICOM film as DICOM files; see `service.dicom.results`."""
    # Not at the top: highdicom is an optional extra.
    from service.dicom.results import result_objects

    return result_objects(film, prediction, class_name, limits)


def related_dicom(objects: Sequence[bytes]) -> Response:
    """Return an HTTP response of DICOM files, each in a part of its own; see `related_pieces`."""
    boundary = uuid4().hex
    length = sum(len(piece) for piece in related_pieces(objects, boundary))
    return StreamingResponse(
        _one_by_one(related_pieces(objects, boundary)),
        media_type=f"{RELATED_DICOM}; boundary={boundary}",
        headers=VARY | {"Content-Length": str(length)},
    )


def related_pieces(objects: Sequence[bytes], boundary: str) -> Iterator[memoryview]:
    """Yield a body of DICOM files in pieces: together the files of a large film are 157 MB.

    Source:
        RFC 2387, and DICOM PS3.18, 8.6.1.2.
    """
    for file in objects:
        yield memoryview(f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode())
        for first in range(0, len(file), PIECE_BYTES):
            yield memoryview(file)[first : first + PIECE_BYTES]
        yield memoryview(b"\r\n")
    yield memoryview(f"--{boundary}--\r\n".encode())


async def _one_by_one(pieces: Iterator[memoryview]) -> AsyncIterator[memoryview]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)  # others' requests come between, however fast this client reads
