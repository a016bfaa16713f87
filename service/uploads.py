"""Request bodies to film bytes: counted while they stream, kept in memory, never on disk."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from service.admission import Held
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
FILM_TYPES = (
    "image/png",
    "image/jpeg",
    "image/jpg",
    "image/tiff",
    "application/dicom",
    "application/octet-stream",
)
"""Content types of a raw body. Which format it really is, the bytes themselves tell."""


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
    media_type = request.headers.get("content-type", FILM_TYPES[-1]).split(";")[0].strip().lower()
    _check_headers(request.headers, media_type, max_bytes)
    body = _counted(request.stream(), max_bytes, held)
    try:
        async with asyncio.timeout(seconds):
            if media_type == FORM:
                film = await _form_file(request.headers, body, max_bytes)
            else:
                film = b"".join([chunk async for chunk in body])
    except TimeoutError as error:
        raise SlowUpload(f"The film did not arrive within {seconds:g} seconds.") from error
    except ClientDisconnect as error:
        raise UploadInterrupted(
            "The connection was closed before the film was complete."
        ) from error
    if not film:
        raise EmptyUpload("The film has no bytes; send the whole file.")
    return film


def _check_headers(headers: Headers, media_type: str, max_bytes: int) -> None:
    if media_type not in (FORM, *FILM_TYPES):
        allowed = ", ".join((FORM, *FILM_TYPES))
        raise UnsupportedMediaType(f"Send the film with one of these content types: {allowed}.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the film without a Content-Encoding.")
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


async def _form_file(headers: Headers, body: AsyncGenerator[bytes, None], max_bytes: int) -> bytes:
    parser = MultiPartParser(headers, body, max_files=1, max_fields=10)
    parser.spool_max_size = max_bytes + 1  # a film must not reach the disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedForm(f"{error.message} Send one film in the field `{FIELD}`.") from error
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise MissingFile(f"Send the film as a file in the form's field `{FIELD}`.")
        return await file.read()
    finally:
        await form.close()
