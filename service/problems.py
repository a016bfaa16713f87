"""Everything that can go wrong with a request, as problem documents (RFC 9457).

ServiceProblem
├── UploadProblem
│   ├── UploadTooLarge        413  more bytes than allowed, counted while they arrive
│   ├── UnsupportedMediaType  415  neither a form nor an image content type
│   ├── MalformedForm         400  multipart that can't be parsed
│   ├── UploadInterrupted     400  the client went away
│   ├── SlowUpload            408  not complete in the time allowed
│   ├── MissingFile           422  a form without the field `file`
│   ├── EmptyUpload           422  no bytes
│   ├── BadArchive            422  a zip that is corrupt, encrypted, or holds no film
│   └── ArchiveTooLarge       413  more members, or more bytes once unpacked, than allowed
├── FilmProblem
│   ├── NotAnImage            415  neither PNG, JPEG, TIFF nor DICOM
│   ├── FilmTooLarge          413  more pixels than allowed
│   ├── UnreadableFilm        422  truncated, corrupt, not decodable
│   ├── UnsupportedFilm       422  readable, but not one grey film
│   ├── NoSourceInstance      422  DICOM results are asked for of a film they can't refer to
│   └── FilmRefused           409  unlike the training films, so it has no overlay
├── QuestionProblem
│   ├── MalformedMask         422  no rectangle, or none on the film
│   └── SideWithoutPicture    422  `side` is asked for of pixels that are not sent as a picture
├── ModelProblem
│   ├── UnknownModel          404
│   ├── UnknownClass          422
│   ├── NotAcceptable         406  an answer in none of the media types asked for
│   ├── MalformedTensor       400  a v2 request whose tensors the model does not take
│   ├── UnsoundModel          500  it fails the checks that come before its first answer
│   └── ReloadRefused         409  the file now on disk is no sound model; the old one stays
├── Unavailable               503  with Retry-After
│   ├── NotReady                   the models are not loaded
│   ├── Overloaded                 as many films as allowed are waiting already
│   ├── TooSlow                    no answer within the time allowed
│   └── AuditUnavailable           the answer can't be written down, so it is not given
└── AccessProblem
    ├── MissingKey            401
    ├── UnknownKey            401
    ├── NotAllowed            403  a key that is no admin's
    ├── TooManyRequests       429  with Retry-After
    └── AuditOff              404  there is no audit trail to ask

What no class here names (an unknown path, a wrong method, a fault of ours) has type `about:blank`.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from models.film_files.errors import (
    FilmTooLargeError,
    NotAnImageError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
)

MEDIA_TYPE = "application/problem+json"
VARY = {"Vary": "Accept"}
TYPE_PREFIX = "urn:problem-type:chest-xray-explainer:"


class ProblemDocument(BaseModel):
    """The body of every answer that is not a success (RFC 9457, section 3.1)."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str


class ProtocolProblemDocument(ProblemDocument):
    """The same with the member that clients of Open Inference Protocol v2 read."""

    model_config = ConfigDict(title="ProtocolProblem")

    error: str


class ServiceProblem(Exception):  # noqa: N818 - RFC 9457's word, and what clients read
    """A request that gets no answer; `detail` tells the client what to do about it."""

    status: ClassVar[int] = 500
    usual_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = {**self.usual_headers, **(headers or {})}

    @classmethod
    def title(cls) -> str:
        """Return the class's name in words: `UploadTooLarge` is "Upload too large"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z])", " ", cls.__name__).capitalize()

    @classmethod
    def name(cls) -> str:
        """Return the class's name as a URN has it: `UploadTooLarge` is `upload-too-large`."""
        return cls.title().lower().replace(" ", "-")

    @classmethod
    def type(cls) -> str:
        """Return the URN that names this kind of problem."""
        return TYPE_PREFIX + cls.name()

    def document(self) -> ProblemDocument:
        """Return what is sent."""
        return ProblemDocument(
            type=self.type(), title=self.title(), status=self.status, detail=self.detail
        )


class UploadProblem(ServiceProblem):
    """The request's body can't be taken in."""


class UploadTooLarge(UploadProblem):
    """More bytes than allowed."""

    status = 413


class UnsupportedMediaType(UploadProblem):
    """Neither a form nor an image content type."""

    status = 415


class MalformedForm(UploadProblem):
    """Multipart that can't be parsed."""

    status = 400


class UploadInterrupted(UploadProblem):
    """The client went away; nobody reads the answer, but the log stays quiet."""

    status = 400


class SlowUpload(UploadProblem):
    """The body was not complete in the time allowed."""

    status = 408


class BadArchive(UploadProblem):
    """A zip file that is corrupt, encrypted, or holds no film."""

    status = 422


class ArchiveTooLarge(UploadProblem):
    """More members, or more bytes once unpacked, than allowed."""

    status = 413


class MissingFile(UploadProblem):
    """A form without a file in the field `file`."""

    status = 422


class EmptyUpload(UploadProblem):
    """No bytes."""

    status = 422


class FilmProblem(ServiceProblem):
    """The upload is no film that can be examined."""


class NotAnImage(FilmProblem):
    """Neither PNG, JPEG, TIFF nor DICOM, whatever its content type says."""

    status = 415


class FilmTooLarge(FilmProblem):
    """More pixels than allowed."""

    status = 413


class UnreadableFilm(FilmProblem):
    """Truncated, corrupt, or encoded in a way nothing here decodes."""

    status = 422


class UnsupportedFilm(FilmProblem):
    """Readable, but not one grey film."""

    status = 422


class NoSourceInstance(FilmProblem):
    """DICOM results refer to a DICOM film with UIDs, and this is none."""

    status = 422
    usual_headers = VARY


class FilmRefused(FilmProblem):
    """Unlike the training films: there is an answer as JSON, but no overlay."""

    status = 409
    usual_headers = VARY


class QuestionProblem(ServiceProblem):
    """What is asked about the film makes no sense."""


class MalformedMask(QuestionProblem):
    """The mask is no rectangle, or lies outside the film."""

    status = 422


class SideWithoutPicture(QuestionProblem):
    """Only a picture can be made smaller; raw pixels are sent as they are."""

    status = 422


class ModelProblem(ServiceProblem):
    """The models here can't answer what was asked."""


class UnknownModel(ModelProblem):
    """No model here has that name."""

    status = 404


class UnknownClass(ModelProblem):
    """The model has no class of that name."""

    status = 422


class NotAcceptable(ModelProblem):
    """The answer exists in none of the media types asked for."""

    status = 406
    usual_headers = VARY


class UnsoundModel(ModelProblem):
    """The model, loaded when it was first asked, fails its checks; no answer is better than its."""


class MalformedTensor(ModelProblem):
    """The tensors of a v2 request are not those that the model takes."""

    status = 400


class ReloadRefused(ModelProblem):
    """The file on disk fails its checks; the model that was loaded before goes on answering."""

    status = 409


class Unavailable(ServiceProblem):
    """Not now; the same request may succeed later."""

    status = 503
    usual_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class NotReady(Unavailable):
    """The models are not loaded."""


class Overloaded(Unavailable):
    """As many films as allowed are waiting already; this one was not read."""


class TooSlow(Unavailable):
    """The film was not answered within the time allowed."""


class AuditUnavailable(Unavailable):
    """The answer can't be written to the audit trail, so it is not given."""

    usual_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "10"}


class AccessProblem(ServiceProblem):
    """Who asks may not."""


class MissingKey(AccessProblem):
    """No API key was sent."""

    status = 401
    usual_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class UnknownKey(AccessProblem):
    """The API key that was sent is not in the server's file."""

    status = 401
    usual_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class NotAllowed(AccessProblem):
    """The key is not an admin's."""

    status = 403


class TooManyRequests(AccessProblem):
    """The key has used up its requests for the moment."""

    status = 429
    usual_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class AuditOff(AccessProblem):
    """The server keeps no audit trail."""

    status = 404


FILM_PROBLEMS: dict[type[RadiographError], type[FilmProblem]] = {
    NotAnImageError: NotAnImage,
    FilmTooLargeError: FilmTooLarge,
    UnreadableFilmError: UnreadableFilm,
    UnsupportedFilmError: UnsupportedFilm,
}


def film_problem(error: RadiographError) -> FilmProblem:
    """Return the problem that tells a client about a film that can't be used."""
    return FILM_PROBLEMS.get(type(error), UnreadableFilm)(str(error))


def file_error(error: RadiographError | OSError) -> ProblemDocument:
    """Return what is wrong with a file in the server's words."""
    if isinstance(error, RadiographError):
        return film_problem(error).document()
    detail = error.strerror or type(error).__name__
    return ProblemDocument(type="about:blank", title="File not read", status=400, detail=detail)


def problem_response(problem: ServiceProblem, *, path: str = "") -> JSONResponse:
    """Return the answer for a problem; under the path /v2 as its protocol wants it."""
    return _response(problem.document().model_dump(), problem.headers, path)


def blank_problem_response(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    *,
    path: str = "",
    **more: object,
) -> JSONResponse:
    """Return a problem that says no more than its HTTP status does (type `about:blank`)."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return _response(document | more, headers, path)


def add_handlers(app: FastAPI) -> None:
    """Make every error of a handler, a route or a parameter a problem document."""
    app.add_exception_handler(ServiceProblem, _service_problem)
    app.add_exception_handler(RadiographError, _radiograph_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)


def openapi_problems(
    *problems: type[ServiceProblem], path: str = ""
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of problems that a route may answer with, by status."""
    by_status: dict[int | str, list[type[ServiceProblem]]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, []).append(problem)
    schema = (ProtocolProblemDocument if _is_v2(path) else ProblemDocument).model_json_schema()
    return {
        status: {
            "description": "; ".join(problem.title() for problem in same),
            "content": {MEDIA_TYPE: {"schema": schema, "examples": _examples(same, path)}},
        }
        for status, same in by_status.items()
    }


def _examples(problems: Sequence[type[ServiceProblem]], path: str) -> dict[str, dict[str, Any]]:
    examples = [problem(problem.__doc__ or "").document().model_dump() for problem in problems]
    return {one["title"]: {"value": _under(path, one)} for one in examples}


def _is_v2(path: str) -> bool:
    return f"{path}/".startswith("/v2/")


def _under(path: str, document: dict[str, Any]) -> dict[str, Any]:
    """Add to a problem what a client of the protocol under this path reads."""
    return document | {"error": document["detail"]} if _is_v2(path) else document


def _response(
    document: dict[str, Any], headers: Mapping[str, str] | None, path: str
) -> JSONResponse:
    return JSONResponse(_under(path, document), document["status"], headers, media_type=MEDIA_TYPE)


async def _service_problem(request: Request, error: Exception) -> JSONResponse:
    problem = cast(ServiceProblem, error)
    request.state.problem = problem.name()
    return problem_response(problem, path=request.url.path)


async def _radiograph_error(request: Request, error: Exception) -> JSONResponse:
    return await _service_problem(request, film_problem(cast(RadiographError, error)))


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    error = cast(HTTPException, error)
    details = {
        404: "There is nothing at this path; /docs lists the paths.",
        405: f"This path does not take {request.method}; /docs lists the methods.",
    }
    return blank_problem_response(
        error.status_code,
        details.get(error.status_code, error.detail),
        error.headers,
        path=request.url.path,
    )


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    # What was sent is left out: it may be anything.
    faults = [
        {"parameter": str(fault["loc"][-1]), "detail": fault["msg"]}
        for fault in cast(RequestValidationError, error).errors()
    ]
    detail = "; ".join(f"{fault['parameter']}: {fault['detail']}" for fault in faults)
    return blank_problem_response(422, detail, path=request.url.path, errors=faults)
