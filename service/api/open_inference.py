"""Routes under /v2: the Open Inference Protocol, for clients of any inference server."""

import asyncio
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from service.answers.open_inference_schemas import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from service.api import open_inference_tensors as tensors
from service.api.dependencies import OpenEngine, caller
from service.api.openapi import BINARY, JSON
from service.films.uploads import ANY_TYPE, Bounds, uploaded_files, while_connected
from service.inference.engine import Caller, Engine
from service.problems import (
    FilmTooLarge,
    MalformedTensor,
    ModelNotReady,
    NotAnImage,
    NotReady,
    Overloaded,
    ServiceProblem,
    SlowUpload,
    TooSlow,
    UnknownModel,
    UnreadableFilm,
    UnsoundModel,
    UnsupportedFilm,
    UnsupportedMediaType,
    UploadInterrupted,
    UploadTooLarge,
    openapi_problems,
)
from xai.explainer import Answers, Explainer

JSON_LENGTH = "Inference-Header-Content-Length"
MEDIA_TYPES = (JSON, ANY_TYPE, "application/x-www-form-urlencoded")
"""The last is what curl sends by default."""
TAGS: list[str | Enum] = ["Open Inference Protocol"]

router = APIRouter(prefix="/v2", tags=TAGS)
health_router = APIRouter(prefix="/v2/health", tags=TAGS)
"""Routes for probes: they need no key."""
model_router = APIRouter()


def problems(*problems: type[ServiceProblem]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of problems as clients of this protocol read them."""
    return openapi_problems(*problems, path=router.prefix)


MODEL_PROBLEMS = (UnknownModel, NotReady)
INFERENCE_PROBLEMS = (
    *MODEL_PROBLEMS,
    MalformedTensor,
    UploadInterrupted,
    SlowUpload,
    UploadTooLarge,
    FilmTooLarge,
    UnsupportedMediaType,
    NotAnImage,
    UnreadableFilm,
    UnsupportedFilm,
    UnsoundModel,
    Overloaded,
    TooSlow,
)


def inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a JSON schema with its references replaced by what they refer to in `$defs`."""
    if isinstance(schema, list):
        return [inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: inlined(part, definitions) for key, part in schema.items() if key != "$defs"}


REQUEST_SCHEMA = InferenceRequest.model_json_schema()
INFERENCE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The header decides which of the two it is, not the content type.",
        "content": {
            JSON: {"schema": inlined(REQUEST_SCHEMA, REQUEST_SCHEMA["$defs"])},
            ANY_TYPE: {"schema": BINARY},
        },
    }
}


async def named_model(request: Request, name: str, engine: OpenEngine) -> Explainer:
    """Return the model in the path."""
    explainer = engine.registry.explainer(name)
    request.state.model = explainer.card.name
    return explainer


NamedModel = Annotated[Explainer, Depends(named_model)]


async def check_version(version: str, explainer: NamedModel) -> None:
    """Raise UnknownModel unless the version in the path is the model's."""
    card = explainer.card
    if version != card.version:
        raise UnknownModel(f"The version of {card.name} here is {card.version}.")


@health_router.get("/live")
async def server_live() -> ServerLive:
    """Say that the process answers."""
    return ServerLive(live=True)


@health_router.get("/ready", responses=problems(NotReady))
async def server_ready(_engine: OpenEngine) -> ServerReady:
    """Say that the default model is loaded, checked against its card, and warm."""
    return ServerReady(ready=True)


@router.get("")
async def server_metadata(request: Request) -> ServerMetadata:
    """Give the name, version and extensions of the server."""
    return ServerMetadata(
        name="chest-xray-explainer",
        version=request.app.version,
        extensions=[tensors.BINARY_EXTENSION],
    )


@model_router.get("", responses=problems(*MODEL_PROBLEMS))
async def model_metadata(explainer: NamedModel) -> ModelMetadata:
    """Give the tensors that a model takes and gives."""
    return tensors.model_metadata(explainer)


@model_router.get("/ready", responses=problems(*MODEL_PROBLEMS, ModelNotReady))
async def model_ready(explainer: NamedModel) -> ModelReady:
    """Say that a model can be asked; one that is not loaded yet loads when it is."""
    if explainer.fault:
        raise ModelNotReady("It fails its checks; the server's log says how.")
    return ModelReady(name=explainer.card.name, ready=True)


@model_router.post(
    "/infer",
    response_model=InferenceResponse,
    responses=problems(*INFERENCE_PROBLEMS) | {200: {"content": {ANY_TYPE: {"schema": BINARY}}}},
    openapi_extra=INFERENCE_BODY,
)
async def infer(
    request: Request,
    engine: OpenEngine,
    explainer: NamedModel,
    json_length: Annotated[
        str | None,
        Header(alias=JSON_LENGTH, description="Bytes of JSON; binary tensors follow them."),
    ] = None,
) -> Response:
    """Give the tensors that a model answers to films or to pixels.

    Nothing is withheld of a film that is unlike the training films, or undecided: read
    `in_distribution` and `is_decided` first. `refusals` tells why a film is refused: a column for
    each reason that the model's metadata name.
    """
    settings = engine.settings
    bounds = Bounds(settings.max_upload_bytes, max_files=1, seconds=settings.upload_seconds)
    held = request.state.until_sent.enter_context(engine.admission.place(explainer.card.name))
    [body] = await uploaded_files(request, held, bounds, media_types=MEDIA_TYPES)
    who = caller(request, "infer", force=True)
    async with while_connected(request, seconds=settings.request_seconds):
        return await _answered(engine, explainer, body, json_length, who)


async def _answered(
    engine: Engine, explainer: Explainer, body: bytes, json_length: str | None, who: Caller
) -> Response:
    card = explainer.card
    question = await asyncio.to_thread(
        tensors.read_question,
        body,
        json_length,
        card=card,
        max_films=engine.settings.max_batch_size,
    )
    answers = await _answers(engine, explainer, question, who)
    text, behind = tensors.encoded_response(question.request, answers, card)
    if not behind:
        return Response(text, media_type=JSON)
    return Response(text + behind, media_type=ANY_TYPE, headers={JSON_LENGTH: str(len(text))})


async def _answers(
    engine: Engine, explainer: Explainer, question: tensors.Question, who: Caller
) -> Answers:
    if not isinstance(question.tensor, list):
        answers = await engine.infer(explainer, question.tensor)
        sent = [pixels.tobytes() for pixels in question.tensor]
        await engine.write_down(who, explainer, answers, sent)
        return answers
    films = (engine.answer(explainer, film, who) for film in question.tensor)
    return Answers.joined([examined.answers for examined in await asyncio.gather(*films)])


router.include_router(model_router, prefix="/models/{name}")
router.include_router(
    model_router, prefix="/models/{name}/versions/{version}", dependencies=[Depends(check_version)]
)
