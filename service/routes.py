"""What can be asked under /v1 and /health."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from service import examples
from service.admission import NO_MODEL
from service.comparison import comparison, explained_comparison
from service.description import description
from service.engine import Caller, Engine
from service.examination import Examination, Overlay, check_class, check_is_source
from service.faithfulness import FILMS, faithful
from service.masking import asked_mask
from service.negotiation import negotiated
from service.patience import while_wanted
from service.problems import (
    VARY,
    EmptyUpload,
    FilmRefused,
    FilmTooLarge,
    MalformedForm,
    MalformedMask,
    MissingFile,
    NoSourceInstance,
    NotAcceptable,
    NotAnImage,
    NotReady,
    Overloaded,
    ReloadRefused,
    SideWithoutPicture,
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
from service.reading import Mask, RawFilm
from service.registry import ALL
from service.related_parts import RELATED_DICOM, can_be_made, related_dicom
from service.schemas import (
    ColourMap,
    ColourMapList,
    Comparison,
    ExplainedComparison,
    ExplainedPrediction,
    Faithfulness,
    FilmPixels,
    Health,
    ModelDescription,
    ModelList,
    ModelSummary,
    Prediction,
)
from service.trace_context import current_request
from service.uploads import ANY_TYPE, FIELD, FILM_TYPES, FORM, film_upload
from xai.explainer import Explainer
from xai.heatmap import ColourMapName
from xai.heatmap import colour_map as colour_map_file

T = TypeVar("T")

JSON = "application/json"
PNG = "image/png"
RAW = ANY_TYPE
FILM_HEADER = "X-Film"

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
Tested = Annotated[
    bool,
    Query(
        description="Test the map of one class, `class` or the foremost one: mask the tenth of the "
        "film that argues most for it, and 24 random tenths. As JSON only; it costs 25 films more."
    ),
]
MaskText = Annotated[
    str | None,
    Query(
        alias="mask",
        description="x0,y0,x1,y1 in pixels of the film, decimals allowed: what the model shall not "
        "see. Every pixel of the film that the rectangle touches is filled with the film's median. "
        "Such an answer counts for no figure of `/metrics`.",
        examples=["310,420,690,900"],
    ),
]
Side = Annotated[
    int | None,
    Query(ge=16, le=1024, description="Most pixels of the picture's larger side; only of a PNG."),
]
ClassName = Annotated[
    str | None,
    Query(
        alias="class",
        description="Class of the overlay, or of the map to test. If left out, the predicted "
        "class; of a multi-label model the most probable finding, those called present before "
        "others.",
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
EXPLAIN_PROBLEMS = (*FILM_PROBLEMS, FilmRefused, NoSourceInstance, UnknownClass)
PNG_CONTENT: dict[str, Any] = {PNG: {"schema": BINARY}}
FILM_ANSWER: dict[str, Any] = {
    "description": "The film: its values, or a picture of them.",
    "content": {RAW: {"schema": BINARY}} | PNG_CONTENT,
    "headers": {
        FILM_HEADER: {
            "description": "What raw pixels mean, as JSON in ASCII: value = pixel * slope + "
            "intercept; `spacing` is millimetres between rows and between columns, or null; `low` "
            "and `high` are the film's smallest and largest value, padding left out. A window "
            "shows a value as the grey clip((value - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, "
            "0, 1); the first is what models see the film through. Its `name` is one of a few "
            "standard words or null.",
            "schema": {"type": "string", "contentMediaType": JSON},
            "example": json.dumps(examples.FILM_PIXELS),
        }
    },
}
EXPLAIN_CONTENT = {
    JSON: {"example": examples.EXPLAINED_PREDICTION},
    **PNG_CONTENT,
    "multipart/related": {"schema": BINARY},
}


@router.post(
    "/v1/predict",
    tags=["films"],
    response_model=Prediction | Comparison,
    responses=openapi_problems(*FILM_PROBLEMS, MalformedMask),
    openapi_extra=FILM_BODY,
)
async def predict(
    request: Request, asked: AskedModels, *, mask_text: MaskText = None, accept: Accept = None
) -> Response:
    """Say how probable each finding is on a film, or on what a mask leaves of it."""
    engine, explainers = asked
    negotiated(accept, (JSON,))
    mask = None if mask_text is None else asked_mask(mask_text)
    who = caller(request, "predict" if mask is None else "predict-masked")

    async def answer(film: bytes) -> Response:
        examinations = await examined(engine, explainers, film, who, mask)
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
    faithfulness: Tested = False,
    accept: Accept = None,
) -> Response:
    """Say how probable each finding is on a film, and where the evidence for it lies.

    As JSON: the evidence for every class. With `Accept: image/png`, from one model: the film with
    the evidence for one class painted over it, in the film's own pixels. With
    `Accept: multipart/related; type="application/dicom"`, about a DICOM film: a structured report
    and, unless the film is refused, a parametric map of the evidence for one class and a secondary
    capture of the overlay, all of the film's study.
    """
    engine, explainers = asked
    media_type = negotiated(accept, (JSON,) if faithfulness else _offers(explainers))
    for explainer in explainers:
        check_class(explainer, class_name)
    who = caller(request, "explain")

    async def painted(film: bytes) -> Response:
        [examination] = await examined(engine, explainers, film, who)
        overlay = examination.overlay(class_name, force=force)
        return _picture(overlay, await engine.painted(film, overlay.paint))

    async def archived(film: bytes) -> Response:
        check_is_source(film)
        [examination] = await examined(engine, explainers, film, who)
        shown = class_name or examination.foremost_class
        prediction = examination.explained_prediction(force=force)
        return related_dicom(await engine.result_files(film, prediction, shown))

    async def told(film: bytes) -> Response:
        examinations = await examined(engine, explainers, film, who)
        tests = await faithful(engine, examinations, class_name, force) if faithfulness else ()
        with engine.metrics.stage("encode", NO_MODEL):
            text = explained(examinations, force, tests).model_dump_json()
        return Response(text, media_type=JSON, headers=VARY)

    answer = {PNG: painted, RELATED_DICOM: archived}.get(media_type, told)
    films = 1 + FILMS if faithfulness else 1
    return await _answered(request, engine, explainers, answer, films=films)


def _offers(explainers: Sequence[Explainer]) -> tuple[str, ...]:
    if len(explainers) > 1:
        return (JSON,)
    return (JSON, PNG, RELATED_DICOM) if can_be_made() else (JSON, PNG)


@router.post(
    "/v1/film",
    tags=["films"],
    response_class=Response,
    responses=openapi_problems(*PICTURE_PROBLEMS, SideWithoutPicture) | {200: FILM_ANSWER},
    openapi_extra=FILM_BODY,
)
async def film(
    request: Request, engine: OpenEngine, *, side: Side = None, accept: Accept = None
) -> Response:
    """Show the film as the models' reader decodes it, for a page whose browser can't read it.

    Raw, unless a picture is asked for: little-endian 16-bit unsigned pixels, rows x columns, row by
    row, after rescaling and MONOCHROME1 and before the window; the header `X-Film` says what they
    mean. With `Accept: image/png`: 8 bits, through the window that models see the film through, and
    as a thumbnail with `?side=`.

    A DICOM film whose grey is no linear window of its values (VOI LUT, SIGMOID, or a window too
    fine for 16 bits over the film's range) comes as that grey, from 0 to 65535.
    """
    if negotiated(accept, (RAW, PNG)) == PNG:
        picture = partial(engine.picture, side=side)
        png = await _answered(request, engine, (), picture)
        return Response(png, media_type=PNG, headers=VARY)
    if side is not None:
        raise SideWithoutPicture(
            "Ask for a smaller film with `Accept: image/png`, or leave out side."
        )
    return _raw(await _answered(request, engine, (), engine.raw))


async def _answered(
    request: Request,
    engine: Engine,
    explainers: Sequence[Explainer],
    answer: Callable[[bytes], Coroutine[Any, Any, T]],
    *,
    films: int = 1,
) -> T:
    """Return the answer to the film in a request, within all bounds; each model runs `films`."""
    settings = engine.settings
    with engine.admission.place(*(one.card.name for one in explainers), films=films) as held:
        with engine.metrics.stage("upload", NO_MODEL):
            film = await film_upload(
                request, held, max_bytes=settings.max_upload_bytes, seconds=settings.upload_seconds
            )
        return await while_wanted(request, answer(film), seconds=settings.request_seconds)


async def examined(
    engine: Engine,
    explainers: Sequence[Explainer],
    film: bytes,
    who: Caller,
    mask: Mask | None = None,
) -> list[Examination]:
    """Return what each of the models says about a film, or about what the mask leaves of it."""
    return list(await asyncio.gather(*(engine.examine(one, film, who, mask) for one in explainers)))


def predicted(examinations: Sequence[Examination]) -> Prediction | Comparison:
    """Return the answer of one model, or those of several side by side."""
    if len(examinations) == 1:
        return examinations[0].prediction()
    return comparison(examinations)


def explained(
    examinations: Sequence[Examination], force: bool, tests: Sequence[Faithfulness] = ()
) -> ExplainedPrediction | ExplainedComparison:
    """Return the answer of one model with its evidence, or those of several side by side."""
    if len(examinations) == 1:
        test = tests[0] if tests else None
        return examinations[0].explained_prediction(force=force, faithfulness=test)
    return explained_comparison(examinations, force=force, tests=tests)


def _raw(film: RawFilm) -> Response:
    facts = FilmPixels(
        rows=film.rows, columns=film.columns, format=film.format, **asdict(film.scale)
    )
    headers = VARY | {FILM_HEADER: facts.model_dump_json()}
    return Response(film.pixels, media_type=RAW, headers=headers)


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
    return await asyncio.to_thread(description, engine.registry.explainer(name))


@admin_router.post(
    "/v1/models/{name}/reload",
    tags=["models"],
    responses=openapi_problems(UnknownModel, ReloadRefused, NotReady),
)
async def reload(name: str, engine: OpenEngine) -> ModelDescription:
    """Take up what is now in a model's file; requests that have begun end with the old one."""
    explainer = await asyncio.to_thread(engine.registry.reload, name)
    return await asyncio.to_thread(description, explainer)


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
