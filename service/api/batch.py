"""Route `/v1/batch`: answer many films in one request, a line of JSON for each, in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from models.film_files.errors import RadiographError
from service.answers import examples
from service.api.dependencies import (
    Accept,
    AskedModels,
    Force,
    caller,
    check_has_map,
    explained,
    negotiated,
    predicted,
)
from service.api.openapi import BINARY, FILM_PROBLEMS
from service.films.uploads import ANY_TYPE, FIELD, FORM, NO_MODEL, Bounds, uploaded_files
from service.films.zip_files import ArchiveLimits, archived_films, is_archive
from service.http.headers import FAULT, log_fault
from service.inference.engine import Engine
from service.problems import (
    ArchiveTooLarge,
    BadArchive,
    EmptyUpload,
    ServiceProblem,
    TooSlow,
    film_problem,
    openapi_problems,
)
from service.settings import Settings

NDJSON = "application/x-ndjson"
ARCHIVE_TYPES = ("application/zip", "application/x-zip-compressed", ANY_TYPE)
FILMS_AHEAD = 2
"""Films of one request that are answered at the same time, per film that the engine decodes."""

Film = bytes | ServiceProblem
Answering = Callable[[bytes], Coroutine[Any, Any, str]]
router = APIRouter()

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"Films as files in the form's field `{FIELD}`, repeated; or one zip, there "
        "or as the body itself. Folders and hidden files in a zip are skipped.",
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "array", "items": BINARY}},
                }
            }
        }
        | {media_type: {"schema": BINARY} for media_type in ARCHIVE_TYPES},
    }
}


@router.post(
    "/v1/batch",
    tags=["films"],
    response_class=StreamingResponse,
    responses=openapi_problems(*FILM_PROBLEMS, BadArchive, ArchiveTooLarge)
    | {
        200: {
            "description": "A line for each film.",
            "content": {NDJSON: {"example": examples.BATCH}},
        }
    },
    openapi_extra=BODY,
)
async def batch(
    request: Request,
    asked: AskedModels,
    *,
    explain: Annotated[bool, Query(description="Send the evidence as well.")] = False,
    force: Force = False,
    accept: Accept = None,
) -> StreamingResponse:
    """Answer many films: one line of JSON for each, in the order in which they were sent.

    A line is `{"index": 0, "status": 200, "answer": {...}}`, with what /v1/predict (or, with
    `explain`, /v1/explain) answers to that film alone; or `{"index": 1, "status": 422, "problem":
    {...}}`. Lines come while later films are still being worked on, and must be read as they come.
    """
    negotiated(accept, (NDJSON,))
    if explain:
        check_has_map(asked)
    engine, settings = asked.engine, asked.engine.settings
    until_sent: AsyncExitStack = request.state.until_sent
    place = engine.admission.place(*(one.card.name for one in asked.explainers))
    held = until_sent.enter_context(place)
    files = await uploaded_files(request, held, _bounds(settings), media_types=ARCHIVE_TYPES)
    is_zip = len(files) == 1 and (is_archive(files[0]) or not _is_form(request))
    films: Iterator[Film] = (files.pop(0) for _ in range(len(files)))
    if is_zip:
        films = await asyncio.to_thread(archived_films, files[0], _archive_limits(settings))
    who = caller(request, "batch", force if explain else None)

    async def answer(film: bytes) -> str:
        try:
            film_answers = await asked.answers(film, who)
            said = explained(film_answers, force) if explain else predicted(film_answers)
            return said.model_dump_json()
        finally:
            if not is_zip:  # whose films are read from it until the last one
                held.give_free(len(film))

    lines = _lines(engine, films, answer)
    until_sent.push_async_callback(lines.aclose)
    return StreamingResponse(lines, media_type=NDJSON)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith(FORM)


def _bounds(settings: Settings) -> Bounds:
    return Bounds(settings.max_batch_bytes, settings.max_batch_films, settings.upload_seconds)


def _archive_limits(settings: Settings) -> ArchiveLimits:
    return ArchiveLimits(
        max_films=settings.max_batch_films,
        max_film_bytes=settings.max_upload_bytes,
        max_bytes=settings.max_batch_bytes,
        max_ratio=settings.max_zip_ratio,
    )


async def _lines(
    engine: Engine, films: Iterator[Film], answer: Answering
) -> AsyncGenerator[str, None]:
    """Yield the lines in order; a few films are answered ahead of the line that is due."""
    due: deque[asyncio.Task[str]] = deque()
    try:
        async for index, film in _numbered(films):
            due.append(asyncio.create_task(_line(engine, index, film, answer)))
            if len(due) > FILMS_AHEAD * engine.at_once:
                yield await due.popleft()
        while due:
            yield await due.popleft()
    finally:
        for line in due:
            line.cancel()


async def _numbered(films: Iterator[Film]) -> AsyncIterator[tuple[int, Film]]:
    """Yield films with their numbers; a zip is unpacked off the event loop."""
    for index in count():
        film = await asyncio.to_thread(next, films, None)
        if film is None:
            return
        yield index, film


async def _line(engine: Engine, index: int, film: Film, answer: Answering) -> str:
    """Return a film's line: its answer, or the problem that it met."""
    try:
        if isinstance(film, ServiceProblem):
            raise film
        if not film:
            raise EmptyUpload("The film has no bytes; send the whole file.")
        seconds = engine.settings.request_seconds
        async with asyncio.timeout(seconds):
            said = await answer(film)
        return f'{{"index":{index},"status":200,"answer":{said}}}\n'
    except TimeoutError:
        problem: ServiceProblem = TooSlow(f"There was no answer within {seconds:g} seconds.")
    except RadiographError as error:
        problem = film_problem(error)
    except ServiceProblem as error:
        problem = error
    except Exception as error:
        log_fault(error)
        problem = ServiceProblem(FAULT)
    engine.metrics.problem(NO_MODEL, problem.name())
    document = problem.document().model_dump_json()
    return f'{{"index":{index},"status":{problem.status},"problem":{document}}}\n'
