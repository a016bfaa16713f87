"""Take in request bodies within bounds: places in the queues, bytes in memory, time.

A body is counted while it streams, kept in memory and never written to disk. Long answers count
too, in `service.http.answers`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from service.problems import (
    EmptyUpload,
    MalformedForm,
    MissingFile,
    Overloaded,
    SlowUpload,
    TooSlow,
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
"""Content types of a raw body; the format is recognised by the bytes, not by this type."""
NO_MODEL = ""
"""The queue of films that are shown, without asking a model."""


class Admission:
    """Places for films, a fixed number per queue, and one allowance of bytes for all of them.

    Used on the event loop alone, so that nothing needs a lock.

    Attributes:
        held_bytes: Bytes of request bodies, and of long answers, that are in memory now.
    """

    def __init__(self, *, places: int, max_held_bytes: int) -> None:
        """Start with every place free.

        Args:
            places: Films of one queue that may be read, waiting, examined, or on their way back.
            max_held_bytes: Most bytes of request bodies and long answers in memory.
        """
        self._places, self._max_held_bytes = places, max_held_bytes
        self._taken: Counter[str] = Counter()
        self.held_bytes = 0

    @contextmanager
    def place(self, *queues: str, films: int = 1) -> Iterator["Held"]:
        """Take places in each queue; at the end, free them and every byte held meanwhile.

        Args:
            queues: Names of the models that are asked.
            films: How many are run in each. More than there are places are admitted only while
                the queue is empty.

        Raises:
            Overloaded: A queue has too few places left.
        """
        queues = queues or (NO_MODEL,)
        if any(self._taken[one] and self._taken[one] + films > self._places for one in queues):
            raise Overloaded(f"{self._places} films are waiting already; send this one later.")
        self._taken.update(queues * films)
        held = Held(self)
        try:
            yield held
        finally:
            self._taken.subtract(queues * films)
            held.give_free(held.count)

    def hold(self, count: int) -> None:
        """Count bytes that are now in memory.

        Raises:
            Overloaded: They would be more than allowed; they are not counted then.
        """
        if self.held_bytes + count > self._max_held_bytes:
            raise Overloaded("The films that are waiting already fill the memory allowed for them.")
        self.held_bytes += count

    def give_free(self, count: int) -> None:
        """Count bytes that are in memory no longer."""
        self.held_bytes -= count

    def taken(self, queue: str) -> int:
        """Return how many places of a queue are taken."""
        return self._taken[queue]


class Held:
    """The bytes that one request keeps in memory."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.count = 0

    def hold(self, count: int) -> None:
        """Count `count` bytes more.

        Raises:
            Overloaded: All requests together would hold more than allowed.
        """
        self._admission.hold(count)
        self.count += count

    def give_free(self, count: int) -> None:
        """Count `count` bytes less, or all that are left: after the request's end, none."""
        count = min(count, self.count)
        self._admission.give_free(count)
        self.count -= count


@asynccontextmanager
async def while_connected(request: Request, *, seconds: float) -> AsyncIterator[None]:
    """Cancel the work inside when the client disconnects or its deadline passes.

    Args:
        request: Its body has been read.
        seconds: Longest time that the work may take.

    Raises:
        UploadInterrupted: The client disconnected.
        TooSlow: The deadline passed.
    """
    try:
        async with asyncio.timeout(seconds) as deadline:
            watch = asyncio.create_task(_end_on_disconnect(request, deadline))
            try:
                yield
            finally:
                watch.cancel()
    except TimeoutError as error:
        if not deadline.expired():  # raised by the work itself
            raise
        if watch.done():
            raise UploadInterrupted("The connection was closed before the answer.") from error
        raise TooSlow(
            f"There was no answer within {seconds:g} seconds; send the film later."
        ) from error


async def _end_on_disconnect(request: Request, deadline: asyncio.Timeout) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not deadline.expired():
        deadline.reschedule(0)


@dataclass(frozen=True)
class Bounds:
    """Most bytes and files of a request's body, and the longest time for it to arrive.

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
        bounds: On bytes, files and time.
        media_types: Content types of a body that is no form.

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
