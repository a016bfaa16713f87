"""What can be asked under /v1 and /health."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from service import examples
from service.admission import NO_MODEL
from service.comparison import comparison, explained_comparison
from service.engine import Caller, Engine
from service.examination import Examination, Overlay, check_class
from service.negotiation import negotiated
from service.patience import while_wanted
from service.problems import (
    VARY,
    EmptyUpload,
    FilmRefused,
    FilmTooLarge,
    MalformedForm,
    MissingFile,
    NotAcceptable,
    NotAnImage,
    NotReady,
    Overloaded,
    ReloadRefused,
    SlowUpload,
    TooSlow,
    UnknownClass,
    UnknownModel,
    UnreadableFilm,
    UnsoundModel,
    UnsupportedFilm,
    UnsupportedMediaType,
    UploadInterrupted,
    UploadTooLarge,
    openapi_problems,
)
from service.registry import ALL
from service.schemas import (
    ColourMap,
    ColourMapList,
    Comparison,
    ExplainedComparison,
    ExplainedPrediction,
    Health,
    ModelDescription,
    ModelList,
    ModelSummary,
    Prediction,
)
from service.trace_context import current_request
from service.uploads import FIELD, FILM_TYPES, FORM, film_upload
from xai.explainer import Explainer
from xai.heatmap import ColourMapName
from xai.heatmap import colour_map as colour_map_file

T = TypeVar("T")

JSON = "application/json"
PNG = "image/png"

router = APIRouter()
admin_router = APIRouter()
"""Needs an admin's key."""
health_router = APIRouter(prefix="/health", tags=["health"])
"""Asked by whoever watches the server: needs no key."""


async def open_engine(request: Request) -> Engine:
    """Return the engine that the lifespan opened.

    Raises:
        NotReady: It is not open yet, or not any more.
    """
    engine = getattr(request.app.state, "engine", None)
    if engine is None:
        raise NotReady("Ask again in a moment.")
    return engine


OpenEngine = Annotated[Engine, Depends(open_engine)]


class Asked(NamedTuple):
    """Whom a request asks.

    Attributes:
        engine: The server's.
        explainers: One model, or all of them.
    """

    engine: Engine
    explainers: list[Explainer]


async def asked_models(
    request: Request,
    model: Annotated[
        str | None, Query(description=f"Name of a model, see /v1/models; `{ALL}` asks all of them.")
    ] = None,
) -> Asked:
    """Return the engine and the models that the client asks, the default one if it names none.

    Both in one: FastAPI takes a tenth of a millisecond for each dependency.
    """
    engine = await open_engine(request)
    if model == ALL:
        request.state.model = ALL
        return Asked(engine, list(engine.registry.explainers.values()))
    explainer = engine.registry.explainer(model)
    request.state.model = explainer.card.name
    return Asked(engine, [explainer])


def caller(request: Request, verb: str) -> Caller:
    """Return who asks, for the audit trail."""
    identity = current_request.get()
    request_id = identity.request_id if identity else ""
    return Caller(verb, request_id, getattr(request.state, "key_id", None))


AskedModels = Annotated[Asked, Depends(asked_models)]
Accept = Annotated[str | None, Header(include_in_schema=False)]
Force = Annotated[
    bool, Query(description="Explain the film even if it is unlike the training films.")
]
ClassName = Annotated[
    str | None,
    Query(
        alias="class",
        description="Class of the overlay. If left out, the predicted class; of a multi-label "
        "model the most probable finding, those called present before others.",
    ),
]

BINARY = {"type": "string", "format": "binary"}
FILM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"A film (PNG, JPEG, TIFF, DICOM) in the form's field `{FIELD}`, "
        "or as the body itself. Which format it is, the bytes tell.",
        "content": {
            FORM: {"schema": {"type": "object", "required": [FIELD], "properties": {FIELD: BINARY}}}
        }
        | {media_type: {"schema": BINARY} for media_type in FILM_TYPES},
    }
}
PICTURE_PROBLEMS = (
    MalformedForm,
    NotAcceptable,
    UploadTooLarge,
    FilmTooLarge,
    UnsupportedMediaType,
    NotAnImage,
    MissingFile,
    EmptyUpload,
    UnreadableFilm,
    UnsupportedFilm,
    SlowUpload,
    UploadInterrupted,
    NotReady,
    Overloaded,
    TooSlow,
)
FILM_PROBLEMS = (*PICTURE_PROBLEMS, UnknownModel, UnsoundModel)
EXPLAIN_PROBLEMS = (*FILM_PROBLEMS, FilmRefused, UnknownClass)
PNG_CONTENT: dict[str, Any] = {PNG: {"schema": BINARY}}
EXPLAIN_CONTENT = {JSON: {"example": examples.EXPLAINED_PREDICTION}} | PNG_CONTENT


@router.post(
    "/v1/predict",
    tags=["films"],
    response_model=Prediction | Comparison,
    responses=openapi_problems(*FILM_PROBLEMS),
    openapi_extra=FILM_BODY,
)
async def predict(request: Request, asked: AskedModels, accept: Accept = None) -> Response:
    """Say how probable each finding is on a film."""
    engine, explainers = asked
    negotiated(accept, (JSON,))
    who = caller(request, "predict")

    async def answer(film: bytes) -> Response:
        examinations = await examined(engine, explainers, film, who)
        with engine.metrics.stage("encode", NO_MODEL):
            text = predicted(examinations).model_dump_json()
        return Response(text, media_type=JSON)

    return await _answered(request, engine, explainers, answer)


@router.post(
    "/v1/explain",
    tags=["films"],
    response_model=ExplainedPrediction | ExplainedComparison,
    responses=openapi_problems(*EXPLAIN_PROBLEMS) | {200: {"content": EXPLAIN_CONTENT}},
    openapi_extra=FILM_BODY,
)
async def explain(
    request: Request,
    asked: AskedModels,
    *,
    class_name: ClassName = None,
    force: Force = False,
    accept: Accept = None,
) -> Response:
    """Say how probable each finding is on a film, and where the evidence for it lies.

    As JSON: the evidence for every class. With `Accept: image/png`, from one model: the film with
    the evidence for one class painted over it, in the film's own pixels.
    """
    engine, explainers = asked
    media_type = negotiated(accept, (JSON, PNG) if len(explainers) == 1 else (JSON,))
    for explainer in explainers:
        check_class(explainer, class_name)
    who = caller(request, "explain")

    async def painted(film: bytes) -> Response:
        [examination] = await examined(engine, explainers, film, who)
        overlay = examination.overlay(class_name, force=force)
        return _picture(overlay, await engine.painted(film, overlay.paint))

    async def answer(film: bytes) -> Response:
        examinations = await examined(engine, explainers, film, who)
        with engine.metrics.stage("encode", NO_MODEL):
            text = explained(examinations, force).model_dump_json()
        return Response(text, media_type=JSON, headers=VARY)

    return await _answered(request, engine, explainers, painted if media_type == PNG else answer)


@router.post(
    "/v1/film",
    tags=["films"],
    response_class=Response,
    responses=openapi_problems(*PICTURE_PROBLEMS)
    | {200: {"description": "The film.", "content": PNG_CONTENT}},
    openapi_extra=FILM_BODY,
)
async def film(request: Request, engine: OpenEngine, accept: Accept = None) -> Response:
    """Show the film as the model's reader decodes it: its own pixels, 8 bits, as PNG.

    For a page that shows a film of a format that browsers don't read (DICOM, TIFF, 16 bits).
    """
    negotiated(accept, (PNG,))
    return Response(await _answered(request, engine, (), engine.picture), media_type=PNG)


async def _answered(
    request: Request,
    engine: Engine,
    explainers: Sequence[Explainer],
    answer: Callable[[bytes], Coroutine[Any, Any, T]],
) -> T:
    """Return the answer to the film in a request, within all bounds."""
    settings = engine.settings
    with engine.admission.place(*(one.card.name for one in explainers)) as held:
        with engine.metrics.stage("upload", NO_MODEL):
            film = await film_upload(
                request, held, max_bytes=settings.max_upload_bytes, seconds=settings.upload_seconds
            )
        return await while_wanted(request, answer(film), seconds=settings.request_seconds)


async def examined(
    engine: Engine, explainers: Sequence[Explainer], film: bytes, who: Caller
) -> list[Examination]:
    """Return what each of the models says about a film."""
    return list(await asyncio.gather(*(engine.examine(one, film, who) for one in explainers)))


def predicted(examinations: Sequence[Examination]) -> Prediction | Comparison:
    """Return the answer of one model, or those of several side by side."""
    if len(examinations) == 1:
        return examinations[0].prediction()
    return comparison(examinations)


def explained(
    examinations: Sequence[Examination], force: bool
) -> ExplainedPrediction | ExplainedComparison:
    """Return the answer of one model with its evidence, or those of several side by side."""
    if len(examinations) == 1:
        return examinations[0].explained_prediction(force=force)
    return explained_comparison(examinations, force=force)


def _picture(overlay: Overlay, png: bytes) -> Response:
    headers = {
        "Explanation-Class": quote(overlay.class_name),
        "Explanation-Status": overlay.status,
    }
    return Response(png, media_type=PNG, headers=VARY | headers)


@router.get("/v1/models", tags=["models"], responses=openapi_problems(NotReady))
async def models(engine: OpenEngine) -> ModelList:
    """List the models that can be asked with `?model=`."""
    return ModelList(
        models=[
            ModelSummary(
                name=name,
                version=explainer.card.version,
                sha256=explainer.sha256,
                architecture=explainer.card.architecture,
                class_names=explainer.card.class_names,
                is_default=name == engine.registry.default_model,
                provider=explainer.provider,
                is_loaded=explainer.is_loaded,
            )
            for name, explainer in engine.registry.explainers.items()
        ]
    )


@router.get(
    "/v1/models/{name}", tags=["models"], responses=openapi_problems(UnknownModel, NotReady)
)
async def model(name: str, engine: OpenEngine) -> ModelDescription:
    """Show a model's card: what it is for, what it can't do, how well it does it."""
    explainer = engine.registry.explainer(name)
    return ModelDescription(sha256=explainer.sha256, card=explainer.card)


@admin_router.post(
    "/v1/models/{name}/reload",
    tags=["models"],
    responses=openapi_problems(UnknownModel, ReloadRefused, NotReady),
)
async def reload(name: str, engine: OpenEngine) -> ModelDescription:
    """Take up what is now in a model's file; requests that have begun end with the old one."""
    explainer = await asyncio.to_thread(engine.registry.reload, name)
    return ModelDescription(sha256=explainer.sha256, card=explainer.card)


@router.get("/v1/colour-map", tags=["models"])
async def colour_map(
    name: Annotated[
        ColourMapName, Query(description="If left out, the one of the overlays as PNG.")
    ] = ColourMapName.INFERNO,
) -> ColourMap:
    """Show the colours of a colour map."""
    return ColourMap.model_validate(colour_map_file(name))


@router.get("/v1/colour-maps", tags=["models"])
async def colour_maps() -> ColourMapList:
    """Show all colour maps with their colours, the one of the overlays as PNG first."""
    return ColourMapList(colour_maps=[await colour_map(name) for name in ColourMapName])


@health_router.get("/live")
async def live() -> Health:
    """Say that the process answers."""
    return Health(status="live")


@health_router.get("/ready", responses=openapi_problems(NotReady))
async def ready(_engine: OpenEngine) -> Health:
    """Say that the default model is loaded, checked against its card, and warm."""
    return Health(status="ready")
