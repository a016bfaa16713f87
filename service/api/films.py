"""Routes about one film: `/v1/predict`, `/v1/explain` and `/v1/film`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from service.answers.film_answer import FilmAnswer, Overlay, check_class, check_is_source
from service.answers.schemas import (
    Comparison,
    ExplainedComparison,
    ExplainedPrediction,
    FilmPixels,
    Prediction,
)
from service.api.dependencies import (
    Accept,
    Asked,
    AskedModels,
    Force,
    OpenEngine,
    admitted_film,
    caller,
    check_has_map,
    explained,
    negotiated,
    predicted,
)
from service.api.openapi import (
    EXPLAIN_CONTENT,
    EXPLAIN_PROBLEMS,
    FILM_ANSWER,
    FILM_BODY,
    FILM_HEADER,
    FILM_PROBLEMS,
    JSON,
    PICTURE_PROBLEMS,
    PNG,
    RAW,
)
from service.dicom.answer import RELATED_DICOM, can_be_made, related_dicom
from service.films.decoding import RawFilm
from service.films.masks import asked_mask
from service.films.uploads import NO_MODEL
from service.inference.engine import Engine
from service.inference.faithfulness import FILMS, faithful
from service.problems import VARY, MalformedMask, SideWithoutPicture, openapi_problems
from xai.explainer import Explainer

router = APIRouter()

Tested = Annotated[
    bool,
    Query(
        description="Test the map of one class, `class` or the top one: mask the tenth of the "
        "film that argues most for it, and 24 random tenths. As JSON only; it costs 25 films more."
    ),
]
MaskText = Annotated[
    str | None,
    Query(
        alias="mask",
        description="x0,y0,x1,y1 in pixels of the film, decimals allowed: what the model must not "
        "see. Every pixel of the film that the rectangle touches is filled with the film's median. "
        "Such an answer is not counted in the films, findings and drift of `/metrics`.",
        examples=["310,420,690,900"],
    ),
]
Outlined = Annotated[
    bool,
    Query(
        alias="outline",
        description="Draw the outline of the lungs, where the model finds them, into the overlay; "
        "only of a PNG. As JSON it is `lung_outline`.",
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
        description="Class, or group of classes, of the overlay, or of the map to test. If left "
        "out, the predicted class; of a multi-label model the most probable finding, those called "
        "present before others.",
    ),
]


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
    """Give the probability of each finding on a film, or on what a mask leaves of it."""
    negotiated(accept, (JSON,))
    mask = None if mask_text is None else asked_mask(mask_text)
    who = caller(request, "predict" if mask is None else "predict-masked")
    async with admitted_film(request, asked) as film:
        film_answers = await asked.answers(film, who, mask)
        with asked.engine.metrics.stage("encode", NO_MODEL):
            text = predicted(film_answers).model_dump_json()
        return Response(text, media_type=JSON)


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
    outlined: Outlined = False,
    accept: Accept = None,
) -> Response:
    """Give the probability of each finding on a film, and the evidence for it on the film.

    As JSON: the evidence for every class. With `Accept: image/png`, from one model: the film with
    the evidence for one class painted over it, in the film's own pixels. With
    `Accept: multipart/related; type="application/dicom"`, about a DICOM film: a structured report
    and, unless the film is refused, a parametric map of the evidence for one class and a secondary
    capture of the overlay, all of the film's study.
    """
    check_has_map(asked)
    engine, explainers = asked.engine, asked.explainers
    media_type = negotiated(accept, (JSON,) if faithfulness else _offers(explainers))
    for explainer in explainers:
        check_class(explainer, class_name)
    who = caller(request, "explain", force)
    async with admitted_film(request, asked, films=1 + FILMS if faithfulness else 1) as film:
        if media_type == RELATED_DICOM:
            check_is_source(film)
        film_answers = await asked.answers(film, who)
        of_models = film_answers.of_models
        if media_type == PNG:
            overlay = of_models[0].overlay(class_name, force=force)
            return await _painted(engine, film, overlay, outlined)
        if media_type == RELATED_DICOM:
            return await _archived(engine, film, of_models[0], class_name, force)
        tests = await faithful(engine, of_models, class_name, force) if faithfulness else ()
        with engine.metrics.stage("encode", NO_MODEL):
            text = explained(film_answers, force, tests).model_dump_json()
        return Response(text, media_type=JSON, headers=VARY)


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
    """Give the film as the models' reader decodes it, for a page whose browser can't read it.

    Raw, unless a picture is asked for: little-endian 16-bit unsigned pixels, rows x columns, row by
    row, after rescaling and MONOCHROME1 and before the window; the header `X-Film` says what they
    mean. With `Accept: image/png`: 8 bits, through the window that models see the film through, and
    as a thumbnail with `?side=`.

    A DICOM film whose grey is no linear window of its values (VOI LUT, SIGMOID, or a window too
    fine for 16 bits over the film's range) comes as that grey, from 0 to 65535.
    """
    as_picture = negotiated(accept, (RAW, PNG)) == PNG
    if side is not None and not as_picture:
        raise SideWithoutPicture(
            "Ask for a smaller film with `Accept: image/png`, or leave out side."
        )
    async with admitted_film(request, Asked(engine)) as upload:
        if as_picture:
            return Response(await engine.picture(upload, side), media_type=PNG, headers=VARY)
        return _raw(await engine.raw(upload))


def _raw(film: RawFilm) -> Response:
    facts = FilmPixels(
        rows=film.rows, columns=film.columns, format=film.format, **asdict(film.scale)
    )
    headers = VARY | {FILM_HEADER: facts.model_dump_json()}
    return Response(film.pixels, media_type=RAW, headers=headers)


async def _painted(engine: Engine, film: bytes, overlay: Overlay, outlined: bool) -> Response:
    """Return the film with an overlay as a PNG."""
    headers = {
        "Explanation-Class": quote(overlay.class_name),
        "Explanation-Status": overlay.status,
    }
    png = await engine.painted(film, overlay.paint._replace(is_outlined=outlined))
    return Response(png, media_type=PNG, headers=VARY | headers)


async def _archived(
    engine: Engine, film: bytes, film_answer: FilmAnswer, class_name: str | None, force: bool
) -> Response:
    """Return the answer about a DICOM film as DICOM objects."""
    prediction = film_answer.explained_prediction(force=force)
    shown = class_name or film_answer.top_class
    return related_dicom(await engine.result_files(film, prediction, shown))
