"""Make DICOM files of an answer about a DICOM film, and the HTTP response that holds them.

The response is as in DICOMweb: one `multipart/related` body with a part for each file.
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from uuid import uuid4

from fastapi import Response

from service.answers.schemas import ExplainedPrediction
from service.films.decoding import Limits
from service.problems import VARY

DICOM = "application/dicom"
RELATED_DICOM = f'multipart/related; type="{DICOM}"'


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
    """Return an HTTP response of DICOM files, each in a part of its own.

    Source:
        RFC 2387, and DICOM PS3.18, 8.6.1.2.
    """
    boundary = uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    body = b"".join(piece for file in objects for piece in (head, file, b"\r\n"))
    media_type = f"{RELATED_DICOM}; boundary={boundary}"
    return Response(body + f"--{boundary}--\r\n".encode(), media_type=media_type, headers=VARY)
