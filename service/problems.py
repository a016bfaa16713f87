"""Problem documents (RFC 9457) for everything that can go wrong with a request.

Each kind of problem is a class below: its docstring says what it means, its `class` line the HTTP
status, and its name makes the title and the URN. What no class names (an unknown path, a wrong
method, a fault of the server) has type `about:blank`.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Scope

from models.film_files.errors import (
    FilmTooLargeError,
    NotAnImageError,
    RadiographError,
    UnreadableFilmError,
    UnsupportedFilmError,
)

MEDIA_TYPE = "application/problem+json"
VARY = {"Vary": "Accept"}
BEARER = {"WWW-Authenticate": "Bearer"}
TYPE_PREFIX = "urn:problem-type:chest-xray-explainer:"


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457, section 3.1)."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str


class AnsweredProblemDocument(ProblemDocument):
    """The same as an answer has it, with the id of its request."""

    request_id: str = Field(
        description="As in `X-Request-ID`, in the server's log, and in its audit trail."
    )


class ProtocolProblemDocument(AnsweredProblemDocument):
    """The same with the member that clients of Open Inference Protocol v2 read."""

    model_config = ConfigDict(title="ProtocolProblem")

    error: str


class ServiceProblem(Exception):  # noqa: N818 - RFC 9457's word, and what clients read
    """A request that gets no answer; `detail` says what the client can do about it."""

    status: ClassVar[int] = 500
    usual_headers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(
        cls, *, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Set the HTTP status and the headers of a kind of problem; None is as its parent's."""
        super().__init_subclass__()
        cls.status = status or cls.status
        cls.usual_headers = headers or cls.usual_headers

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = {**self.usual_headers, **(headers or {})}

    @classmethod
    def title(cls) -> str:
        """Return the class's name as a phrase: `UploadTooLarge` is "Upload too large"."""
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
        """Return the problem document that is sent."""
        return ProblemDocument(
            type=self.type(), title=self.title(), status=self.status, detail=self.detail
        )


class UploadProblem(ServiceProblem):
    """The request's body can't be read."""


class UploadTooLarge(UploadProblem, status=413):
    """More bytes than allowed, counted while they arrive."""


class UnsupportedMediaType(UploadProblem, status=415):
    """Neither a form nor an image content type."""


class MalformedForm(UploadProblem, status=400):
    """Multipart that can't be parsed."""


class UploadInterrupted(UploadProblem, status=400):
    """The client disconnected; the answer reaches nobody."""


class SlowUpload(UploadProblem, status=408):
    """The body was not complete in the time allowed."""


class MissingFile(UploadProblem, status=422):
    """A form without a file in the field `file`."""


class EmptyUpload(UploadProblem, status=422):
    """No bytes."""


class BadArchive(UploadProblem, status=422):
    """A zip file that is corrupt, encrypted, or holds no film."""


class ArchiveTooLarge(UploadProblem, status=413):
    """More members, or more bytes once unpacked, than allowed."""


class FilmProblem(ServiceProblem):
    """The upload is no film that can be examined."""


class NotAnImage(FilmProblem, status=415):
    """Neither PNG, JPEG, TIFF nor DICOM, whatever its content type says."""


class FilmTooLarge(FilmProblem, status=413):
    """More pixels than allowed."""


class UnreadableFilm(FilmProblem, status=422):
    """Truncated, corrupt, or encoded in a way that can't be decoded here."""


class UnsupportedFilm(FilmProblem, status=422):
    """Readable, but not one grey film."""


class NoSourceInstance(FilmProblem, status=422, headers=VARY):
    """DICOM results refer to a DICOM film by UIDs; this film has none."""


class FilmRefused(FilmProblem, status=409, headers=VARY):
    """Unlike the training films: there is an answer as JSON, but no overlay."""


class QuestionProblem(ServiceProblem):
    """The question about the film makes no sense."""


class MalformedMask(QuestionProblem, status=422):
    """The mask is no rectangle, or lies outside the film."""


class UnknownParameter(QuestionProblem, status=422):
    """The path takes no query parameter of that name."""


class SideWithoutPicture(QuestionProblem, status=422):
    """Only a picture can be made smaller; raw pixels are sent as they are."""


class ModelProblem(ServiceProblem):
    """The models here can't answer what was asked."""


class UnknownModel(ModelProblem, status=404):
    """No model here has that name."""


class NoMap(ModelProblem, status=422):
    """The ensemble of the models has no map of its own."""


class UnknownClass(ModelProblem, status=422):
    """The model has no class of that name."""


class NotAcceptable(ModelProblem, status=406, headers=VARY):
    """The answer exists in none of the media types asked for."""


class MalformedTensor(ModelProblem, status=400):
    """The tensors of a v2 request are not those that the model takes."""


class UnsoundModel(ModelProblem, status=500):
    """The model fails the checks that come before its first answer."""


class ModelNotReady(ModelProblem, status=400):
    """The model failed its checks, says `/v2/models/NAME/ready`; the protocol asks for a 4xx."""


class ReloadRefused(ModelProblem, status=409):
    """The file on disk fails its checks; the model loaded before goes on answering."""


class Unavailable(ServiceProblem, status=503, headers={"Retry-After": "1"}):
    """Not now; the same request may succeed later."""


class NotReady(Unavailable):
    """The models are not loaded."""


class Overloaded(Unavailable):
    """As many films as allowed are waiting already; this one was not read."""


class TooSlow(Unavailable):
    """The film was not answered within the time allowed."""


class AuditUnavailable(Unavailable, headers={"Retry-After": "10"}):
    """The answer can't be written to the audit trail, so it is not given."""


class AccessProblem(ServiceProblem):
    """The client may not ask this."""


class MissingKey(AccessProblem, status=401, headers=BEARER):
    """No API key was sent."""


class UnknownKey(AccessProblem, status=401, headers=BEARER):
    """The API key that was sent is not in the server's file."""


class NotAllowed(AccessProblem, status=403):
    """The key is not an admin's."""


class TooManyRequests(AccessProblem, status=429, headers={"Retry-After": "1"}):
    """The key has used up its requests for the moment."""


class UnknownHost(AccessProblem, status=421):
    """The name in `Host` is none of the server's, which asks for no API key."""


class CrossSite(AccessProblem, status=403):
    """A page of another site would change something on a server that asks for no API key."""


class AuditOff(AccessProblem, status=404):
    """The server keeps no audit trail."""


FILM_PROBLEMS: dict[type[RadiographError], type[FilmProblem]] = {
    NotAnImageError: NotAnImage,
    FilmTooLargeError: FilmTooLarge,
    UnreadableFilmError: UnreadableFilm,
    UnsupportedFilmError: UnsupportedFilm,
}


def film_problem(error: RadiographError) -> FilmProblem:
    """Return the problem for a film that can't be used."""
    return FILM_PROBLEMS.get(type(error), UnreadableFilm)(str(error))


def file_error(error: RadiographError | OSError) -> ProblemDocument:
    """Return the problem document for a file that can't be used or read."""
    if isinstance(error, RadiographError):
        return film_problem(error).document()
    detail = error.strerror or type(error).__name__
    return ProblemDocument(type="about:blank", title="File not read", status=400, detail=detail)


def problem_response(problem: ServiceProblem, scope: Scope) -> JSONResponse:
    """Return the answer to a request for a problem, with the member `error` under the path /v2."""
    return _response(problem.document().model_dump(), problem.headers, scope)


def blank_problem_response(
    status: int,
    detail: str,
    scope: Scope,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> JSONResponse:
    """Return an answer whose problem is only its HTTP status (type `about:blank`)."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return _response(document | more, headers, scope)


def add_handlers(app: FastAPI) -> None:
    """Answer every error of a handler, a route or a parameter with a problem document."""
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
    document = ProtocolProblemDocument if _is_v2(path) else AnsweredProblemDocument
    schema = document.model_json_schema()
    return {
        status: {
            "description": "; ".join(problem.title() for problem in same),
            "content": {MEDIA_TYPE: {"schema": schema, "examples": _examples(same, path)}},
        }
        for status, same in by_status.items()
    }


def _examples(problems: Sequence[type[ServiceProblem]], path: str) -> dict[str, dict[str, Any]]:
    examples = [problem(problem.__doc__ or "").document().model_dump() for problem in problems]
    shown = {"request_id": "ward-7-2026-03-01-17"}
    return {one["title"]: {"value": _under(path, one | shown)} for one in examples}


def _is_v2(path: str) -> bool:
    return f"{path}/".startswith("/v2/")


def _under(path: str, document: dict[str, Any]) -> dict[str, Any]:
    """Add the member `error`, which clients of the protocol under /v2 read."""
    return document | {"error": document["detail"]} if _is_v2(path) else document


def _response(
    document: dict[str, Any], headers: Mapping[str, str] | None, scope: Scope
) -> JSONResponse:
    if request_id := scope.get("state", {}).get("request_id"):
        document["request_id"] = request_id
    content = _under(scope.get("path", ""), document)
    return JSONResponse(content, document["status"], headers, media_type=MEDIA_TYPE)


async def _service_problem(request: Request, error: Exception) -> JSONResponse:
    problem = cast(ServiceProblem, error)
    request.state.problem = problem.name()
    return problem_response(problem, request.scope)


async def _radiograph_error(request: Request, error: Exception) -> JSONResponse:
    return await _service_problem(request, film_problem(cast(RadiographError, error)))


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    error = cast(HTTPException, error)
    details = {
        404: "There is nothing at this path; /docs lists the paths.",
        405: f"This path does not take {request.method}; /docs lists the methods.",
    }
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    return blank_problem_response(
        error.status_code,
        details.get(error.status_code, error.detail),
        request.scope,
        headers,
    )


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    # What was sent is left out: it may be a patient's name.
    faults = [
        {"parameter": str(fault["loc"][-1]), "detail": fault["msg"]}
        for fault in cast(RequestValidationError, error).errors()
    ]
    detail = "; ".join(f"{fault['parameter']}: {fault['detail']}" for fault in faults)
    return blank_problem_response(422, detail, request.scope, errors=faults)
