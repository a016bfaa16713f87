"""Request bodies to film bytes: counted while they stream, kept in memory, never on disk."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from service.films.admission import Held
from service.problems import (
    EmptyUpload,
    MalformedForm,
    MissingFile,
    SlowUpload,
    UnsupportedMediaType,
    UploadInterrupted,
    UploadTooLarge,
)

FORM = "multipart/form-data"
FIELD = "file"
ANY_TYPE = "application/octet-stream"
FILM_TYPES = (
    "image/png",
    "image/jpeg",
    "image/jpg",
    "image/tiff",
    "application/dicom",
    ANY_TYPE,
)
"""Content types of a raw body. Which format it really is, the bytes themselves tell."""


@dataclass(frozen=True)
class Bounds:
    """How much a request may send, and how long it may take.

    Attributes:
        max_bytes: Longest body, form and all.
        max_files: Most files in a form.
        seconds: Longest time for the body to arrive.
    """

    max_bytes: int
    max_files: int
    seconds: float


async def film_upload(request: Request, held: Held, *, max_bytes: int, seconds: float) -> bytes:
    """Return the film in the request's body: the form field `file`, or the body itself.

    Args:
        request: Its body has not been read.
        held: Counts what is kept in memory.
        max_bytes: Longest body, form and all.
        seconds: Longest time it may take to arrive.

    Raises:
        UploadProblem: See `service.problems`. A body that is too long is not read to its end.
        Overloaded: There is no memory for it at the moment.
    """
    bounds = Bounds(max_bytes, max_files=1, seconds=seconds)
    [film] = await uploaded_files(request, held, bounds, media_types=FILM_TYPES)
    if not film:
        raise EmptyUpload("The film has no bytes; send the whole file.")
    return film


async def uploaded_files(
    request: Request, held: Held, bounds: Bounds, *, media_types: Sequence[str]
) -> list[bytes]:
    """Return the files in the request's body: the form's fields `file`, or the body itself.

    Args:
        request: Its body has not been read.
        held: Counts what is kept in memory.
        bounds: How much there may be.
        media_types: What a body that is no form may be called.

    Raises:
        UploadProblem: See `service.problems`.
        Overloaded: There is no memory for it at the moment.
    """
    media_type = request.headers.get("content-type", ANY_TYPE).split(";")[0].strip().lower()
    _check_headers(request.headers, media_type, (FORM, *media_types), bounds.max_bytes)
    body = _counted(request.stream(), bounds.max_bytes, held)
    try:
        async with asyncio.timeout(bounds.seconds):
            if media_type == FORM:
                return await _form_files(request.headers, body, bounds)
            return [b"".join([chunk async for chunk in body])]
    except TimeoutError as error:
        raise SlowUpload(f"The body did not arrive within {bounds.seconds:g} seconds.") from error
    except ClientDisconnect as error:
        raise UploadInterrupted(
            "The connection was closed before the body was complete."
        ) from error


def _check_headers(
    headers: Headers, media_type: str, allowed: Sequence[str], max_bytes: int
) -> None:
    if media_type not in allowed:
        raise UnsupportedMediaType(f"Send one of these content types: {', '.join(allowed)}.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)


async def _counted(
    stream: AsyncIterator[bytes], max_bytes: int, held: Held
) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        held.hold(len(chunk))
        yield chunk


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"The request's body is longer than the {max_bytes} bytes allowed here.")


async def _form_files(
    headers: Headers, body: AsyncGenerator[bytes, None], bounds: Bounds
) -> list[bytes]:
    parser = MultiPartParser(headers, body, max_files=bounds.max_files, max_fields=10)
    parser.spool_max_size = bounds.max_bytes + 1  # a film must not reach the disk
    most = "one film" if bounds.max_files == 1 else f"at most {bounds.max_files} files"
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedForm(f"{error.message} Send {most} in the field `{FIELD}`.") from error
    try:
        files = [file for file in form.getlist(FIELD) if isinstance(file, UploadFile)]
        if not files:
            raise MissingFile(f"Send {most} as a file in the form's field `{FIELD}`.")
        return [await file.read() for file in files]
    finally:
        await form.close()
